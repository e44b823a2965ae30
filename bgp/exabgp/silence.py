"""What a router that does not answer may mind: below BGP nobody says why a packet was dropped. Pure."""

from __future__ import annotations

from bgp.peer import PeerConfig


def suspects(peer: PeerConfig) -> str:
    """What to look at in both configurations, to be put behind a reason; empty when there is nothing.

    A wrong password (RFC 2385 §4.1), or a TTL that RFC 5082 refuses, is dropped in silence.
    """
    found = ["the password"] if peer.password is not None else []
    found += ["GTSM"] if peer.gtsm else []
    found += ["the number of hops"] if peer.multihop_ttl is not None else []
    if not found:
        return ""
    return f": {' and '.join(found)} must be the same at both ends"
