"""The kernel routes and policy rules a node should have.

- An endpoint that the node holds: its /32 (/128) on-link on the bridge's internal port.
- A block: a blackhole, so that what the block's prefix attracts and nobody holds ends here, never loops.
- A displaced address, in one of the node's blocks but held elsewhere: by way of the routers, in a table
  of its own. Only what comes from this node or its endpoints consults it. What a router sends here for
  such an address meets the blackhole: were it sent back, the two would pass it to and fro.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from intent.held import KEPT, Held
from intent.names import BRIDGE, DISPLACED_TABLE, MAIN_TABLE
from intent.snapshot import Snapshot
from store.model import IPAddress, IPNetwork, host_prefix


class RouteKind(StrEnum):
    """The route types of rtnetlink that are used."""

    UNICAST = "unicast"
    BLACKHOLE = "blackhole"


@dataclass(frozen=True, slots=True)
class RouteKey:
    """What a route is found by."""

    destination: IPNetwork
    table: int = MAIN_TABLE


@dataclass(frozen=True, slots=True)
class Route:
    """A kernel route: on-link on `oif`, by way of one or more `gateways` of equal weight, or a blackhole."""

    destination: IPNetwork
    table: int = MAIN_TABLE
    kind: RouteKind = RouteKind.UNICAST
    oif: str | None = None
    gateways: tuple[IPAddress, ...] = ()
    reason: str = field(default="", compare=False)

    @property
    def key(self) -> RouteKey:
        """What it is found by."""
        return RouteKey(self.destination, self.table)


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


def routes(snapshot: Snapshot, held: Iterable[Held]) -> dict[RouteKey, Route]:
    """The routes of this node, by what they are found by."""
    other = [_block(cidr) for cidr in snapshot.blocks]
    other += [route for address in snapshot.displaced if (route := _displaced(snapshot, address)) is not None]
    made = {route.key: route for route in other}
    for one in held:  # last: a block of one address gives way to the endpoint that holds it
        made.update(routes_of(one))
    return made


@lru_cache(maxsize=KEPT)
def routes_of(held: Held) -> Mapping[RouteKey, Route]:
    """The routes to one endpoint."""
    reason = f"endpoint {held.endpoint.id}"
    made = (Route(host_prefix(one), oif=BRIDGE, reason=reason) for one in held.endpoint.addresses)
    return {route.key: route for route in made}


def _block(cidr: IPNetwork) -> Route:
    return Route(cidr, kind=RouteKind.BLACKHOLE, reason="block of this node: unassigned addresses end here")


def _displaced(snapshot: Snapshot, address: IPAddress) -> Route | None:
    if snapshot.own_block(address) is None:
        return None
    where = snapshot.displaced[address]
    return by_routers(snapshot, address, f"endpoint {where.endpoint} holds it on {where.node}")


def by_routers(snapshot: Snapshot, address: IPAddress, reason: str) -> Route | None:
    """How this node and its endpoints reach an address that is elsewhere; None when there are no routers."""
    routers = sorted(
        peer.address for peer in snapshot.peers.values() if peer.address.version == address.version
    )
    if not routers:
        return None
    return Route(host_prefix(address), DISPLACED_TABLE, gateways=tuple(dict.fromkeys(routers)), reason=reason)
