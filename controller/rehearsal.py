"""A store that a request can write to without anything happening: what it would do is then known.

Reads go to the real store, with what was written here in place of what is there. So the very parts that make
a write can be tried, with all that they check and refuse, one write after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from controller.ipam.tally import OverQuota, usage_of
from controller.ipam.unit import Unit
from controller.reading import put
from store import keys
from store.client import Compare, DeletePrefix, KeyValue, Op, Put, Range, Store, TxnResult
from store.model import Usage

PAGE = 1000
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
        self._gone: list[str] = []
        self._written: dict[str, bytes | None] = {}
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
                self._gone.append(op.prefix)
                self._written = {key: v for key, v in self._written.items() if not key.startswith(op.prefix)}
            else:
                self._written[op.key] = op.value if isinstance(op, Put) else None
        return TxnResult(True, UNWRITTEN)

    def get(self, key: str) -> KeyValue | None:
        """See `Store.get`."""
        if key in self._written:
            return self._item(key)
        return None if self._is_gone(key) else self._store.get(key)

    def get_many(self, keys: Sequence[str]) -> Mapping[str, KeyValue]:
        """See `Store.get_many`."""
        there = self._store.get_many([key for key in keys if key not in self._written])
        found = {key: item for key, item in there.items() if not self._is_gone(key)}
        return found | {key: item for key in keys if (item := self._item(key)) is not None}

    def range(
        self, prefix: str, *, limit: int = 0, after: str = "", before: str = "", revision: int = 0
    ) -> Range:
        """See `Store.range`. Where something was written all of it is one page."""
        if not self._touches(prefix):
            return self._store.range(prefix, limit=limit, after=after, before=before, revision=revision)
        items, at = self._all(prefix, after, before, revision)
        return Range(tuple(self._merged(items, prefix, after, before)), at)

    def count(self, prefixes: Sequence[str]) -> list[int]:
        """See `Store.count`."""
        return [len(self.range(prefix).items) for prefix in prefixes]

    @property
    def written(self) -> Mapping[str, bytes | None]:
        """What is written, by key; None is deleted."""
        return self._written

    def removes(self, key: str) -> bool:
        """Whether what is at a key in the store is deleted, and nothing written in its place."""
        return self._written[key] is None if key in self._written else self._is_gone(key)

    def _all(self, prefix: str, after: str, before: str, revision: int) -> tuple[list[KeyValue], int]:
        items: list[KeyValue] = []
        more = True
        while more:
            page = self._store.range(prefix, limit=PAGE, after=after, before=before, revision=revision)
            items += page.items
            revision, more = page.revision, page.more
            after = page.items[-1].key if more else after
        return items, revision

    def _merged(self, items: Sequence[KeyValue], prefix: str, after: str, before: str) -> Iterator[KeyValue]:
        kept = {item.key: item for item in items if not self._is_gone(item.key)}
        for key in self._written:
            if key.startswith(prefix) and after < key and (not before or key < before):
                kept.pop(key, None)
                if (item := self._item(key)) is not None:
                    kept[key] = item
        return (kept[key] for key in sorted(kept))

    def _item(self, key: str) -> KeyValue | None:
        value = self._written.get(key)
        return KeyValue(key, value, UNWRITTEN, UNWRITTEN) if value is not None else None

    def _is_gone(self, key: str) -> bool:
        return key.startswith(tuple(self._gone))

    def _touches(self, prefix: str) -> bool:
        return any(key.startswith(prefix) for key in self._written) or any(
            gone.startswith(prefix) or prefix.startswith(gone) for gone in self._gone
        )
