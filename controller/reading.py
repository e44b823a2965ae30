"""Reading typed values from the store, each with the revision that proves it unchanged later.

Lists are read in pages of one revision, so that no answer of the store is too large and the list is
still a snapshot. A value that does not decode is treated as absent and reported once per read.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Generic, TypeVar

from controller import trail
from controller.problem import not_found
from store.client import KeyValue, Put, Store, Unchanged
from store.codec import decode, encode
from store.errors import Compacted, Corrupt
from store.keys import Kind
from store.model import Node, Peer, Pool, Tenant, Token, Value

log = logging.getLogger(__name__)

PAGE = 1000

V = TypeVar("V", bound=Value)
Named = TypeVar("Named", Pool, Node, Peer, Tenant, Token)


@dataclass(frozen=True, slots=True)
class Found(Generic[V]):
    """A value as stored, under which key, and when it was written."""

    value: V
    key: str
    mod_revision: int

    def unchanged(self) -> Unchanged:
        """The compare that holds while the stored value is still this one."""
        return Unchanged(self.key, self.mod_revision)


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


def find(store: Store, kind: Kind[Named], name: str) -> Found[Named]:
    """What is stored under a name. Raises `Problem` that says which names are near when there is nothing."""
    found = read(store, kind, name)
    if found is None:
        names = (value.name for value in scan(store, kind).values)
        raise not_found(kind.model.__name__.lower(), name, names)
    return found


def scan(store: Store, kind: Kind[V], *parts: object) -> Listing[V]:
    """Every value of a kind whose key begins with these parts."""
    prefix = kind.prefix(*parts)
    for _ in range(3):
        try:
            return _scan(store, kind, prefix)
        except Compacted:
            continue  # between two pages; the next try starts at the new revision
    return _scan(store, kind, prefix)


def page(store: Store, kind: Kind[V], *parts: object, limit: int, after: str) -> Listing[V]:
    """At most `limit` values behind the key `after`; a `limit` of 0 is all of them."""
    if not limit and not after:
        return scan(store, kind, *parts)
    answer = store.range(kind.prefix(*parts), limit=limit, after=after)
    last_key = answer.items[-1].key if answer.more else ""
    return Listing(_decodable(kind, answer.items), answer.revision, last_key)


def put(kind: Kind[V], value: V, *parts: object, lease_id: int = 0) -> Put:
    """The operation that writes a value."""
    return Put(kind.key(*parts), encode(value), lease_id)


def _scan(store: Store, kind: Kind[V], prefix: str) -> Listing[V]:
    answer = store.range(prefix, limit=PAGE)
    revision, items = answer.revision, list(_decodable(kind, answer.items))
    while answer.more:
        answer = store.range(prefix, limit=PAGE, after=answer.items[-1].key, revision=revision)
        items.extend(_decodable(kind, answer.items))
    return Listing(tuple(items), revision)


def _found(kind: Kind[V], item: KeyValue) -> Found[V]:
    return Found(decode(kind.model, item.value, key=item.key), item.key, item.mod_revision)


def _decodable(kind: Kind[V], items: tuple[KeyValue, ...]) -> tuple[Found[V], ...]:
    found = []
    for item in items:
        if kind.parts(item.key) is None:
            continue
        try:
            found.append(_found(kind, item))
        except Corrupt as fault:
            log.error("event=corrupt-value key=%s why=%r", item.key, str(fault))
    return tuple(found)
