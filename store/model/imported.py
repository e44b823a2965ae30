"""What a node has taken from its BGP peers, as its speaker last saw it."""

from __future__ import annotations

from store.model.value import Address_, Name, Network, Value


class ImportedPath(Value):
    """How one peer reaches a prefix."""

    peer: Name
    next_hop: Address_
    as_path: tuple[int, ...] = ()
    med: int | None = None
    local_pref: int | None = None
    stale: bool = False
    """Of a session that has ended, and kept while the peer restarts (RFC 4724)."""
    used: bool = False
    """The kernel sends packets this way."""


class Imported(Value):
    """A prefix that peers of a node announce and that the node was told to take from them."""

    prefix: Network
    node: Name
    paths: tuple[ImportedPath, ...]
    """By the name of the peer."""
    reason: str = ""
    """Why a path that could be used is not."""
