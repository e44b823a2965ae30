"""The Store protocol: the few operations of etcd that Polder builds on.

Two implementations pass one contract suite: `store.etcd.EtcdStore` and `store.memory.MemoryStore`.
Keys are text, values bytes. A revision is etcd's: one counter for the whole store, raised by each
transaction that writes. Every method may raise `store.errors.Unavailable` and `PermissionDenied`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

MAX_TXN_OPS = 128
"""Compares, and likewise operations, in one transaction: etcd's default `--max-txn-ops`."""


class KeyValue(NamedTuple):
    """One key as stored. `lease_id` is 0 for a key without a lease."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease_id: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """Keys in lexical order, as of `revision`. `more` is true when the limit cut the answer."""

    items: tuple[KeyValue, ...]
    revision: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Absent:
    """True while the key does not exist."""

    key: str


@dataclass(frozen=True, slots=True)
class Unchanged:
    """True while the key exists as last written at `mod_revision`."""

    key: str
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Exists:
    """True while the key exists."""

    key: str


@dataclass(frozen=True, slots=True)
class PrefixEmpty:
    """True while no key begins with `prefix`."""

    prefix: str


@dataclass(frozen=True, slots=True)
class PrefixUnwritten:
    """True while no key that begins with `prefix` was written after `revision` (deletion is not seen)."""

    prefix: str
    revision: int


Compare = Absent | Unchanged | Exists | PrefixEmpty | PrefixUnwritten


class Put(NamedTuple):
    """Write `value` at `key`, under the lease if one is named."""

    key: str
    value: bytes
    lease_id: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove `key`; nothing happens when it is absent."""

    key: str


@dataclass(frozen=True, slots=True)
class DeletePrefix:
    """Remove every key that begins with `prefix`."""

    prefix: str


Op = Put | Delete | DeletePrefix


@dataclass(frozen=True, slots=True)
class TxnResult:
    """`succeeded` is true when every compare held and all operations were applied, at `revision`."""

    succeeded: bool
    revision: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A key was written. `before` is what it held, for a watch that asked for it."""

    item: KeyValue
    before: KeyValue | None = None


@dataclass(frozen=True, slots=True)
class Removed:
    """A key was deleted, or its lease expired, at `revision`. `before`: as in `Changed`."""

    key: str
    revision: int
    before: KeyValue | None = None


Change = Changed | Removed


def key_of(change: Change) -> str:
    """The key that was changed."""
    return change.item.key if isinstance(change, Changed) else change.key


def revision_of(change: Change) -> int:
    """When it was."""
    return change.item.mod_revision if isinstance(change, Changed) else change.revision


class Watch(Protocol):
    """An open watch. Iterating blocks; each item holds the changes that one answer of the store brought."""

    def __iter__(self) -> Iterator[tuple[Change, ...]]:
        """Yield changes in order of revision within each prefix; end after `close`.

        Raises:
            Compacted: the start revision is gone; list again.
            Unavailable: the stream broke; watch again from the last revision seen + 1.
        """
        ...

    def close(self) -> None:
        """End the iteration, from any thread. Idempotent."""
        ...


class Store(Protocol):
    """A consistent key-value store with transactions, watches and leases. Safe to call from many threads."""

    def get(self, key: str) -> KeyValue | None:
        """Read one key, linearizable; None when absent."""
        ...

    def range(
        self, prefix: str, *, limit: int = 0, after: str = "", before: str = "", revision: int = 0
    ) -> Range:
        """Read the keys that begin with `prefix`, in lexical order.

        Args:
            prefix: what every key begins with.
            limit: at most so many keys; 0 is all of them.
            after: only keys behind this one (for the next page).
            before: only keys in front of this one; empty is no bound.
            revision: as of this revision; 0 is now.

        Raises:
            Compacted: `revision` is gone.
        """
        ...

    def get_many(self, keys: Sequence[str]) -> Mapping[str, KeyValue]:
        """Read many keys in few requests: those that exist, by key. Not of one revision."""
        ...

    def count(self, prefixes: Sequence[str]) -> list[int]:
        """How many keys begin with each of these, in few requests. Not of one revision."""
        ...

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        """Apply all `ops` if all `compares` hold, else nothing: at most `MAX_TXN_OPS` of each.

        Raises:
            Invalid: too many, or a key written twice.
            Unavailable: with `outcome_unknown` when the answer was lost.
        """
        ...

    def watch(
        self,
        prefixes: Sequence[str],
        *,
        start_revision: int,
        previous: bool = False,
        in_order: bool = False,
        removals: Sequence[str] = (),
    ) -> Watch:
        """Watch every key that begins with one of `prefixes`, from `start_revision` on, inclusive.

        Iterating raises `Compacted` when that revision is compacted, or is the very one that was compacted
        at: what was deleted there is no longer known.

        Args:
            prefixes: what the keys begin with.
            start_revision: the first that is told, which may be still to come; 0 is from now on.
            previous: each change tells what the key held before, unless that is compacted.
            in_order: the order of revisions holds across the prefixes too. It costs a look at every
                change to the keys between them.
            removals: prefixes of which only deletions are told; a write costs nobody anything.
        """
        ...

    def grant(self, ttl_s: int) -> int:
        """Grant a lease of `ttl_s` seconds (at least 1); returns its id."""
        ...

    def keep_alive(self, lease_id: int) -> int:
        """Renew a lease once; returns the seconds it now has. Raises `LeaseExpired` when it is gone."""
        ...

    def revoke(self, lease_id: int) -> None:
        """End a lease and delete its keys. Idempotent."""
        ...

    def cluster_id(self) -> str:
        """The id of the cluster that gave the last answer; asks when there was none yet.

        It is another one when a backup was restored, as far as this process can see that: etcd has a new id,
        or, where it was restored under the old one, its revision went back; then `.1` is added, and so on.
        """
        ...

    def close(self) -> None:
        """Close connections and end open watches. Idempotent."""
        ...
