"""Pools, nodes and peers: created once under a name, changed by merge, never silently replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from controller.ipam.committer import Committer
from controller.ipam.unit import Unit
from controller.precondition import WHATEVER, Match
from controller.problem import Fault, Problem, unknown_reference
from controller.reading import Found, find, put, read, scan
from controller.turn import Turn
from store import keys
from store.client import Absent, Compare, Exists, PrefixUnwritten, Store
from store.keys import Kind
from store.model import Node, Peer, Pool

ATTEMPTS = 24

V = TypeVar("V", Pool, Node, Peer)
Made = tuple[Found[V], bool]
"""What is stored then, and whether it is new."""


class Registry:
    """Creates and changes what has a name of its own. Safe to call from many threads and controllers."""

    def __init__(self, store: Store, committer: Committer) -> None:
        self._store = store
        self._committer = committer
        # Each of these compares that nobody else wrote a pool (or peer): one after the other none loses.
        self._turn = Turn()

    def create_pool(self, pool: Pool) -> Made[Pool]:
        """Create a pool that overlaps no other; see `_create`."""
        with self._turn:
            return self._create(keys.POOLS, pool, self._overlaps_none)

    def create_node(self, node: Node) -> Made[Node]:
        """Create a node; see `_create`."""
        return self._create(keys.NODES, node, lambda node: ())

    def create_peer(self, peer: Peer) -> Made[Peer]:
        """Create a peer of a node that exists, or of every node; see `_create`."""
        with self._turn:
            return self._create(keys.PEERS, peer, self._has_node_and_is_alone)

    def replace(
        self, kind: Kind[V], name: str, create: Callable[[], Made[V]], edit: Callable[[V], V], match: Match
    ) -> Made[V]:
        """Create what is not there, else edit what is: whichever of both `match` allows."""
        what = f"{kind.model.__name__.lower()} {name}"
        found = read(self._store, kind, name)
        match.demand(what, found.mod_revision if found else None)
        if found is not None:
            return self.change(kind, name, edit, match), False
        made, new = create()
        if not new:
            match.demand(what, made.mod_revision)
        return made, new

    def change(self, kind: Kind[V], name: str, edit: Callable[[V], V], match: Match = WHATEVER) -> Found[V]:
        """Apply an edit to what is stored under a name; returns what is stored then. Idempotent.

        Raises:
            Problem: there is no such thing, or it is not the one that `match` demands.
        """
        for _ in range(ATTEMPTS):
            found = find(self._store, kind, name)
            match.demand(f"{kind.model.__name__.lower()} {name}", found.mod_revision)
            wanted = edit(found.value)
            if wanted == found.value:
                return found
            compares: tuple[Compare, ...] = ()
            if isinstance(wanted, Peer):
                compares = self._has_node_and_is_alone(wanted)
            unit = Unit((found.unchanged(), *compares), (put(kind, wanted, name),))
            if revision := self._committer.commit(unit):
                return Found(wanted, found.key, revision)
        raise Problem("busy", f"{name} keeps changing", retry_after_s=1)

    def _create(self, kind: Kind[V], value: V, check: Callable[[V], tuple[Compare, ...]]) -> Made[V]:
        """Store a value under its name.

        Idempotent: an equal value that is there already is no error.

        Raises:
            Problem: another value has the name, or the check refuses it.
        """
        for _ in range(ATTEMPTS):
            found = read(self._store, kind, value.name)
            if found is not None:
                if found.value != value:
                    raise _different(value, found.value)
                return found, False
            operation = put(kind, value, value.name)
            unit = Unit((Absent(operation.key), *check(value)), (operation,))
            if revision := self._committer.commit(unit):
                return Found(value, operation.key, revision), True
        raise Problem("busy", "others keep changing the same things", retry_after_s=1)

    def _overlaps_none(self, pool: Pool) -> tuple[Compare, ...]:
        pools = scan(self._store, keys.POOLS)
        for other in pools.values:
            if other.name != pool.name and _overlap(other, pool):
                detail = f"{pool.cidr} overlaps {other.cidr} of pool {other.name}; use a range outside it"
                raise Problem("overlap", detail, errors=[Fault(detail, "/cidr")])
        return (PrefixUnwritten(keys.POOLS.prefix(), pools.revision),)

    def _has_node_and_is_alone(self, peer: Peer) -> tuple[Compare, ...]:
        peers = scan(self._store, keys.PEERS)
        twin = next((other for other in peers.values if _collides(peer, other)), None)
        if twin is not None:
            where = f"of node {twin.node}" if twin.node else "of every node"
            detail = f"{peer.address} is peer {twin.name} {where} already; two sessions would collide"
            raise Problem("conflict", detail, errors=[Fault(detail, "/address")])
        unwritten = PrefixUnwritten(keys.PEERS.prefix(), peers.revision)
        if peer.node is None:
            return (unwritten,)
        if read(self._store, keys.NODES, peer.node) is None:
            names = [node.name for node in scan(self._store, keys.NODES).values]
            raise unknown_reference("/node", "node", peer.node, names)
        return unwritten, Exists(keys.NODES.key(peer.node))


def _overlap(one: Pool, other: Pool) -> bool:
    return one.cidr.version == other.cidr.version and one.cidr.overlaps(other.cidr)


def _collides(peer: Peer, other: Peer) -> bool:
    # RFC 4271 §6.8: of two connections between the same two addresses one is closed
    return (
        other.name != peer.name
        and other.address == peer.address
        and (other.node is None or peer.node is None or other.node == peer.node)
    )


def _different(given: V, stored: V) -> Problem:
    have, want = stored.model_dump(mode="json"), given.model_dump(mode="json")
    faults = [Fault(f"it is {have[field]!r}", f"/{field}") for field in have if have[field] != want[field]]
    fields = ", ".join(fault.pointer[1:] for fault in faults if fault.pointer)
    what = f"{type(given).__name__.lower()} {given.name}"
    detail = f"{what} exists with another {fields}; change it with PATCH or use another name"
    return Problem("conflict", detail, errors=faults)
