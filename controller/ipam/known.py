"""Pools, nodes and tenants as last read: hints that spare each request its reads.

Whoever acts on a hint compares in its transaction that it is still true, and calls `forget` when it was
not. Whoever refuses a request does it on what was read after the request came: on a new `Known`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from controller.ipam.choosing import Place, Want, wants
from controller.ipam.membership import membership
from controller.ipam.request import Request
from controller.reading import Found, Listing, referred, scan
from store import keys
from store.client import Compare, Store
from store.model import Membership, Node, Pool, Tenant


@dataclass(frozen=True, slots=True)
class Alike:
    """What endpoints on the same terms have in common that get addresses of the same pools."""

    pools: tuple[str, ...]
    membership: Membership | None
    compares: tuple[Compare, ...]
    """What must hold for all this to be so."""


@dataclass(frozen=True)
class Terms:
    """What a request comes to."""

    node: Found[Node]
    tenant: Found[Tenant] | None
    asked: tuple[Want, ...]
    _alike: dict[tuple[str, ...], Alike] = field(default_factory=dict)

    @cached_property
    def size(self) -> int:
        """So many compares, or so many operations, each endpoint takes at most."""
        addresses = len(self.asked)
        foreign = any(want.address or found.value.borrow for want in self.asked for found in want.pools)
        return max(1 + 2 * addresses, 2 + (2 if foreign else 1) * addresses)

    @cached_property
    def order(self) -> Sequence[int]:
        """The numbers of what is asked for, in the order of picking: a certain address comes last.

        Where another address cannot be had, no block is claimed for that one.
        """
        return sorted(range(len(self.asked)), key=lambda index: self.asked[index].address is not None)

    def alike(self, pools: Sequence[Found[Pool]]) -> Alike:
        """What endpoints have in common with addresses of these pools, which are of these terms."""
        names = tuple([pool.value.name for pool in pools])
        found = self._alike.get(names)
        if found is None:
            compares = (
                *(each for want in self.asked for each in want.compares),
                self.node.unchanged(),
                *dict.fromkeys(pool.unchanged() for pool in pools),
            )
            found = Alike(names, membership([pool.value for pool in pools]), compares)
            self._alike[names] = found
        return found


class Known:
    """What is known of pools, nodes and tenants. Safe to call from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pools: Listing[Pool] | None = None
        self._nodes: dict[str, Found[Node]] = {}
        self._tenants: dict[str, Found[Tenant]] = {}
        self._terms: dict[tuple[object, ...], Terms] = {}

    def forget(self) -> None:
        """Read everything again when it is next asked for."""
        self._pools = None
        self._nodes = {}
        self._tenants = {}
        self._terms = {}

    def terms(self, request: Request) -> Terms:
        """What a request comes to; kept for others of its kind. Raises `Problem` when it cannot be met."""
        kept = self._terms  # first: what is forgotten while this reads is not remembered
        terms = None if request.addresses else kept.get(request.kind)
        if terms is None:
            node, tenant = self.node(request), self.tenant(request)
            terms = Terms(
                node,
                tenant,
                wants(request, Place(node.value, tenant.value.segment if tenant else None), self.pools()),
            )
            if not request.addresses:
                kept[request.kind] = terms
        return terms

    def pools(self) -> Listing[Pool]:
        """Every pool."""
        pools = self._pools
        if pools is None:
            self._pools = pools = scan(self._store, keys.POOLS)
        return pools

    def node(self, request: Request) -> Found[Node]:
        """The node of a request. Raises `Problem` when there is none."""
        name = request.node
        found = self._nodes.get(name) or referred(self._store, keys.NODES, name, request.scope)
        self._nodes[name] = found
        return found

    def tenant(self, request: Request) -> Found[Tenant] | None:
        """The tenant of a request; None when it has none. Raises `Problem` when it does not exist."""
        name = request.tenant
        if name is None:
            return None
        found = self._tenants.get(name) or referred(self._store, keys.TENANTS, name, request.scope)
        self._tenants[name] = found
        return found
