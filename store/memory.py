"""The Store in the memory of one process, with etcd's semantics: revisions, leases, compaction, watches.

One lock guards a `History`. Leases end by an injected clock: what an operation or a waiting watch sees
is as of now, and `expire` applies a clock that a test has moved. Used where a test wants a real store
that is quick; `set_available` and `lose_answer` show its users the faults that the network has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from store.client import (
    MAX_TXN_OPS,
    Absent,
    Change,
    Changed,
    Compare,
    Delete,
    DeletePrefix,
    Exists,
    KeyValue,
    Op,
    PrefixEmpty,
    PrefixUnwritten,
    Put,
    Range,
    Removed,
    TxnResult,
    Unchanged,
    key_of,
)
from store.errors import Compacted, Invalid, LeaseExpired, Unavailable
from store.history import History


@dataclass(slots=True)
class _Lease:
    ttl_s: int
    expires: float


class MemoryStore:
    """The Store protocol in memory; see `store.client.Store`.

    Args:
        clock: seconds that never go back; leases end by it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._history = History()
        self._leases: dict[int, _Lease] = {}
        self._lease_of: dict[str, int] = {}
        self._last_lease = 0
        self._available = True
        self._outages = 0
        self._lose_answer = False
        self._closed = False
        self._cluster_id = "1"
        self._changed = threading.Condition(threading.RLock())

    def get(self, key: str) -> KeyValue | None:
        with self._changed:
            self._begin()
            return self._history.at(key)

    def range(
        self, prefix: str, *, limit: int = 0, after: str = "", before: str = "", revision: int = 0
    ) -> Range:
        with self._changed:
            self._begin()
            if revision and revision < self._history.compacted:
                raise Compacted(self._history.compacted)
            self._refuse_future(revision)
            below = self._history.below(prefix, revision)
            found = (item for item in below if after < item.key and (not before or item.key < before))
            items = tuple(islice(found, limit or None))
            return Range(items, revision or self._history.revision, next(found, None) is not None)

    def get_many(self, keys: Sequence[str]) -> Mapping[str, KeyValue]:
        return {key: item for key in keys if (item := self.get(key)) is not None}

    def count(self, prefixes: Sequence[str]) -> list[int]:
        return [len(self.range(prefix).items) for prefix in prefixes]

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        if max(len(compares), len(ops)) > MAX_TXN_OPS:
            raise Invalid(f"a transaction takes {MAX_TXN_OPS} compares and as many operations, not more")
        _refuse_overlap(ops)
        with self._changed:
            self._begin()
            if not all(_holds(compare, self._history) for compare in compares):
                return TxnResult(False, self._history.revision)
            for op in ops:
                if isinstance(op, Put) and op.lease_id:
                    self._lease(op.lease_id)
            self._write(ops)
            if self._lose_answer and ops:
                self._lose_answer = False
                raise Unavailable("the answer was lost", outcome_unknown=True)
            return TxnResult(True, self._history.revision)

    def watch(
        self,
        prefixes: Sequence[str],
        *,
        start_revision: int,
        previous: bool = False,
        in_order: bool = False,
        removals: Sequence[str] = (),
    ) -> MemoryWatch:
        with self._changed:
            self._begin()
            return MemoryWatch(
                self, tuple(prefixes), start_revision, previous=previous, removals=tuple(removals)
            )

    def grant(self, ttl_s: int) -> int:
        if ttl_s < 1:
            raise Invalid(f"a lease lasts at least 1 second, not {ttl_s}")
        with self._changed:
            self._begin()
            self._last_lease += 1
            self._leases[self._last_lease] = _Lease(ttl_s, self._clock() + ttl_s)
            self._changed.notify_all()  # a waiting watch has to wake in time for its end
            return self._last_lease

    def keep_alive(self, lease_id: int) -> int:
        with self._changed:
            self._begin()
            lease = self._lease(lease_id)
            lease.expires = self._clock() + lease.ttl_s
            return lease.ttl_s

    def revoke(self, lease_id: int) -> None:
        with self._changed:
            self._begin()
            self._end_lease(lease_id)

    def compact(self, revision: int) -> None:
        """Forget the history before `revision`, as etcd does by itself."""
        with self._changed:
            self._begin()
            self._refuse_future(revision)
            self._history.compact(revision)
            self._changed.notify_all()

    def cluster_id(self) -> str:
        return self._cluster_id

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def expire(self) -> None:
        """Apply the end of every lease whose time is over by the clock."""
        with self._changed:
            now = self._clock()
            for lease_id in [each for each, lease in self._leases.items() if lease.expires <= now]:
                self._end_lease(lease_id)

    def set_available(self, available: bool) -> None:
        """Go away, or come back: while away, open watches break and every operation is refused."""
        with self._changed:
            self._outages += self._available and not available
            self._available = available
            self._changed.notify_all()

    def set_cluster_id(self, cluster_id: str) -> None:
        """Be another cluster, as after a backup was restored; open watches break."""
        with self._changed:
            self._cluster_id = cluster_id
            self._outages += 1
            self._changed.notify_all()

    def lose_answer(self) -> None:
        """Apply the next transaction that writes, but raise Unavailable with `outcome_unknown`."""
        with self._changed:
            self._lose_answer = True

    def _begin(self) -> None:
        if self._closed:
            raise Unavailable("the store was closed")
        if not self._available:
            raise Unavailable("the store is away")
        self.expire()

    def _refuse_future(self, revision: int) -> None:
        if revision > self._history.revision:
            raise Invalid(f"revision {revision} is in the future of {self._history.revision}")

    def _write(self, ops: Sequence[Op]) -> None:
        for change in self._history.write(ops):
            if isinstance(change, Changed) and change.item.lease_id:
                self._lease_of[key_of(change)] = change.item.lease_id
            else:
                self._lease_of.pop(key_of(change), None)
        self._changed.notify_all()

    def _lease(self, lease_id: int) -> _Lease:
        if lease_id not in self._leases:
            raise LeaseExpired(f"lease {lease_id:x} is gone")
        return self._leases[lease_id]

    def _end_lease(self, lease_id: int) -> None:
        if self._leases.pop(lease_id, None) is not None:
            keys = sorted(key for key, each in self._lease_of.items() if each == lease_id)
            self._write([Delete(key) for key in keys])


class MemoryWatch:
    """An open watch; see `store.client.Watch`. Made by `MemoryStore.watch`, whose lock it shares."""

    def __init__(
        self,
        store: MemoryStore,
        prefixes: tuple[str, ...],
        start_revision: int,
        *,
        previous: bool,
        removals: tuple[str, ...],
    ) -> None:
        self._store = store
        self._previous = previous
        self._prefixes = prefixes
        self._removals = removals
        self._next = start_revision or store._history.revision + 1
        self._outages = store._outages
        self._closed = False

    def __iter__(self) -> Iterator[tuple[Change, ...]]:
        while (changes := self._wait()) is not None:
            yield changes

    def close(self) -> None:
        with self._store._changed:
            self._closed = True
            self._store._changed.notify_all()

    def _wait(self) -> tuple[Change, ...] | None:
        """The changes of the next revision that has some; None once closed. An error closes the watch."""
        store = self._store
        with store._changed:
            while not (self._closed or store._closed):
                store.expire()
                try:
                    if changes := self._take():
                        return changes
                except (Unavailable, Compacted):
                    self._closed = True
                    raise
                store._changed.wait(self._patience_s())
        return None

    def _take(self) -> tuple[Change, ...]:
        if self._outages != self._store._outages:
            raise Unavailable("the store went away")
        history = self._store._history
        if max(1, self._next - 1) < history.compacted:
            raise Compacted(history.compacted)
        for revision, changes in history.since(self._next):
            self._next = revision + 1
            if mine := tuple(filter(self._is_wanted, changes)):
                return tuple(map(self._with_before, mine)) if self._previous else mine
        self._next = max(self._next, history.revision + 1)
        return ()

    def _is_wanted(self, change: Change) -> bool:
        key = key_of(change)
        return key.startswith(self._prefixes) or (
            isinstance(change, Removed) and key.startswith(self._removals)
        )

    def _with_before(self, change: Change) -> Change:
        return replace(change, before=self._store._history.before(change))

    def _patience_s(self) -> float | None:
        ends = [lease.expires for lease in self._store._leases.values()]
        return max(0.0, min(ends) - self._store._clock()) if ends else None


def _holds(compare: Compare, history: History) -> bool:
    match compare:
        case Absent(key):
            return history.at(key) is None
        case Exists(key):
            return history.at(key) is not None
        case Unchanged(key, revision):
            item = history.at(key)
            return (item.mod_revision if item else 0) == revision
        case PrefixEmpty(prefix):
            return next(history.below(prefix), None) is None
        case PrefixUnwritten(prefix, revision):
            return all(item.mod_revision <= revision for item in history.below(prefix))


def _refuse_overlap(ops: Sequence[Op]) -> None:
    """As etcd does: no key is put twice, and none is both put and deleted."""
    puts = [op.key for op in ops if isinstance(op, Put)]
    deletes = {op.key for op in ops if isinstance(op, Delete)}
    prefixes = tuple(op.prefix for op in ops if isinstance(op, DeletePrefix))
    if len(set(puts)) < len(puts):
        raise Invalid("a transaction puts a key twice")
    if any(key in deletes or key.startswith(prefixes) for key in puts):
        raise Invalid("a transaction puts and deletes the same key")
