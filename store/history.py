"""Keys with all their versions since the last compaction: what revisions mean, without threads or leases."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

from store.client import (
    Change,
    Changed,
    Delete,
    DeletePrefix,
    KeyValue,
    Op,
    Put,
    Removed,
    key_of,
    revision_of,
)


class History:
    """A key space with its past. Starts at revision 1, as etcd does. Not thread-safe."""

    def __init__(self) -> None:
        self.revision = 1
        self.compacted = 0
        self._versions: dict[str, list[Change]] = {}
        self._keys: list[str] = []  # of _versions, sorted
        self._log: list[tuple[int, tuple[Change, ...]]] = []

    def at(self, key: str, revision: int = 0) -> KeyValue | None:
        """A key as of a revision that is not compacted; 0 is now."""
        for version in reversed(self._versions.get(key, ())):
            if not revision or revision_of(version) <= revision:
                return version.item if isinstance(version, Changed) else None
        return None

    def below(self, prefix: str, revision: int = 0) -> Iterator[KeyValue]:
        """The keys that begin with `prefix`, likewise, in lexical order."""
        for index in range(bisect_left(self._keys, prefix), len(self._keys)):
            key = self._keys[index]
            if not key.startswith(prefix):
                return
            if (item := self.at(key, revision)) is not None:
                yield item

    def before(self, change: Change) -> KeyValue | None:
        """What the key of a change held before it; None also when that is compacted."""
        before = revision_of(change) - 1
        return None if before < self.compacted else self.at(key_of(change), before)

    def write(self, ops: Sequence[Op]) -> tuple[Change, ...]:
        """Apply operations as one revision, if they change anything; returns the changes."""
        revision = self.revision + 1
        changes: list[Change] = []
        for op in ops:
            match op:
                case Put():
                    changes.append(self._put(op, revision))
                case Delete(key):
                    changes += [self._remove(key, revision)] if self.at(key) else []
                case DeletePrefix(prefix):
                    changes += [self._remove(item.key, revision) for item in list(self.below(prefix))]
        if changes:
            self.revision = revision
            self._log.append((revision, tuple(changes)))
        return tuple(changes)

    def since(self, revision: int) -> Iterator[tuple[int, tuple[Change, ...]]]:
        """Each revision from `revision` on that is not compacted, with its changes."""
        yield from self._log[bisect_left(self._log, revision, key=lambda entry: entry[0]) :]

    def compact(self, revision: int) -> None:
        """Forget what nobody can read who asks for `revision` or a later one."""
        self.compacted = max(self.compacted, revision)
        self._log = list(self.since(self.compacted))
        for key in list(self._versions):
            self._forget(key)

    def _put(self, op: Put, revision: int) -> Change:
        before = self.at(op.key)
        created = before.create_revision if before else revision
        return self._record(op.key, Changed(KeyValue(op.key, op.value, created, revision, op.lease_id)))

    def _remove(self, key: str, revision: int) -> Change:
        return self._record(key, Removed(key, revision))

    def _record(self, key: str, change: Change) -> Change:
        if key not in self._versions:
            insort(self._keys, key)
        self._versions.setdefault(key, []).append(change)
        return change

    def _forget(self, key: str) -> None:
        versions = self._versions[key]
        passed = [each for each in versions if revision_of(each) <= self.compacted]
        keep = passed[-1:] if passed and isinstance(passed[-1], Changed) else []
        keep += versions[len(passed) :]
        if keep:
            self._versions[key] = keep
        else:
            del self._versions[key]
            self._keys.remove(key)
