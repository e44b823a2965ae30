"""Taking back what a node that is gone held: its endpoints end as if their node had let go of them.

Every transaction proves that the node is still gone (`controller.ipam.gone`), and is one that a release
would make: addresses cool down, counts go down, exceptions go. Endpoints are read below the node and their
addresses block by block, and ended some forty to a transaction. What the node said of itself goes last,
with the last of them: a node that comes back in the middle has its word for every endpoint that is left.

An endpoint that a living node holds still, because it moved away from there, is only marked: it ends when
that node has let go.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import cycle

from controller.ipam import units
from controller.ipam.below import SAID, Below
from controller.ipam.committer import Committer
from controller.ipam.ending import Ending
from controller.ipam.gone import Gone
from controller.ipam.hold import let_go
from controller.ipam.holdings import HeldAddress, Holdings, Pools
from controller.ipam.leftovers import remove_leftovers
from controller.ipam.orphans import free_orphans
from controller.ipam.release import Cooldowns
from controller.ipam.unit import Unit
from controller.ipam.units import Cooling
from controller.ipam.window import Window
from controller.reading import read
from store import keys
from store.client import Compare, DeletePrefix, Store
from store.errors import Corrupt
from store.model import Address, AddressState, EndpointState

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Nodes: while one is read, the endpoints of others end."""

COMMITTERS = 2
"""One transaction is made while another is written. More of them only meet at the counts of tenants."""

LOGGED = 50
"""Endpoints named in one line of the log."""


class Reclaimer:
    """Ends the endpoints of nodes that are gone. Safe to call from many threads."""

    def __init__(self, store: Store, committers: Sequence[Committer], clock: Callable[[], datetime]) -> None:
        self._store = store
        self._committers = committers
        self._clock = clock
        self._cooldowns = Cooldowns(store)

    def free_orphans(self) -> list[Address]:
        """Free addresses of endpoints that do not exist; returns those that were freed. Blocking."""
        return free_orphans(self._store, self._committers[0])

    def remove_leftovers(self) -> list[str]:
        """Remove keys below nodes that stand for nothing; returns those that are gone. Blocking."""
        return remove_leftovers(self._store, self._committers[0])

    def reclaim_all(self, gone: Mapping[str, Gone]) -> Iterator[tuple[Gone, list[Ending]]]:
        """`reclaim` for each of the nodes, some at a time; yields those that lost something. Blocking."""
        pools = Pools(self._store)

        def take(each: Gone, committer: Committer) -> tuple[Gone, list[Ending]]:
            return each, self.reclaim(each, gone, committer, pools)

        with ThreadPoolExecutor(AT_ONCE, "reclaim") as threads:
            for each, ended in threads.map(take, gone.values(), cycle(self._committers)):
                if ended:
                    yield each, ended

    def reclaim(
        self, gone: Gone, others: Mapping[str, Gone], committer: Committer, pools: Pools
    ) -> list[Ending]:
        """End the endpoints of a node; returns those that ended. Blocking. Idempotent.

        Args:
            gone: the node.
            others: all nodes that are gone, this one included.
            committer: writes it.
            pools: their cooldowns, read once for many nodes.
        """
        below = Below.read(self._store, gone.name)
        holdings = Holdings(self._store, pools, below.blocks if below.endpoints else ())
        window: Window[Ending | None] = Window(committer, gone.proof())
        for endpoint in below.endpoints:
            try:
                unit, ends = self._plan(endpoint, holdings, others)
            except Corrupt as fault:
                log.error("event=corrupt-value key=%s why=%r", fault.key, str(fault))
                continue  # it stays until that can be read, and keeps nothing else
            if unit is not None:
                window.submit(unit, endpoint if ends else None)
        # Nobody is there to take back what the node said.
        sweep = Unit((), tuple(DeletePrefix(kind.prefix(gone.name)) for kind in SAID))
        applied = window.drain((sweep, None) if below.said else None)
        ended = [endpoint for endpoint in applied if endpoint is not None]
        if window.lease_expired:
            self._cooldowns.forget()
        _tell(gone.name, ended)
        return ended

    def _plan(
        self, endpoint: Ending, holdings: Holdings, others: Mapping[str, Gone]
    ) -> tuple[Unit | None, bool]:
        """What is written for an endpoint, if anything, and whether that ends it."""
        held = holdings.of(endpoint)
        proof: tuple[Compare, ...] = ()
        for former in sorted({left for each in held for left in each.address.get("left", ())}):
            also = self._proof_of(former, endpoint.id, others)
            if also is None:
                return self._mark(endpoint), False
            proof = (*proof, *also)
        return units.release(endpoint, proof, self._cooling(held, holdings)), True

    def _mark(self, endpoint: Ending) -> Unit | None:
        record = read(self._store, keys.ENDPOINTS, endpoint.id)
        if record is None or record.value.state is EndpointState.RELEASING:
            return None
        return units.mark_releasing(record)

    def _proof_of(self, node: str, endpoint: str, others: Mapping[str, Gone]) -> tuple[Compare, ...] | None:
        if node in others:
            return others[node].proof()
        absent = let_go(self._store, node, endpoint)
        return None if absent is None else (absent,)

    def _cooling(self, held: list[HeldAddress], holdings: Holdings) -> list[Cooling]:
        now = self._clock()
        return [
            units.cooling(
                each.key,
                each.address,
                each.owner,
                now,
                cooldown_s,
                self._cooldowns.lease(cooldown_s),
            )
            for each in held
            if each.address["state"] == AddressState.ASSIGNED
            for cooldown_s in (holdings.cooldown_s(each.address["pool"]),)
        ]


def _tell(node: str, ended: list[Ending]) -> None:
    for start in range(0, len(ended), LOGGED):
        named = ",".join(f"{each.id}={'+'.join(each.addresses)}" for each in ended[start : start + LOGGED])
        log.warning("event=reclaimed node=%s endpoints=%s", node, named)
