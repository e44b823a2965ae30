"""NOTIFICATION codes and subcodes in the words of the RFCs that define them."""

from __future__ import annotations

CODES: dict[int, str] = {
    1: "Message Header Error",
    2: "OPEN Message Error",
    3: "UPDATE Message Error",
    4: "Hold Timer Expired",
    5: "Finite State Machine Error",
    6: "Cease",
    7: "ROUTE-REFRESH Message Error",
}
"""RFC 4271 §4.5; 7: RFC 7313 §5."""

SUBCODES: dict[tuple[int, int], str] = {
    # RFC 4271 §6.1
    (1, 1): "Connection Not Synchronized",
    (1, 2): "Bad Message Length",
    (1, 3): "Bad Message Type",
    # RFC 4271 §6.2; 7: RFC 5492 §3; 11: RFC 9234 §4.2
    (2, 1): "Unsupported Version Number",
    (2, 2): "Bad Peer AS",
    (2, 3): "Bad BGP Identifier",
    (2, 4): "Unsupported Optional Parameter",
    (2, 6): "Unacceptable Hold Time",
    (2, 7): "Unsupported Capability",
    (2, 11): "Role Mismatch",
    # RFC 4271 §6.3
    (3, 1): "Malformed Attribute List",
    (3, 2): "Unrecognized Well-known Attribute",
    (3, 3): "Missing Well-known Attribute",
    (3, 4): "Attribute Flags Error",
    (3, 5): "Attribute Length Error",
    (3, 6): "Invalid ORIGIN Attribute",
    (3, 8): "Invalid NEXT_HOP Attribute",
    (3, 9): "Optional Attribute Error",
    (3, 10): "Invalid Network Field",
    (3, 11): "Malformed AS_PATH",
    # RFC 6608 §4
    (5, 1): "Receive Unexpected Message in OpenSent State",
    (5, 2): "Receive Unexpected Message in OpenConfirm State",
    (5, 3): "Receive Unexpected Message in Established State",
    # RFC 4486 §3; 9: RFC 8538 §3; 10: RFC 9384 §3
    (6, 1): "Maximum Number of Prefixes Reached",
    (6, 2): "Administrative Shutdown",
    (6, 3): "Peer De-configured",
    (6, 4): "Administrative Reset",
    (6, 5): "Connection Rejected",
    (6, 6): "Other Configuration Change",
    (6, 7): "Connection Collision Resolution",
    (6, 8): "Out of Resources",
    (6, 9): "Hard Reset",
    (6, 10): "BFD Down",
    # RFC 7313 §5
    (7, 1): "Invalid Message Length",
}


def describe(code: int, subcode: int) -> str:
    """Code and subcode in words and numbers: `OPEN Message Error, Bad Peer AS (2/2)`."""
    words = CODES.get(code, "unknown error")
    if name := SUBCODES.get((code, subcode)):
        words = f"{words}, {name}"
    return f"{words} ({code}/{subcode})"
