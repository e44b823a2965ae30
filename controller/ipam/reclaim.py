"""Taking back what a node that is gone held: its endpoints end as if their node had let go of them.

Every transaction proves that the node is still gone (`controller.ipam.gone`), and is one that a release
would make: addresses cool down, counts go down, exceptions go. Endpoints are read below the node and their
addresses block by block, and ended some forty to a transaction. What the node said of itself goes last;
a crash before leaves words without an endpoint, which the next pass removes.

An endpoint that a living node holds still, because it moved away from there, is only marked: it ends when
that node has let go.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from controller.ipam import units
from controller.ipam.below import SAID, Below
from controller.ipam.committer import Committer
from controller.ipam.gone import Gone
from controller.ipam.holdings import Held, Holdings
from controller.ipam.leftovers import remove_leftovers
from controller.ipam.orphans import free_orphans
from controller.ipam.release import Cooldowns, let_go
from controller.ipam.unit import Unit
from controller.ipam.window import Window
from controller.reading import Found
from store import keys
from store.client import Compare, DeletePrefix, Store
from store.model import Address, AddressState, Endpoint, EndpointState

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Nodes: while one is read, the endpoints of others end."""

LOGGED = 50
"""Endpoints named in one line of the log."""


class Reclaimer:
    """Ends the endpoints of nodes that are gone. Safe to call from many threads."""

    def __init__(self, store: Store, committer: Committer, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._cooldowns = Cooldowns(store)

    def free_orphans(self) -> list[Address]:
        """Free addresses of endpoints that do not exist; returns those that were freed. Blocking."""
        return free_orphans(self._store, self._committer)

    def remove_leftovers(self) -> list[str]:
        """Remove keys below nodes that stand for nothing; returns those that are gone. Blocking."""
        return remove_leftovers(self._store, self._committer)

    def reclaim_all(self, gone: Mapping[str, Gone]) -> Iterator[tuple[Gone, list[Endpoint]]]:
        """`reclaim` for each of the nodes, some at a time; yields those that lost something. Blocking."""
        with ThreadPoolExecutor(AT_ONCE, "reclaim") as pool:
            for each, ended in pool.map(lambda one: (one, self.reclaim(one, gone)), gone.values()):
                if ended:
                    yield each, ended

    def reclaim(self, gone: Gone, others: Mapping[str, Gone]) -> list[Endpoint]:
        """End the endpoints of a node; returns those that ended. Blocking. Idempotent.

        Args:
            others: all nodes that are gone, this one included.
        """
        below = Below.read(self._store, gone.name)
        holdings = Holdings(self._store, below.blocks)
        window: Window[Endpoint | None] = Window(self._committer, gone.proof())
        for found in below.endpoints:
            unit, ends = self._plan(found, holdings, gone.name, others)
            if unit is not None:
                window.submit(unit, found.value if ends else None)
        ended = [endpoint for endpoint in window.drain() if endpoint is not None]
        if window.lease_expired:
            self._cooldowns.forget()
        if below.said:
            # Nobody is there to take back what the node said.
            sweep = tuple(DeletePrefix(kind.prefix(gone.name)) for kind in SAID)
            self._committer.commit(Unit(gone.proof(), sweep))
        _tell(gone.name, ended)
        return ended

    def _plan(
        self,
        copy: Found[Endpoint],
        holdings: Holdings,
        node: str,
        others: Mapping[str, Gone],
    ) -> tuple[Unit | None, bool]:
        """What is written for an endpoint, if anything, and whether that ends it."""
        endpoint = copy.value
        # Written with the copy, in the same transaction: the same value at the same revision.
        record = Found(endpoint, keys.ENDPOINTS.key(endpoint.id), copy.mod_revision)
        held = holdings.of(endpoint)
        proof: tuple[Compare, ...] = ()
        for former in sorted({left for each in held for left in each.address.get("left", ())} - {node}):
            also = self._proof_of(former, endpoint.id, others)
            if also is None:
                if endpoint.state is EndpointState.RELEASING:
                    return None, False
                return units.mark_releasing(record), False
            proof = (*proof, *also)
        return self._end(record, held, proof, holdings), True

    def _proof_of(self, node: str, endpoint: str, others: Mapping[str, Gone]) -> tuple[Compare, ...] | None:
        if node in others:
            return others[node].proof()
        absent = let_go(self._store, node, endpoint)
        return None if absent is None else (absent,)

    def _end(
        self,
        record: Found[Endpoint],
        held: list[Held],
        proof: tuple[Compare, ...],
        holdings: Holdings,
    ) -> Unit:
        now = self._clock()
        cooling = []
        for each in held:
            if each.address["state"] == AddressState.ASSIGNED:
                pool = holdings.pool(each.address["pool"])
                lease_id = self._cooldowns.lease(pool.cooldown_s if pool else 0)
                cooling.append(units.cooling(each.key, each.address, each.owner, now, lease_id))
        return units.release(record, proof, cooling)


def _tell(node: str, ended: list[Endpoint]) -> None:
    for start in range(0, len(ended), LOGGED):
        named = ",".join(
            f"{each.id}={'+'.join(map(str, each.addresses))}" for each in ended[start : start + LOGGED]
        )
        log.warning("event=reclaimed node=%s endpoints=%s", node, named)
