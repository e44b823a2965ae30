"""Keys below a node that stand for nothing: exceptions of endpoints that do not hold the address any more,
and all that stands below a node that is not registered.

No transaction of ours leaves one; a hand in etcd may, and a program that wrote once more after its node was
deleted. Each is removed on condition that it still stands for nothing. What stands below a node that is not
registered goes only while none of its programs lives, and no endpoint and no block is said to be there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from controller.ipam.committer import Committer
from controller.ipam.unit import Unit
from controller.ipam.window import Window
from controller.reading import Found, read, scan
from store import keys
from store.client import Absent, Compare, Delete, DeletePrefix, PrefixEmpty, Store
from store.errors import Corrupt
from store.model import Displaced, Endpoint

log = logging.getLogger(__name__)

BEHIND = "\U0010ffff"
"""Sorts behind every character of a key."""


def remove_leftovers(store: Store, committer: Committer) -> list[str]:
    """Remove them; returns the keys and prefixes that are gone. Blocking. Idempotent."""
    window: Window[str] = Window(committer)
    nodes = _registered(store)
    for node in nodes:
        for found in scan(store, keys.DISPLACED, node).items:
            if (proof := _stands_for_nothing(store, node, found.value)) is not None:
                window.submit(Unit((found.unchanged(), proof), (Delete(found.key),)), found.key)
    for node in _between(store, nodes):
        window.submit(_clear(node), keys.node_prefix(node))
    return window.drain()


def strangers(store: Store) -> list[str]:
    """The nodes that have keys of their own and are not registered."""
    there = list(_between(store, _registered(store)))
    known = _registered(store)  # after them: a node that came with one of them is seen
    return sorted(set(there).difference(known))


def _between(store: Store, nodes: Iterable[str]) -> Iterator[str]:
    """The other nodes that have keys of their own.

    What is between the keys of two neighbours is read, which is nothing as a rule: etcd 3.4 walks over all
    that is in the range, and a node has hundreds of keys.
    """
    start, after = keys.NODE_ENDPOINTS.prefix(), ""
    for key in [*sorted(keys.node_prefix(node) for node in nodes), ""]:
        while items := store.range(start, limit=1, after=after, before=key).items:
            name = items[0].key.removeprefix(start).split("/")[0]
            if name:
                yield name
            after = f"{start}{name}/{BEHIND}"
        after = f"{key}{BEHIND}"


def _registered(store: Store) -> list[str]:
    return [node.name for node in scan(store, keys.NODES).values]


def is_leftover(owner: str, exception: Displaced, record: Endpoint | None) -> bool:
    """Whether the endpoint of an exception, whose record this is, needs none below this node."""
    return record is None or record.node == owner or exception.address not in record.addresses


def _stands_for_nothing(store: Store, owner: str, exception: Displaced) -> Compare | None:
    try:
        record: Found[Endpoint] | None = read(store, keys.ENDPOINTS, exception.endpoint)
    except Corrupt as fault:
        log.error("event=corrupt-value key=%s why=%r", fault.key, str(fault))
        return None
    if not is_leftover(owner, exception, record.value if record else None):
        return None
    return record.unchanged() if record else Absent(keys.ENDPOINTS.key(exception.endpoint))


def _clear(node: str) -> Unit:
    empty: Iterable[Compare] = (
        PrefixEmpty(kind.prefix(node)) for kind in (keys.ALIVE, keys.NODE_ENDPOINTS, keys.NODE_BLOCKS)
    )
    leavings = (DeletePrefix(keys.node_prefix(node)), DeletePrefix(keys.SESSIONS.prefix(node)))
    return Unit((Absent(keys.NODES.key(node)), *empty), leavings)
