"""Ending endpoints: first the node takes it down, then the address cools down, then it is free.

"The node" is every node that holds it: one that it moved away from takes it down in its own time.

An endpoint that a node holds is only marked here; its node's agent withdraws, cleans up and removes the
attachment key. Where no attachment exists the endpoint ends at once: the transaction compares that this
is still so, and an attach compares that the endpoint is not being released, so the two exclude each other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from controller.ipam import blocks, units
from controller.ipam.committer import Committer
from controller.ipam.ending import Ending
from controller.ipam.units import Cooling
from controller.precondition import WHATEVER, Match
from controller.problem import Fault, Problem, not_found
from controller.reading import Found, read
from controller.scope import EVERYTHING, Scope
from store import keys
from store.client import Absent, Store
from store.errors import LeaseExpired
from store.model import Address, AddressState, Block, Endpoint, EndpointState, Pool

ATTEMPTS = 24
SHARED_S = 1.0
"""Cooldowns that begin within so many seconds share a lease: a lease costs etcd as much as a write."""


class Cooldowns:
    """The leases that end cooldowns. Safe to call from many threads."""

    def __init__(self, store: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._leases: dict[int, tuple[int, float]] = {}

    def lease(self, cooldown_s: int) -> int:
        """A lease that ends `cooldown_s` to `cooldown_s + 1` seconds from now; 0 for no cooldown."""
        if cooldown_s == 0:
            return 0
        with self._lock:
            now = self._monotonic()
            lease_id, granted = self._leases.get(cooldown_s, (0, now - SHARED_S))
            if now - granted >= SHARED_S:
                lease_id = self._store.grant(cooldown_s + 1)
                self._leases[cooldown_s] = (lease_id, now)
            return lease_id

    def forget(self) -> None:
        """A lease has ended before it was used: grant new ones."""
        with self._lock:
            self._leases.clear()


class Releaser:
    """Ends endpoints. Safe to call from many threads, and from many controllers at once."""

    def __init__(self, store: Store, committer: Committer, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._cooldowns = Cooldowns(store)

    def release(
        self,
        endpoint_id: str,
        match: Match = WHATEVER,
        uid: str | None = None,
        scope: Scope = EVERYTHING,
        *,
        cooldown: bool = True,
    ) -> Endpoint | None:
        """End an endpoint: None when it is gone, else the record while its node cleans up.

        Idempotent: a repeated call tries again to end it.

        Args:
            endpoint_id: the endpoint.
            match: what the caller demands of it.
            uid: of the assignment that is meant: one made later under the same id is left alone.
            cooldown: whether its addresses cool down when it ends now.

        Raises:
            Problem: there is no such endpoint in `scope`, or it is not the one that `match` or `uid` demands.
        """
        found = read(self._store, keys.ENDPOINTS, endpoint_id)
        if found is None or not scope.has(found.value):
            raise not_found("endpoint", endpoint_id)
        if uid not in {None, found.value.uid}:
            raise _other_assignment(found.value)
        uid = found.value.uid
        for _ in range(ATTEMPTS):
            if found is None or found.value.uid != uid or not scope.has(found.value):
                return None
            match.demand(f"endpoint {endpoint_id}", found.mod_revision)
            if self.finalise(found, cooldown=cooldown):
                return None
            if found.value.state is EndpointState.RELEASING:
                return found.value
            if self._committer.commit(units.mark_releasing(found)):
                return found.value.model_copy(update={"state": EndpointState.RELEASING})
            found = read(self._store, keys.ENDPOINTS, endpoint_id)
        raise Problem("busy", f"endpoint {endpoint_id} keeps changing", retry_after_s=1)

    def finalise(self, found: Found[Endpoint], *, cooldown: bool = True) -> bool:
        """End the endpoint if no node holds anything of it; False when one does, or the record has changed.

        A node that is no longer known holds nothing.
        """
        here = let_go(self._store, found.value.node, found.value.id)
        if here is None:
            return False
        held = holdings(self._store, found.value)
        former = [let_go(self._store, node, found.value.id) for node in former_nodes(held)]
        gone = [here, *(proof for proof in former if proof is not None)]
        if len(gone) <= len(former):
            return False
        for _ in range(2):
            try:
                return bool(
                    self._committer.commit(
                        units.release(Ending.of(found), gone, self._cooling(held, cooldown))
                    )
                )
            except LeaseExpired:
                self._cooldowns.forget()
        return False

    def _cooling(self, held: Iterable[Holding], cooldown: bool) -> list[Cooling]:
        """Each address cools down as its own pool says."""
        now = self._clock()
        return [
            units.cooling(
                each.address.key,
                each.address.value.model_dump(),
                each.block.value.node,
                now,
                self._cooldowns.lease(each.pool.value.cooldown_s if cooldown else 0),
            )
            for each in held
            if each.address.value.state is AddressState.ASSIGNED
        ]


@dataclass(frozen=True, slots=True)
class Holding:
    """One address that an endpoint holds."""

    pool: Found[Pool]
    block: Found[Block]
    address: Found[Address]


def former_nodes(held: Iterable[Holding]) -> frozenset[str]:
    """The nodes that an endpoint moved away from and that may hold it still."""
    return frozenset(node for each in held for node in each.address.value.left)


def let_go(store: Store, node: str, endpoint_id: str) -> Absent | None:
    """The key whose absence shows that a node holds nothing of an endpoint; None when it does.

    It stays absent as long as the endpoint is elsewhere: an attach compares that it is on the node.
    """
    for key in (keys.ATTACHMENTS.key(node, endpoint_id), keys.NODES.key(node)):
        if store.get(key) is None:
            return Absent(key)
    return None


def holdings(store: Store, endpoint: Endpoint) -> list[Holding]:
    """The addresses that an endpoint holds."""
    held = []
    for address, name in endpoint.placed:
        pool = read(store, keys.POOLS, name)
        if pool is None:
            continue
        cidr = blocks.block_of(pool.value, address)
        block = read(store, keys.BLOCKS, name, cidr)
        found = read(store, keys.ADDRESSES, name, cidr, address)
        if block is not None and found is not None and found.value.endpoint == endpoint.id:
            held.append(Holding(pool, block, found))
    return held


def _other_assignment(endpoint: Endpoint) -> Problem:
    detail = (
        f"endpoint {endpoint.id} is another assignment now, with uid {endpoint.uid}; "
        "the one that was meant is gone"
    )
    return Problem("conflict", detail, errors=[Fault(detail, parameter="uid")])
