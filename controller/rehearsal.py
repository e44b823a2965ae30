"""A store that a request can write to without anything happening: what it would do is then known.

Reads go to the real store, with what was written here in place of what is there. So the very parts that make
a write can be tried, with all that they check and refuse, one write after the other. What is below a prefix
is read once, and kept as it then is: many writes may each look at all of a kind.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from operator import attrgetter

from controller.ipam.tally import OverQuota, usage_of
from controller.ipam.unit import Unit
from controller.reading import put
from store import keys
from store.client import Compare, DeletePrefix, KeyValue, Op, Put, Range, Store, TxnResult
from store.model import Usage

PAGE = 1000
KEY = attrgetter("key")
UNWRITTEN = 1
"""The revision of what is written here: nobody compares it."""

UNGRANTED = 1
"""The lease of what would end by itself: there is none."""


class Rehearsal:
    """The Store protocol over another store, and a committer of units. For one thread.

    Compares are taken to hold: what they are about was read a moment ago, and nothing is done in any case.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: dict[str, bytes | None] = {}
        self._below: dict[str, tuple[list[KeyValue], int]] = {}
        """What is below prefixes after all that was written, by key, and the revision that it is of."""
        self.units: list[Unit] = []
        """What would be committed, in its order."""
        self.watch, self.keep_alive = store.watch, store.keep_alive
        self.cluster_id, self.close = store.cluster_id, store.close

    def commit(self, unit: Unit) -> int:
        """As `Committer.commit`."""
        charge = unit.charge
        if charge is not None:
            used = usage_of(self, charge.tenant).usage
            if charge.excess(used):
                raise OverQuota(charge)
            self.txn((), (put(keys.USAGE, charge.added(used), charge.tenant),))
        self.units.append(unit)
        return self.txn(unit.compares, unit.ops).revision

    def confirm(self, over: OverQuota) -> Usage | None:
        """As `Committer.confirm`."""
        used = usage_of(self, over.charge.tenant).usage
        return used if over.charge.excess(used) else None

    def grant(self, ttl_s: int) -> int:
        """See `Store.grant`. Nothing is granted."""
        return UNGRANTED

    def revoke(self, lease_id: int) -> None:
        """See `Store.revoke`. Nothing ends."""

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        """See `Store.txn`."""
        for op in ops:
            if isinstance(op, DeletePrefix):
                for item in self.range(op.prefix).items:
                    self._write(item.key, None)
            else:
                self._write(op.key, op.value if isinstance(op, Put) else None)
        return TxnResult(True, UNWRITTEN)

    def get(self, key: str) -> KeyValue | None:
        """See `Store.get`."""
        return self._item(key) if key in self._written else self._store.get(key)

    def get_many(self, keys: Sequence[str]) -> Mapping[str, KeyValue]:
        """See `Store.get_many`."""
        found = self._store.get_many([key for key in keys if key not in self._written])
        return {**found, **{key: item for key in keys if (item := self._item(key)) is not None}}

    def range(
        self, prefix: str, *, limit: int = 0, after: str = "", before: str = "", revision: int = 0
    ) -> Range:
        """See `Store.range`. All of it is one page, as of the revision at which the prefix was read first."""
        if prefix not in self._below:
            self._below[prefix] = self._read(prefix, revision)
        items, at = self._below[prefix]
        end = bisect_left(items, before, key=KEY) if before else len(items)
        return Range(tuple(items[bisect_right(items, after, key=KEY) : end]), at)

    def count(self, prefixes: Sequence[str]) -> list[int]:
        """See `Store.count`."""
        return [len(self.range(prefix).items) for prefix in prefixes]

    @property
    def written(self) -> Mapping[str, bytes | None]:
        """What is written, by key; None is deleted."""
        return self._written

    def removes(self, key: str) -> bool:
        """Whether what is at a key in the store is deleted, and nothing written in its place."""
        return key in self._written and self._written[key] is None

    def _write(self, key: str, value: bytes | None) -> None:
        self._written[key] = value
        item = self._item(key)
        for end in range(len(key) + 1):
            if (below := self._below.get(key[:end])) is not None:
                _put(below[0], key, item)

    def _read(self, prefix: str, revision: int) -> tuple[list[KeyValue], int]:
        items: list[KeyValue] = []
        after, more = "", True
        while more:
            page = self._store.range(prefix, limit=PAGE, after=after, revision=revision)
            items += page.items
            revision, more = page.revision, page.more
            after = page.items[-1].key if more else ""
        for key in self._written:
            if key.startswith(prefix):
                _put(items, key, self._item(key))
        return items, revision

    def _item(self, key: str) -> KeyValue | None:
        value = self._written.get(key)
        return KeyValue(key, value, UNWRITTEN, UNWRITTEN) if value is not None else None


def _put(items: list[KeyValue], key: str, item: KeyValue | None) -> None:
    """Have an item in its place at a key, in that of what is there; None is nothing."""
    place = bisect_left(items, key, key=KEY)
    there = place < len(items) and items[place].key == key
    items[place : place + there] = [] if item is None else [item]
