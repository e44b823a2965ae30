"""Certificates: made, signed, kept in files. The library `cryptography` is imported in this room only."""
