"""The kernel routes and policy rules a node should have.

- An endpoint that the node holds: its /32 (/128) on-link on the bridge's internal port.
- A block: a blackhole, so that what the block's prefix attracts and nobody holds ends here, never loops.
- A range that is announced as one (`intent.summaries`): likewise, and in the table of its own the way by the
  routers, with the node's own prefixes thrown out of it.
- A displaced address, in one of the node's blocks but held elsewhere, or not arrived here yet: by way of
  the routers, in a table of its own. Only what comes from this node or its endpoints consults it. What a
  router sends here for such an address meets the blackhole: were it sent back, the two would pass it to and
  fro.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from intent.held import KEPT, Held
from intent.names import BRIDGE, DISPLACED_TABLE, MAIN_TABLE
from intent.snapshot import Snapshot
from intent.summaries import routers
from store.model import IPAddress, IPNetwork, host_prefix, is_inside


class RouteKind(StrEnum):
    """The route types of rtnetlink that are used."""

    UNICAST = "unicast"
    BLACKHOLE = "blackhole"
    THROW = "throw"
    """Ends the lookup in this table: the next one decides."""


@dataclass(frozen=True, slots=True)
class RouteKey:
    """What a route is found by. Its hash is made once: thousands are looked up in each pass."""

    destination: IPNetwork
    table: int = MAIN_TABLE
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.destination, self.table)))

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return f"{self.destination} table={self.table}"


@dataclass(frozen=True, slots=True)
class Route:
    """A kernel route: on-link on `oif`, by way of one or more `gateways` of equal weight, or a blackhole."""

    destination: IPNetwork
    table: int = MAIN_TABLE
    kind: RouteKind = RouteKind.UNICAST
    oif: str | None = None
    gateways: tuple[IPAddress, ...] = ()
    reason: str = field(default="", compare=False)
    key: RouteKey = field(init=False, repr=False, compare=False)
    """What it is found by."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", RouteKey(self.destination, self.table))

    def __str__(self) -> str:
        via = ",".join(map(str, self.gateways)) or self.oif
        return f"route destination={self.key} kind={self.kind} via={via}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy rule: packets that come in by `iif` ("lo" is the host itself) look in `table` first."""

    priority: int
    iif: str
    table: int
    version: int


RULE_PRIORITY = 100


def rules() -> dict[Rule, Rule]:
    """The policy rules every node has. A rule is its own key."""
    made = (Rule(RULE_PRIORITY, iif, DISPLACED_TABLE, v) for iif in (BRIDGE, "lo") for v in (4, 6))
    return {rule: rule for rule in made}


def route_parts(snapshot: Snapshot, held: Iterable[Held]) -> list[Mapping[RouteKey, Route]]:
    """The routes of this node, in parts; of equal keys the last counts. Those of the endpoints are kept."""
    held = list(held)
    other = [_block(cidr) for cidr in routed_blocks(snapshot)]
    other += _displaced(snapshot, held)
    # Endpoints last: a block of one address gives way to the endpoint that holds it.
    return [{route.key: route for route in other}, *map(routes_of, held)]


def routed_blocks(snapshot: Snapshot) -> Iterator[IPNetwork]:
    """The blocks of this node but for those of segments: those are on-link at other routers."""
    for cidr, block in snapshot.blocks.items():
        pool = snapshot.pools.get(block.pool)
        if pool is None or pool.segment is None:
            yield cidr


@lru_cache(maxsize=KEPT)
def routes_of(held: Held) -> Mapping[RouteKey, Route]:
    """The routes to one endpoint; none of one on a segment, which has routers of its own."""
    if held.endpoint.membership is not None:
        return {}
    reason = f"endpoint {held.endpoint.id}"
    made = (Route(host_prefix(one), oif=BRIDGE, reason=reason) for one in held.endpoint.addresses)
    return {route.key: route for route in made}


def _block(cidr: IPNetwork) -> Route:
    return Route(cidr, kind=RouteKind.BLACKHOLE, reason="block of this node: unassigned addresses end here")


def _displaced(snapshot: Snapshot, held: Collection[Held]) -> Iterator[Route]:
    """An endpoint that has moved is where it was for as long as its former node holds it."""
    where = {
        address: f"endpoint {one.endpoint} holds it on {one.node}"
        for address, one in snapshot.displaced.items()
    }
    for move in snapshot.arriving.values():
        reason = f"endpoint {move.endpoint.id} may be on {move.source} still"
        where.update(dict.fromkeys(move.endpoint.addresses, reason))
    if not where:
        return
    here = {address for one in held for address in one.endpoint.addresses}
    for address, reason in where.items():
        if address in here or snapshot.own_block(address) is None:
            continue
        if (route := by_routers(snapshot, address, reason)) is not None:
            yield route


def range_routes(
    snapshot: Snapshot, ranges: Iterable[IPNetwork], own: Mapping[RouteKey, Route]
) -> dict[RouteKey, Route]:
    """The routes of ranges that are announced as one: a blackhole, and the node's own way around it.

    Args:
        ranges: those that the node announces, or has until a moment ago.
        own: all its other routes.
    """
    made: list[Route] = []
    for cidr in ranges:
        reason = "summary of this node: what nobody holds ends here"
        made.append(Route(cidr, kind=RouteKind.BLACKHOLE, reason=reason))
        if not (gateways := routers(snapshot, cidr.version)):
            continue
        reason = "what other nodes hold of the range"
        made.append(Route(cidr, DISPLACED_TABLE, gateways=gateways, reason=reason))
        made += (Route(each, DISPLACED_TABLE, RouteKind.THROW) for each in _own_parts(snapshot, cidr, own))
    return {route.key: route for route in made}


def _own_parts(snapshot: Snapshot, cidr: IPNetwork, own: Mapping[RouteKey, Route]) -> Iterator[IPNetwork]:
    """The prefixes inside a range for which the main table has the word; inside a block its own is enough."""
    for key in own:
        part = key.destination
        if RouteKey(part, DISPLACED_TABLE) in own or not is_inside(part, cidr):
            continue
        if part in snapshot.blocks or not any(is_inside(part, block) for block in snapshot.blocks):
            yield part


def by_routers(snapshot: Snapshot, address: IPAddress, reason: str) -> Route | None:
    """How this node and its endpoints reach an address that is elsewhere; None when there are no routers."""
    gateways = routers(snapshot, address.version)
    if not gateways:
        return None
    return Route(host_prefix(address), DISPLACED_TABLE, gateways=gateways, reason=reason)
