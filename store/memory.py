"""The Store in the memory of one process, with etcd's semantics: revisions, leases, compaction, watches.

Each key keeps its versions since the last compaction, and a log keeps the changes for watches. One
lock guards all. Leases end by an injected clock: whatever an operation or a waiting watch sees is as of
now, and `expire` applies a clock that a test has moved. Used where a test wants a real store that is
quick; `set_available` and `lose_answer` show its users the faults that the network has.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

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
)
from store.errors import Compacted, Invalid, LeaseExpired, Unavailable


@dataclass(slots=True)
class _Lease:
    ttl_s: int
    expires: float
    keys: set[str] = field(default_factory=set)


class MemoryStore:
    """The Store protocol in memory; see `store.client.Store`.

    Args:
        clock: seconds that never go back; leases end by it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._revision = 1
        self._compacted = 0
        self._versions: dict[str, list[Change]] = {}
        self._keys: list[str] = []  # of _versions, sorted
        self._log: list[tuple[int, tuple[Change, ...]]] = []
        self._leases: dict[int, _Lease] = {}
        self._last_lease = 0
        self._available = True
        self._lose_answer = False
        self._closed = False
        self._outages = 0
        self._changed = threading.Condition(threading.RLock())

    def get(self, key: str) -> KeyValue | None:
        with self._changed:
            self._begin()
            return self._live(key)

    def range(self, prefix: str, *, limit: int = 0, after: str = "", revision: int = 0) -> Range:
        with self._changed:
            self._begin()
            if revision and revision < self._compacted:
                raise Compacted(self._compacted)
            if revision > self._revision:
                raise Invalid(f"revision {revision} is in the future of {self._revision}")
            found = (self._live(key, revision) for key in self._below(prefix) if key > after)
            items = tuple(item for item in found if item is not None)
            more = 0 < limit < len(items)
            return Range(items[:limit] if more else items, revision or self._revision, more)

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        if max(len(compares), len(ops)) > MAX_TXN_OPS:
            raise Invalid(f"a transaction takes {MAX_TXN_OPS} compares and as many operations, not more")
        _refuse_overlap(ops)
        with self._changed:
            self._begin()
            if not all(self._holds(compare) for compare in compares):
                return TxnResult(False, self._revision)
            self._check_leases(ops)
            self._write(ops)
            if self._lose_answer and ops:
                self._lose_answer = False
                raise Unavailable("the answer was lost", outcome_unknown=True)
            return TxnResult(True, self._revision)

    def watch(self, prefixes: Sequence[str], *, start_revision: int) -> MemoryWatch:
        with self._changed:
            self._begin()
            return MemoryWatch(self, tuple(prefixes), start_revision)

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
            lease = self._leases.get(lease_id)
            if lease is None:
                raise LeaseExpired(f"lease {lease_id:x} is gone")
            lease.expires = self._clock() + lease.ttl_s
            return lease.ttl_s

    def revoke(self, lease_id: int) -> None:
        with self._changed:
            self._begin()
            self._end_lease(lease_id)

    def compact(self, revision: int) -> None:
        with self._changed:
            self._begin()
            if revision > self._revision:
                raise Invalid(f"revision {revision} is in the future of {self._revision}")
            self._compacted = max(self._compacted, revision)
            self._log = [entry for entry in self._log if entry[0] >= self._compacted]
            for key in list(self._versions):
                self._forget(key)
            self._changed.notify_all()

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

    def _live(self, key: str, revision: int = 0) -> KeyValue | None:
        """The key as of a revision; 0 is now."""
        for version in reversed(self._versions.get(key, ())):
            if not revision or _revision(version) <= revision:
                return version.item if isinstance(version, Changed) else None
        return None

    def _below(self, prefix: str) -> Iterator[str]:
        for index in range(bisect_left(self._keys, prefix), len(self._keys)):
            if not self._keys[index].startswith(prefix):
                return
            yield self._keys[index]

    def _living(self, prefix: str) -> list[KeyValue]:
        return [item for key in self._below(prefix) if (item := self._live(key)) is not None]

    def _holds(self, compare: Compare) -> bool:
        match compare:
            case Absent(key):
                return self._live(key) is None
            case Exists(key):
                return self._live(key) is not None
            case Unchanged(key, revision):
                item = self._live(key)
                return (item.mod_revision if item else 0) == revision
            case PrefixEmpty(prefix):
                return not self._living(prefix)
            case PrefixUnwritten(prefix, revision):
                return all(item.mod_revision <= revision for item in self._living(prefix))

    def _check_leases(self, ops: Sequence[Op]) -> None:
        for op in ops:
            if isinstance(op, Put) and op.lease_id and op.lease_id not in self._leases:
                raise LeaseExpired(f"lease {op.lease_id:x} is gone")

    def _write(self, ops: Sequence[Op]) -> None:
        """Apply operations as one revision, if they change anything."""
        revision = self._revision + 1
        changes: list[Change] = []
        for op in ops:
            match op:
                case Put():
                    changes.append(self._put(op, revision))
                case Delete(key):
                    changes += [self._delete(key, revision)] if self._live(key) else []
                case DeletePrefix(prefix):
                    changes += [self._delete(item.key, revision) for item in self._living(prefix)]
        if changes:
            self._revision = revision
            self._log.append((revision, tuple(changes)))
            self._changed.notify_all()

    def _put(self, op: Put, revision: int) -> Change:
        before = self._live(op.key)
        self._unlease(before)
        if op.lease_id:
            self._leases[op.lease_id].keys.add(op.key)
        created = before.create_revision if before else revision
        return self._record(Changed(KeyValue(op.key, op.value, created, revision, op.lease_id)))

    def _delete(self, key: str, revision: int) -> Change:
        self._unlease(self._live(key))
        return self._record(Removed(key, revision))

    def _record(self, change: Change) -> Change:
        key = _key(change)
        if key not in self._versions:
            insort(self._keys, key)
        self._versions.setdefault(key, []).append(change)
        return change

    def _unlease(self, item: KeyValue | None) -> None:
        if item is not None and item.lease_id in self._leases:
            self._leases[item.lease_id].keys.discard(item.key)

    def _end_lease(self, lease_id: int) -> None:
        lease = self._leases.get(lease_id)
        if lease is not None:
            self._write([Delete(key) for key in sorted(lease.keys)])
            del self._leases[lease_id]

    def _forget(self, key: str) -> None:
        """Drop the versions of a key that nobody can read any more."""
        versions = self._versions[key]
        passed = [each for each in versions if _revision(each) <= self._compacted]
        keep = passed[-1:] if passed and isinstance(passed[-1], Changed) else []
        keep += versions[len(passed) :]
        if keep:
            self._versions[key] = keep
        else:
            del self._versions[key]
            self._keys.remove(key)


class MemoryWatch:
    """An open watch; see `store.client.Watch`. Made by `MemoryStore.watch`."""

    def __init__(self, store: MemoryStore, prefixes: tuple[str, ...], start_revision: int) -> None:
        self._store = store
        self._prefixes = prefixes
        self._next = start_revision or store._revision + 1
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
        """The changes of the next revision that has some; None once closed."""
        store = self._store
        with store._changed:
            while True:
                if self._closed or store._closed:
                    return None
                if self._outages != store._outages:
                    self._closed = True
                    raise Unavailable("the store went away")
                store.expire()
                if self._next < store._compacted:
                    self._closed = True
                    raise Compacted(store._compacted)
                if changes := self._take():
                    return changes
                store._changed.wait(self._patience_s())

    def _take(self) -> tuple[Change, ...]:
        store = self._store
        start = bisect_left(store._log, self._next, key=lambda entry: entry[0])
        for revision, changes in store._log[start:]:
            self._next = revision + 1
            if mine := tuple(each for each in changes if _key(each).startswith(self._prefixes)):
                return mine
        self._next = max(self._next, store._revision + 1)
        return ()

    def _patience_s(self) -> float | None:
        ends = [lease.expires for lease in self._store._leases.values()]
        return max(0.0, min(ends) - self._store._clock()) if ends else None


def _key(change: Change) -> str:
    return change.item.key if isinstance(change, Changed) else change.key


def _revision(change: Change) -> int:
    return change.item.mod_revision if isinstance(change, Changed) else change.revision


def _refuse_overlap(ops: Sequence[Op]) -> None:
    """As etcd does: no key is put twice, and none is both put and deleted."""
    puts = [op.key for op in ops if isinstance(op, Put)]
    deletes = {op.key for op in ops if isinstance(op, Delete)}
    prefixes = tuple(op.prefix for op in ops if isinstance(op, DeletePrefix))
    if len(set(puts)) < len(puts):
        raise Invalid("a transaction puts a key twice")
    if any(key in deletes or key.startswith(prefixes) for key in puts):
        raise Invalid("a transaction puts and deletes the same key")
