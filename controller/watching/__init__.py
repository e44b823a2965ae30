"""Watching what the API shows: one watch of the store for each noun, however many clients watch it."""
