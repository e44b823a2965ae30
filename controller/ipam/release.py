"""Ending endpoints: first the node takes it down, then the address cools down, then it is free.

"The node" is every node that holds it: one that it moved away from takes it down in its own time.

An endpoint that a node holds is only marked here; its node's agent withdraws, cleans up and removes the
attachment key, which a duty waits for. Where no attachment exists the endpoint ends at once: the transaction
compares that this is still so, and an attach compares that the endpoint is still there, so the two exclude
each other. That is tried again when the endpoint is marked, as the key may have gone just before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from controller.ipam import units
from controller.ipam.committer import Committer
from controller.ipam.ending import Ending
from controller.ipam.hold import Hold, holds, let_go
from controller.ipam.outcome import failed
from controller.ipam.units import Cooling
from controller.precondition import WHATEVER, Match
from controller.problem import Fault, Problem, not_found
from controller.reading import Found
from controller.scope import EVERYTHING, Scope
from controller.sheet import Sheet
from controller.turn import Turn
from controller.waiting import wait
from store import keys
from store.client import Absent, Store
from store.errors import Corrupt, LeaseExpired
from store.model import AddressState, Endpoint, EndpointState

log = logging.getLogger(__name__)

ATTEMPTS = 24
SHARED_S = 1.0
"""Cooldowns that begin within so many seconds share a lease: a lease costs etcd as much as a write."""


class Cooldowns:
    """The leases that end cooldowns. Safe to call from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = Turn()
        self._leases: dict[int, tuple[int, float]] = {}

    def lease(self, cooldown_s: int) -> int:
        """A lease that ends `cooldown_s` to `cooldown_s + 1` seconds from now; 0 for no cooldown."""
        if cooldown_s == 0:
            return 0
        with self._turn:
            now, leases = time.monotonic(), self._leases
            lease_id, granted = leases.get(cooldown_s, (0, now - SHARED_S))
            if now - granted >= SHARED_S:
                lease_id = self._store.grant(cooldown_s + 1)
                leases[cooldown_s] = (lease_id, now)
            return lease_id

    def forget(self) -> None:
        """A lease has ended before it was used: grant new ones."""
        self._leases = {}  # one that is granted meanwhile is of the former ones


@dataclass(frozen=True, slots=True)
class Wish:
    """An endpoint that somebody wants to end."""

    id: str
    uid: str | None = None
    """Of the assignment that is meant: one made later under the same id is left alone."""
    match: Match = WHATEVER
    """What is demanded of it."""


Outcome = Endpoint | Problem | None
"""The endpoint is gone (None), or its record while its node cleans up, or why it stays."""


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
            uid: of the assignment that is meant.
            scope: what exists for the caller.
            cooldown: whether its addresses cool down when it ends now.

        Raises:
            Problem: there is no such endpoint in `scope`, or it is not the one that `match` or `uid` demands.
        """
        (outcome,) = self.release_many([Wish(endpoint_id, uid, match)], scope, cooldown=cooldown)
        if isinstance(outcome, Problem):
            raise outcome
        return outcome

    def release_many(
        self, wishes: Sequence[Wish], scope: Scope = EVERYTHING, *, cooldown: bool = True
    ) -> list[Outcome]:
        """Likewise, many endpoints, no two the same, each on its own account: what becomes of each.

        What has to be known of them is read together, and their transactions are shared.
        """
        outcomes: dict[str, Outcome] = {}
        left = list(wishes)
        for attempt in range(ATTEMPTS):
            sheet = Sheet(self._store, [keys.ENDPOINTS.key(wish.id) for wish in left])
            records = []
            for wish in left:
                found = _judge(wish, sheet, scope, again=attempt > 0)
                if isinstance(found, Found):
                    records.append((replace(wish, uid=found.value.uid), found))
                else:
                    outcomes[wish.id] = found
            outcomes |= self._end_or_mark([found for _, found in records], cooldown)
            left = [wish for wish, _ in records if wish.id not in outcomes]
            if not left:
                break
        outcomes |= {wish.id: _busy(wish.id) for wish in left}
        return [outcomes[wish.id] for wish in wishes]

    def finalise(self, found: Found[Endpoint]) -> bool:
        """End the endpoint if no node holds anything of it; False when one does, or the record has changed.

        A node that is no longer known holds nothing. False as well when what it holds cannot be read.
        """
        return self._end([found], cooldown=True) == {found.value.id: None}

    def can_end(self, found: Found[Endpoint]) -> bool:
        """Whether no node holds anything of it: then something came in between where it was not ended."""
        (hold,) = holds(self._store, [found])
        return not isinstance(hold, Corrupt) and self._proof(hold) is not None

    def _end_or_mark(self, records: Sequence[Found[Endpoint]], cooldown: bool) -> dict[str, Outcome]:
        """What becomes of each, by id; those that are left out have changed."""
        settled: dict[str, Outcome] = {**self._end(records, cooldown=cooldown)}
        asked = []
        for found in records:
            if found.value.id in settled:
                continue
            if found.value.state is EndpointState.RELEASING:
                settled[found.value.id] = found.value
            else:
                asked.append((found, self._committer.submit(units.mark_releasing(found))))
        marked = [
            Found(found.value.model_copy(update={"state": EndpointState.RELEASING}), found.key, revision)
            for found, future in asked
            if (revision := wait(future))
        ]
        settled |= {found.value.id: found.value for found in marked}
        # A node that let go of it before it was marked has nothing to say any more.
        return settled | (self._end(marked, cooldown=cooldown) if marked else {})

    def _end(self, records: Sequence[Found[Endpoint]], *, cooldown: bool) -> dict[str, Problem | None]:
        """End those of which no node holds anything: None by their ids, and why by those of the illegible."""
        ended: dict[str, Problem | None] = {}
        for _ in range(2):
            planned = []
            for record, hold in zip(records, holds(self._store, records), strict=True):
                if isinstance(hold, Corrupt):
                    ended[record.value.id] = _illegible(record.value.id, hold)
                elif (proof := self._proof(hold)) is not None:
                    unit = units.release(Ending.of(record), proof, self._cooling(hold, cooldown))
                    planned.append((record, unit))
            futures = self._committer.submit_all([unit for _, unit in planned]) if planned else []
            records = []
            for (found, _), future in zip(planned, futures, strict=True):
                try:
                    if wait(future):
                        ended[found.value.id] = None
                except LeaseExpired:
                    records.append(found)
            if not records:
                break
            self._cooldowns.forget()
        return ended

    def _proof(self, hold: Hold) -> list[Absent] | None:
        """That no node holds anything of it; None when one does."""
        if hold.here is None:
            return None
        proof = [hold.here]
        for node in hold.former_nodes:
            absent = let_go(self._store, node, hold.endpoint.value.id)
            if absent is None:
                return None
            proof.append(absent)
        return proof

    def _cooling(self, hold: Hold, cooldown: bool) -> list[Cooling]:
        """Each address cools down as its own pool says."""
        now = self._clock()
        return [
            units.cooling(
                each.address.key,
                each.address.value.model_dump(),
                each.block.value.node,
                now,
                cooldown_s,
                self._cooldowns.lease(cooldown_s),
            )
            for each in hold.held
            if each.address.value.state is AddressState.ASSIGNED
            for cooldown_s in (each.pool.value.cooldown_s if cooldown else 0,)
        ]


def _judge(wish: Wish, sheet: Sheet, scope: Scope, *, again: bool) -> Found[Endpoint] | Problem | None:
    """The record that is to end, or why it is not to; None when it was there and is gone."""
    try:
        found = sheet.find(keys.ENDPOINTS, wish.id)
    except Corrupt as fault:
        return _illegible(wish.id, fault)
    if found is None or not scope.has(found.value):
        return None if again else not_found("endpoint", wish.id)
    if wish.uid not in {None, found.value.uid}:
        return None if again else _other_assignment(found.value)
    try:
        wish.match.demand(f"endpoint {wish.id}", found.mod_revision)
    except Problem as problem:
        return problem
    return found


def _illegible(endpoint_id: str, fault: Corrupt) -> Problem:
    log.error("event=corrupt-value key=%s why=%r", fault.key, str(fault))
    return failed(endpoint_id, fault)


def _busy(endpoint_id: str) -> Problem:
    return Problem("busy", f"endpoint {endpoint_id} keeps changing", retry_after_s=1)


def _other_assignment(endpoint: Endpoint) -> Problem:
    detail = (
        f"endpoint {endpoint.id} is another assignment now, with uid {endpoint.uid}; "
        "the one that was meant is gone"
    )
    return Problem("conflict", detail, errors=[Fault(detail, parameter="uid")])
