"""What has a name of its own: created once under it, changed by merge, never silently replaced.

What a value has to agree with, pools that it must not overlap, a node or tenant that has to exist, is
read, and the transaction compares that it is still so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from controller.ipam.committer import Commits
from controller.ipam.tally import Charge, OverQuota
from controller.ipam.unit import Unit, merged
from controller.policy_fit import policy_fits
from controller.pool_fit import as_made, fits_among_pools, pool_change
from controller.precondition import WHATEVER, Match
from controller.problem import Fault, Problem, name_taken, quoted
from controller.reading import Found, find, put, read, referred, scan
from controller.scope import EVERYTHING, Scope
from controller.turn import Turn
from controller.usable import refuse_unusable
from intent.peers import meeting
from store import keys
from store.client import Absent, Compare, Exists, PrefixUnwritten, Store
from store.keys import Kind
from store.model import Node, Peer, Policy, Pool, Service, Telling, Tenant, Usage, Value

ATTEMPTS = 24

V = TypeVar("V", Pool, Node, Peer, Policy, Service, Tenant)
Made = tuple[Found[V], bool]
"""What is stored then, and whether it is new."""


class Registry:
    """Creates and changes what has a name of its own. Safe to call from many threads and controllers."""

    def __init__(self, store: Store, committer: Commits) -> None:
        self._store = store
        self._committer = committer
        # Each of these compares that nobody else wrote a pool (or peer): one after the other none loses.
        self._turn = Turn()

    def create_pool(self, pool: Pool) -> Made[Pool]:
        """Create a pool that overlaps no other, on its tenant's segment if on any; see `_create`."""
        with self._turn:
            stored = read(self._store, keys.POOLS, pool.name)
            made = as_made(self._store, pool, stored.value if stored else None)
            return self._create(keys.POOLS, made, partial(fits_among_pools, self._store))

    def create_node(self, node: Node) -> Made[Node]:
        """Create a node; see `_create`."""
        return self._create(keys.NODES, node, lambda node: ())

    def create_peer(self, peer: Peer) -> Made[Peer]:
        """Create a peer of a node that exists, or of every node; see `_create`."""
        with self._turn:
            return self._create(keys.PEERS, peer, self._has_node_and_is_alone)

    def create_tenant(self, tenant: Tenant) -> Made[Tenant]:
        """Create a tenant; see `_create`."""
        return self._create(keys.TENANTS, tenant, lambda tenant: ())

    def create_policy(self, policy: Policy, scope: Scope) -> Made[Policy]:
        """Create a policy whose tenants exist; see `_create`."""
        return self._create(
            keys.POLICIES, policy, lambda policy: policy_fits(self._store, policy, scope), scope
        )

    def replace(
        self,
        kind: Kind[V],
        name: str,
        create: Callable[[], Made[V]],
        edit: Callable[[V], V],
        match: Match,
        scope: Scope = EVERYTHING,
    ) -> Made[V]:
        """Create what is not there in `scope`, else edit what is: whichever of both `match` allows."""
        what = f"{kind.model.__name__.lower()} {name}"
        found = self._there(kind, name, scope)
        match.demand(what, found.mod_revision if found else None)
        if found is not None:
            return self.change(kind, name, edit, match, scope), False
        try:
            made, new = create()
        except Problem:
            if (found := self._there(kind, name, scope)) is not None:  # somebody was faster
                match.demand(what, found.mod_revision)
            raise
        if not new:
            match.demand(what, made.mod_revision)
        return made, new

    def _there(self, kind: Kind[V], name: str, scope: Scope) -> Found[V] | None:
        found = read(self._store, kind, name)
        return found if found is not None and scope.has(found.value) else None

    def change(
        self,
        kind: Kind[V],
        name: str,
        edit: Callable[[V], V],
        match: Match = WHATEVER,
        scope: Scope = EVERYTHING,
    ) -> Found[V]:
        """Apply an edit to what is stored under a name; returns what is stored then. Idempotent.

        Raises:
            Problem: there is no such thing in `scope`, or it is not the one that `match` demands.
        """
        for _ in range(ATTEMPTS):
            found: Found[V] = find(self._store, kind, name, scope)
            match.demand(f"{kind.model.__name__.lower()} {name}", found.mod_revision)
            wanted: V = edit(found.value)
            if wanted == found.value:
                return found
            compares = (found.unchanged(), *self._checked(found.value, wanted, scope))
            unit = Unit(compares, (put(kind, wanted, name),), _limits(wanted))
            if revision := self._commit(unit):
                return Found(wanted, found.key, revision)
        raise Problem("busy", f"{name} keeps changing", retry_after_s=1)

    def _create(
        self,
        kind: Kind[V],
        value: V,
        check: Callable[[V], tuple[Compare, ...]],
        scope: Scope = EVERYTHING,
    ) -> Made[V]:
        """Store a value under its name.

        Idempotent: an equal value that is there already is no error.

        Raises:
            Problem: another value has the name, or the check refuses it.
        """
        for _ in range(ATTEMPTS):
            found = read(self._store, kind, value.name)
            if found is not None:
                if not scope.has(found.value):
                    raise name_taken(value.name)
                if found.value != value:
                    raise different(value, found.value)
                return found, False
            refuse_unusable(value)
            operation = put(kind, value, value.name)
            unit = Unit((Absent(operation.key), *check(value)), (operation,))
            if isinstance(value, Tenant | Policy):
                unit = merged([unit, self._telling()])
            if revision := self._committer.commit(unit):
                return Found(value, operation.key, revision), True
        raise Problem("busy", "others keep changing the same things", retry_after_s=1)

    def _telling(self) -> Unit:
        """From the first tenant or policy on endpoints are closed until their nodes were told of them."""
        key = keys.TELLING.key()
        said = self._store.get(key) is not None
        return Unit((Exists(key),), ()) if said else Unit((Absent(key),), (put(keys.TELLING, Telling()),))

    def _checked(self, stored: Value, wanted: Value, scope: Scope) -> tuple[Compare, ...]:
        """What has to hold for a change to be right. Raises `Problem` when it does not."""
        refuse_unusable(wanted, stored)
        if isinstance(wanted, Peer):
            return self._has_node_and_is_alone(wanted)
        if isinstance(wanted, Policy):
            return policy_fits(self._store, wanted, scope)
        if isinstance(wanted, Pool) and isinstance(stored, Pool):
            return pool_change(self._store, stored, wanted)
        return ()

    def _commit(self, unit: Unit) -> int:
        try:
            return self._committer.commit(unit)
        except OverQuota as over:
            if used := self._committer.confirm(over):
                raise _below_use(over.charge, used) from None
            return 0

    def _has_node_and_is_alone(self, peer: Peer) -> tuple[Compare, ...]:
        peers = scan(self._store, keys.PEERS, mark=f'"address":"{peer.address}"'.encode())
        for other in peers.values:
            if where := _collides(self._store, peer, other):
                detail = f"{peer.address} is peer {other.name} {where} already; two sessions would collide"
                raise Problem("conflict", detail, errors=[Fault(detail, "/address")])
        unwritten = PrefixUnwritten(keys.PEERS.prefix(), peers.revision)
        if peer.node is None:
            return (unwritten,)
        return unwritten, Exists(referred(self._store, keys.NODES, peer.node).key)


def _limits(value: Value) -> Charge | None:
    """A tenant's quotas have to be enough for what it holds when they are written."""
    if not isinstance(value, Tenant):
        return None
    return Charge(value.name, max_ipv4=value.max_ipv4, max_ipv6=value.max_ipv6)


def _below_use(charge: Charge, used: Usage) -> Problem:
    faults = [
        Fault(f"{held} are held; delete endpoints first, or allow at least that many", f"/max_{family}")
        for family, held, limit in (
            ("ipv4", used.ipv4, charge.max_ipv4),
            ("ipv6", used.ipv6, charge.max_ipv6),
        )
        if limit is not None and held > limit
    ]
    detail = f"tenant {charge.tenant} holds {used.ipv4} IPv4 and {used.ipv6} IPv6 addresses"
    return Problem("invalid", f"{detail}; a quota is at least that", errors=faults)


def _collides(store: Store, peer: Peer, other: Peer) -> str | None:
    """For which nodes both peers are, in words; None when for none."""
    # RFC 4271 §6.8: of two connections between the same two addresses one is closed
    if other.name == peer.name or other.address != peer.address:
        return None
    if not peer.node_selector and not other.node_selector:
        both = other.node is None or peer.node is None or other.node == peer.node
        return (f"of node {other.node}" if other.node else "of every node") if both else None
    node = meeting(peer, other, scan(store, keys.NODES).values)
    return f"of node {node.name}" if node is not None else None


def different(given: V, stored: V) -> Problem:
    """What is to be created is there, otherwise."""
    have, want = stored.model_dump(mode="json"), given.model_dump(mode="json")
    faults = [
        Fault(f"it is {quoted(have[field])}", f"/{field}") for field in have if have[field] != want[field]
    ]
    fields = ", ".join(fault.pointer[1:] for fault in faults if fault.pointer)
    what = f"{type(given).__name__.lower()} {given.name}"
    detail = f"{what} exists with another {fields}; change that one, or use another name"
    return Problem("conflict", detail, errors=faults)
