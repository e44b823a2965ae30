"""What rehearsed writes of policies and tenants would do: who reaches whom, and what nodes would be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel

from controller.reading import decodable, read_at_once
from controller.rehearsal import Rehearsal
from intent.compiler import Compiler
from intent.population import Member
from intent.reach import Comparison, Law, Peers, Shift
from store import keys
from store.client import KeyValue, Store
from store.codec import decode
from store.keys import Kind
from store.model import Direction, Endpoint, Policy, Tenant, Value
from store.model.value import Address_, Network

RULED: tuple[Kind[Value], ...] = (keys.POLICIES, keys.TENANTS)
READ = (keys.POLICIES, keys.TENANTS, keys.ENDPOINTS, keys.POOLS)
SHOWN = 20

V = TypeVar("V", Policy, Tenant)


class EndpointsView(BaseModel):
    """Endpoints: how many, and the first of them."""

    count: int
    some: list[str]


class PeersView(BaseModel):
    """Who is at the other end: endpoints, or addresses that are in no pool."""

    endpoints: EndpointsView | None = None
    outside: Address_ | None = None
    """One of the addresses."""
    ranges: list[Network] = []
    """Those of the rules that the addresses are in; all other addresses when there are none."""


class ShiftView(BaseModel):
    """Endpoints that are alike, and what changes between them and peers that are alike.

    It is what the rules of these endpoints say; what those of the other end say is as it was.
    """

    endpoints: EndpointsView
    direction: Direction
    """Seen from these endpoints."""
    peers: PeersView
    gains: list[str]
    """The traffic that is allowed then and is not now, as a rule is typed; `any` is all."""
    loses: list[str]


class ToldView(BaseModel):
    """How many values a node alone would be told anew, or not any more: sets are for all."""

    node: str
    values: int


class PolicyImpactView(BaseModel):
    """What writes of policies and tenants would do."""

    endpoints: EndpointsView
    """Those that the policies select, or the tenants' own."""
    shifts: list[ShiftView]
    more: bool
    """Whether there are more of them than are told."""
    nodes: list[ToldView]


def policies_foreseen(store: Store, rehearsal: Rehearsal) -> PolicyImpactView | None:
    """What rehearsed writes do beside what routers see; None when they are of no policy and no tenant."""
    written = {
        key: value for key, value in rehearsal.written.items() if any(kind.parts(key) for kind in RULED)
    }
    if not written:
        return None
    items, _ = read_at_once(store, [kind.prefix() for kind in READ])
    endpoints = [found.value for found in decodable(keys.ENDPOINTS, items)]
    pools = [found.value for found in decodable(keys.POOLS, items)]
    before = Law(_named(keys.POLICIES, items), _named(keys.TENANTS, items))
    after = Law(
        _changed(keys.POLICIES, before.policies, written), _changed(keys.TENANTS, before.tenants, written)
    )
    reached = Comparison([Member.of(each) for each in endpoints], pools, before, after).reached()
    return PolicyImpactView(
        endpoints=_endpoints(reached.endpoints),
        shifts=[_shift(each) for each in reached.shifts],
        more=reached.more,
        nodes=_told(endpoints, before, after),
    )


def _named(kind: Kind[V], items: Sequence[KeyValue]) -> dict[str, V]:
    return {found.value.name: found.value for found in decodable(kind, items)}


def _changed(kind: Kind[V], before: Mapping[str, V], written: Mapping[str, bytes | None]) -> dict[str, V]:
    after = dict(before)
    for key, value in written.items():
        if (parts := kind.parts(key)) is not None:
            after.pop(parts[0], None)
            if value is not None:
                after[parts[0]] = decode(kind.model, value, key=key)
    return after


def _told(endpoints: Sequence[Endpoint], before: Law, after: Law) -> list[ToldView]:
    """What nodes would be told, by the very compiler that tells them."""
    compiler = Compiler()
    for endpoint in endpoints:
        compiler.put_endpoint(endpoint)
    for tenant in before.tenants.values():
        compiler.put_tenant(tenant)
    for policy in before.policies.values():
        compiler.put_policy(policy)
    compiler.changes()
    for name in before.policies.keys() - after.policies.keys():
        compiler.drop_policy(name)
    for name in before.tenants.keys() - after.tenants.keys():
        compiler.drop_tenant(name)
    for tenant in after.tenants.values():
        compiler.put_tenant(tenant)
    for policy in after.policies.values():
        compiler.put_policy(policy)
    nodes = Counter(node for key in compiler.changes() if (node := keys.compiled_for(key)) is not None)
    return [ToldView(node=node, values=count) for node, count in sorted(nodes.items())]


def _shift(shift: Shift) -> ShiftView:
    return ShiftView(
        endpoints=_endpoints(shift.endpoints),
        direction=shift.direction,
        peers=_peers(shift.peers),
        gains=list(shift.gains),
        loses=list(shift.loses),
    )


def _peers(peers: Peers) -> PeersView:
    if peers.outside is None:
        return PeersView(endpoints=_endpoints(peers.endpoints))
    return PeersView(outside=peers.outside, ranges=list(peers.ranges))


def _endpoints(ids: Sequence[str]) -> EndpointsView:
    return EndpointsView(count=len(ids), some=list(ids[:SHOWN]))
