"""Reading typed values from the store, each with the revision that proves it unchanged later.

Lists are read in pages of one revision, so that no answer of the store is too large and the list is
still a snapshot. What a list is filtered by is first sought in the stored bytes, whose form is always the
same, so that most of what is not wanted need not be decoded. A value that does not decode is treated as
absent and reported once per read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

from controller import trail
from controller.problem import not_found, unknown_reference
from controller.scope import EVERYTHING, Scope
from store.client import KeyValue, Put, Store, Unchanged
from store.codec import decode, encode
from store.errors import Compacted, Corrupt
from store.keys import Kind
from store.model import Node, Peer, Policy, Pool, Service, Tenant, Token, Value

log = logging.getLogger(__name__)

PAGE = 1000

T = TypeVar("T")
V = TypeVar("V", bound=Value)
Named = TypeVar("Named", Pool, Node, Peer, Policy, Service, Tenant, Token)


class Found(NamedTuple, Generic[V]):
    """A value as stored, under which key, and when it was written."""

    value: V
    key: str
    mod_revision: int

    def unchanged(self) -> Unchanged:
        """The compare that holds while the stored value is still this one."""
        return _unchanged(self.key, self.mod_revision)


@lru_cache(maxsize=1 << 12)
def _unchanged(key: str, mod_revision: int) -> Unchanged:
    # The same object for the same thing: a transaction compares once what many of its units do.
    return Unchanged(key, mod_revision)


@dataclass(frozen=True, slots=True)
class Listing(Generic[V]):
    """Values in the order of their keys, as of `revision`; `last_key` when a limit cut the list there."""

    items: tuple[Found[V], ...]
    revision: int
    last_key: str = ""

    @property
    def values(self) -> list[V]:
        """The values alone."""
        return [found.value for found in self.items]


def read(store: Store, kind: Kind[V], *parts: object) -> Found[V] | None:
    """One value; None when absent. Raises `Corrupt` when it does not decode."""
    item = store.get(kind.key(*parts))
    if item is None:
        return None
    if (request := trail.current()) is not None:
        request.saw(item)
    return _found(kind, item)


def stored(store: Store, kind: Kind[V], *parts: object) -> KeyValue | None:
    """What stands at a key, for whoever removes it; what does not decode is not told of, and logged."""
    item = store.get(kind.key(*parts))
    if item is not None and (request := trail.current()) is not None and decodable(kind, (item,)):
        request.saw(item)
    return item


def read_many(store: Store, kind: Kind[V], parts: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], V]:
    """The values that exist of those with these parts, in few requests."""
    wanted = {kind.key(*each): each for each in parts}
    items = store.get_many(list(wanted)).values()
    return {wanted[found.key]: found.value for found in decodable(kind, items)}


def find(store: Store, kind: Kind[Named], name: str, scope: Scope = EVERYTHING) -> Found[Named]:
    """What is stored under a name, and in `scope`. Raises `Problem` that says which names are near."""
    found = read(store, kind, name)
    if found is None or not scope.has(found.value):
        names = (value.name for value in scan(store, kind).values if scope.has(value))
        raise not_found(kind.model.__name__.lower(), name, names)
    return found


def referred(store: Store, kind: Kind[Named], name: str, scope: Scope = EVERYTHING) -> Found[Named]:
    """What the field of a body names that is called like its kind.

    Raises:
        Problem: nothing has this name; says which names in `scope` are near.
    """
    found = read(store, kind, name)
    if found is None:
        noun = kind.model.__name__.lower()
        names = (value.name for value in scan(store, kind).values if scope.has(value))
        raise unknown_reference(f"/{noun}", noun, name, names)
    return found


def scan(store: Store, kind: Kind[V], *parts: object, mark: bytes = b"") -> Listing[V]:
    """Every value of a kind whose key begins with these parts, and in whose stored form `mark` occurs."""
    prefix = kind.prefix(*parts)
    return _in_one_go(lambda: scan_at(store, kind, prefix, mark=mark))


def scan_at(store: Store, kind: Kind[V], prefix: str, revision: int = 0, *, mark: bytes = b"") -> Listing[V]:
    """Likewise below a prefix, as of a revision; 0 is now. Raises `Compacted`."""
    walk = _Walk(store, (prefix,), PAGE, "", revision)
    items = decodable(kind, (item for item in walk if mark in item.value))
    return Listing(items, walk.revision)


def scan_all(store: Store, prefix: str) -> list[KeyValue]:
    """Every key below a prefix, of whatever kind, as stored; see `decodable`."""
    return _in_one_go(lambda: list(_Walk(store, (prefix,), PAGE, "", 0)))


def read_at_once(store: Store, prefixes: Sequence[str]) -> tuple[list[KeyValue], int]:
    """Every key below these prefixes, of whatever kind, as of one revision, and that."""

    def read_all() -> tuple[list[KeyValue], int]:
        walk = _Walk(store, prefixes, PAGE, "", 0)
        return list(walk), walk.revision

    return _in_one_go(read_all)


def _in_one_go(read_pages: Callable[[], T]) -> T:
    for _ in range(3):
        try:
            return read_pages()
        except Compacted:
            continue  # between two pages; the next try starts at the new revision
    return read_pages()


@dataclass(frozen=True, slots=True)
class Where(Generic[V]):
    """What is wanted of a list: values of which `holds` is true, in whose stored form all `marks` occur."""

    holds: Callable[[V], bool]
    marks: tuple[bytes, ...] = ()


def page(
    store: Store,
    kind: Kind[V],
    prefixes: Sequence[str],
    *,
    limit: int,
    after: str,
    revision: int,
    where: Sequence[Where[V]],
) -> Listing[V]:
    """At most `limit` wanted values behind the key `after`, reading on until they are found.

    Args:
        store: where they are.
        kind: of what kind they are.
        prefixes: of their keys, sorted.
        limit: at least 1.
        after: a key of an earlier page; empty for the first.
        revision: that of the earlier page; 0 is now.
        where: all of it has to hold.

    Raises:
        Compacted: the revision is gone.
    """
    found: list[Found[V]] = []
    walk = _Walk(store, prefixes, PAGE if where else limit + 1, after, revision)
    for item in walk:
        if all(mark in item.value for each in where for mark in each.marks):
            found += [
                each for each in decodable(kind, (item,)) if all(wanted.holds(each.value) for wanted in where)
            ]
        if len(found) > limit:
            return Listing(tuple(found[:limit]), walk.revision, found[limit - 1].key)
    return Listing(tuple(found), walk.revision)


@dataclass(slots=True)
class _Walk:
    """The keys below several prefixes, as of one revision: that of the first answer if it is 0."""

    store: Store
    prefixes: Sequence[str]
    chunk: int
    after: str
    revision: int

    def __iter__(self) -> Iterator[KeyValue]:
        for prefix in self.prefixes:
            if self.after > prefix and not self.after.startswith(prefix):
                continue  # an earlier page had all of it
            more = True
            while more:
                answer = self.store.range(prefix, limit=self.chunk, after=self.after, revision=self.revision)
                self.revision, more = answer.revision, answer.more
                yield from answer.items
                self.after = answer.items[-1].key if more else ""


def put(kind: Kind[V], value: V, *parts: object, lease_id: int = 0) -> Put:
    """The operation that writes a value."""
    return Put(kind.key(*parts), encode(value), lease_id)


def _found(kind: Kind[V], item: KeyValue) -> Found[V]:
    return Found(decode(kind.model, item.value, key=item.key), item.key, item.mod_revision)


def decodable(kind: Kind[V], items: Iterable[KeyValue]) -> tuple[Found[V], ...]:
    """The values of one kind among these keys. One that does not decode is left out, and logged."""
    found = []
    for item in items:
        if kind.parts(item.key) is None:
            continue
        try:
            found.append(_found(kind, item))
        except Corrupt as fault:
            log.error("event=corrupt-value key=%s why=%r", item.key, str(fault))
    return tuple(found)
