"""What each peer of a node is to be told: the node's own prefixes, or those of all nodes by an edge."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from agents.speaker.surroundings import Surroundings
from bgp.advertisement import Advertisement
from intent.edge import Edge, wanted
from intent.snapshot import Snapshot
from store.client import Store
from store.model import IPNetwork, Peer


class Wanted:
    """Works it out, from what the store says. One thread at a time.

    Args:
        store: the store.
        boot_id: of the kernel that runs.
        on_change: called from any thread when another node has changed.
        believes: the nonce of the store that is believed.
    """

    def __init__(
        self, store: Store, boot_id: str, on_change: Callable[[], None], believes: Callable[[], str]
    ) -> None:
        self._store = store
        self._boot_id = boot_id
        self._on_change = on_change
        self._believes = believes
        self._edge = Edge()
        self._surroundings: Surroundings | None = None

    def of(self, snapshot: Snapshot, peer: Peer) -> Mapping[IPNetwork, Advertisement] | None:
        """What a peer is to be told; None while that is not known."""
        members = self._surroundings.members() if self._surroundings is not None else None
        return wanted(snapshot, peer, self._boot_id, self._edge, members, time.time())

    def look_around(self, edge: bool) -> None:
        """Begin to look at all nodes, or cease. Only an edge has the right to, and needs to. Idempotent."""
        if edge and self._surroundings is None:
            self._surroundings = Surroundings(self._store, self._on_change, self._believes)
        elif not edge and self._surroundings is not None:
            self._surroundings.stop()
            self._surroundings = None
