"""Many units through the committer: merged into large ones, of which some are under way at a time.

So a hundred thousand units cost a few thousand transactions, and a request of somebody else is in one of the
next. Units are merged with those of the same tenant, so that a merged one has one charge. What all of them
rest on is compared once in each. When a merged one does not hold, or the store refuses it, its parts are
committed one by one: each is lost on its own account.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, TypeVar

from controller.ipam.committer import Committer
from controller.ipam.tally import Charge
from controller.ipam.unit import Unit
from controller.promise import Promise
from store.client import Compare
from store.errors import Invalid, LeaseExpired

log = logging.getLogger(__name__)

UNDER_WAY = 2
FULL = 120
"""Operations, or compares, of a merged unit: the committer may have to add some of its own."""

T = TypeVar("T")


@dataclass(slots=True)
class _Load(Generic[T]):
    """Units that will be one."""

    parts: list[tuple[Unit, T]] = field(default_factory=list)
    ops: int = 0
    compares: int = 0

    def add(self, unit: Unit, stands_for: T) -> None:
        self.parts.append((unit, stands_for))
        self.ops += len(unit.ops)
        self.compares += len(unit.compares)


class Window(Generic[T]):
    """Commits units that do not meet, and remembers what the applied ones stood for. One thread at a time."""

    def __init__(self, committer: Committer, proof: tuple[Compare, ...] = ()) -> None:
        """`proof` is what must hold for each of the units, beside what it compares itself."""
        self._committer = committer
        self._proof = proof
        self._loads: dict[str | None, _Load[T]] = {}
        self._under_way: deque[tuple[Promise[int], list[tuple[Unit, T]]]] = deque()
        self._applied: list[T] = []
        self.lease_expired = False
        """A unit was refused because its lease had ended."""

    def submit(self, unit: Unit, stands_for: T) -> None:
        """Queue a unit. Blocking while too many are under way. Raises what the committer does."""
        tenant = unit.charge.tenant if unit.charge else None
        load = self._loads.setdefault(tenant, _Load())
        if load.parts and not self._has_room(load, unit):
            self._send(load)
            load = self._loads[tenant] = _Load()
        load.add(unit, stands_for)

    def drain(self, last: tuple[Unit, T] | None = None) -> list[T]:
        """Wait for all; returns what was applied since the time before. Raises what the committer does.

        `last` is committed when all others are settled, save those that share its transaction.
        """
        *loads, final = self._loads.values() or (_Load[T](),)
        self._loads = {}
        for load in loads:
            self._send(load)
        if last is not None:
            self._settle_all()
            if not self._has_room(final, last[0]):
                self._send(final)
                self._settle_all()
                final = _Load()
            final.add(*last)
        if final.parts:
            self._send(final)
        self._settle_all()
        applied, self._applied = self._applied, []
        return applied

    def _has_room(self, load: _Load[T], unit: Unit) -> bool:
        compares = len(self._proof) + load.compares + len(unit.compares)
        return max(load.ops + len(unit.ops), compares) <= FULL

    def _send(self, load: _Load[T]) -> None:
        if len(self._under_way) >= UNDER_WAY:
            self._settle()
        whole = self._whole([unit for unit, _ in load.parts])
        self._under_way.append((self._committer.submit(whole), load.parts))

    def _whole(self, units: Sequence[Unit]) -> Unit:
        """One unit that does what all of these do. A compare that is made twice does no harm."""
        compares = chain(self._proof, *(unit.compares for unit in units))
        return Unit(tuple(compares), tuple(chain(*(unit.ops for unit in units))), _total(units))

    def _settle_all(self) -> None:
        while self._under_way:
            self._settle()

    def _settle(self) -> None:
        future, parts = self._under_way.popleft()
        if self._holds(future):
            self._applied.extend(stands_for for _, stands_for in parts)
        elif len(parts) > 1:
            alone = [(self._committer.submit(self._whole([unit])), stands_for) for unit, stands_for in parts]
            self._applied.extend(stands_for for each, stands_for in alone if self._holds(each))

    def _holds(self, future: Promise[int]) -> bool:
        try:
            return bool(future.result())
        except LeaseExpired:
            self.lease_expired = True
            return False
        except Invalid as fault:
            log.error("event=unit-refused why=%r", str(fault))
            return False


def _total(units: Sequence[Unit]) -> Charge | None:
    """What units of one tenant add to its use together."""
    charges = [unit.charge for unit in units if unit.charge]
    if not charges:
        return None
    ipv4, ipv6 = sum(each.ipv4 for each in charges), sum(each.ipv6 for each in charges)
    return Charge(charges[0].tenant, ipv4, ipv6)
