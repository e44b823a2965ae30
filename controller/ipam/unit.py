"""A unit of work on the store: what must hold, and what is then written, all or nothing.

Units that do not meet are merged into one transaction; the committer does that, this module says when
two of them meet. What a unit changes in a tenant's use it only declares: the committer writes the sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from controller.ipam.tally import Charge
from store.client import (
    MAX_TXN_OPS,
    Absent,
    Compare,
    Delete,
    DeletePrefix,
    Exists,
    KeyValue,
    Op,
    PrefixEmpty,
    PrefixUnwritten,
    Put,
    Store,
)

OF_PREFIX = (PrefixEmpty, PrefixUnwritten)
"""Compares of all keys that begin alike."""


class Unit(NamedTuple):
    """Compares and operations that succeed or fail together. No key is written twice."""

    compares: tuple[Compare, ...]
    ops: tuple[Op, ...]
    charge: Charge | None = None


class Batch:
    """Units that can share one transaction: none writes what another compares or writes."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self._written: set[str] = set()
        self._touched: set[str] = set()
        self._prefixes: set[str] = set()
        self._compares: set[Compare] = set()
        self._more: list[Compare] = []
        """Compares that are not looked through yet for those that are shared."""
        self._tenants: set[str] = set()
        self.ops = 0
        """How many the units have."""

    def has_room(self, unit: Unit) -> bool:
        """Whether the transaction would not be too large with this unit. A lone unit always has room."""
        if not self.units:
            return True
        # Each tenant's sum takes one of either, and what recalls the transaction one compare.
        sums = len(self._tenants) + (unit.charge is not None and unit.charge.tenant not in self._tenants)
        room = MAX_TXN_OPS - sums
        if self.ops + len(unit.ops) > room:
            return False
        if (
            len(self._compares) + len(self._more) + len(unit.compares) < room
        ):  # however few of them are shared
            return True
        self._compares.update(self._more)
        self._more.clear()
        return len(self._compares.union(unit.compares)) < room

    def add(self, unit: Unit) -> bool:
        """Take in a unit that there is room for; False when it meets one that is in."""
        if self.units:  # a lone one meets none: its keys are looked at when another comes
            if len(self.units) == 1:
                self._note(*_footprint(self.units[0]))
            footprint = _footprint(unit)
            if self._meets(*footprint):
                return False
            self._note(*footprint)
        self.units.append(unit)
        self._more += unit.compares
        self.ops += len(unit.ops)
        if unit.charge is not None:
            self._tenants.add(unit.charge.tenant)
        return True

    def _note(self, written: set[str], touched: set[str], prefixes: set[str]) -> None:
        self._written |= written
        self._touched |= touched
        self._prefixes |= prefixes

    def _meets(self, written: set[str], touched: set[str], prefixes: set[str]) -> bool:
        return not (
            self._touched.isdisjoint(written)
            and self._written.isdisjoint(touched)
            and not _covers(self._prefixes, written)
            # Prefixes that others have, too, were looked at when each key came.
            and not _covers(prefixes - self._prefixes, self._written)
        )


def _footprint(unit: Unit) -> tuple[set[str], set[str], set[str]]:
    """The keys that a unit writes, those that it compares or writes, and the prefixes of either."""
    written, touched, prefixes = set(), set(), set()
    for op in unit.ops:
        if isinstance(op, DeletePrefix):
            prefixes.add(op.prefix)
        else:
            written.add(op.key)
    for compare in unit.compares:
        if isinstance(compare, OF_PREFIX):
            prefixes.add(compare.prefix)
        else:
            touched.add(compare.key)
    return written, touched | written, prefixes


def _covers(prefixes: set[str], keys: Iterable[str]) -> bool:
    starts = tuple(prefixes)
    return bool(starts) and any(key.startswith(starts) for key in keys)


def merged(units: list[Unit]) -> Unit:
    """One unit that does what all of these do. A compare that several share is made once."""
    if len(units) == 1:
        return units[0]
    compares = dict.fromkeys(compare for unit in units for compare in unit.compares)
    return Unit(tuple(compares), tuple(op for unit in units for op in unit.ops))


def losers(store: Store, units: Sequence[Unit]) -> list[bool]:
    """Of each unit, whether one of its compares does not hold now; those of a prefix are not looked at."""
    touched = {
        compare.key for unit in units for compare in unit.compares if not isinstance(compare, OF_PREFIX)
    }
    held = store.get_many(sorted(touched))
    return [not all(_holds(compare, held) for compare in unit.compares) for unit in units]


def _holds(compare: Compare, held: Mapping[str, KeyValue]) -> bool:
    if isinstance(compare, OF_PREFIX):
        return True
    item = held.get(compare.key)
    if isinstance(compare, Absent) or item is None:
        return isinstance(compare, Absent) and item is None
    return isinstance(compare, Exists) or item.mod_revision == compare.mod_revision


def applied_at(store: Store, unit: Unit) -> int:
    """Read back whether the store is as this unit leaves it: the way out when an answer was lost.

    Returns:
        A revision at which what it writes is there, 0 when it is not as the unit leaves it.
    """
    revisions = [_held_at(store, op) for op in unit.ops]
    return max(revisions) if all(revisions) else 0


def _held_at(store: Store, op: Op) -> int:
    if isinstance(op, Put):
        item = store.get(op.key)
        return item.mod_revision if item is not None and item.value == op.value else 0
    there = store.get(op.key) if isinstance(op, Delete) else store.range(op.prefix, limit=1).items
    return 0 if there else 1
