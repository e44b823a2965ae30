"""The routes to what other nodes on the same segment have, without a router in between.

They are in the table that only what this node and its endpoints send consults: what a router sends here is
never sent on. So a packet takes one such way at most, and where a node does not have what it is sent, a
router sees it next, or the blackhole of a block. When the segment's link fails the kernel drops the routes,
and the main table decides: by way of the routers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from intent.names import DISPLACED_TABLE, MAIN_TABLE
from intent.routes import Route, RouteKey, RouteKind, by_routers
from intent.snapshot import Snapshot
from store.model import IPAddress, IPNetwork, OnLink, host_prefix, of_version


def direct_routes(snapshot: Snapshot, own: Mapping[RouteKey, Route]) -> dict[RouteKey, Route]:
    """The routes by way of other nodes, and around them to what is not where its block is.

    Args:
        snapshot: what should be.
        own: all other routes of the node; what is here is not sought elsewhere.
    """
    others = _others(snapshot)
    if not others:
        return {}
    blocks = {
        block: (other, gateway)
        for other in others.values()
        for block in other.blocks
        if block not in snapshot.blocks
        and (gateway := of_version(other.next_hops, block.version)) is not None
    }
    covered = _Covered(blocks)
    here = {key.destination for key in own if key.table == MAIN_TABLE and covered.has(key.destination)}
    made = [
        *(
            Route(
                block, DISPLACED_TABLE, gateways=(gateway,), reason=f"block of {other.node}, on this segment"
            )
            for block, (other, gateway) in blocks.items()
        ),
        *_exceptions(snapshot, others, covered, here),
        *_own_displaced(snapshot, others, own),
        *(Route(each, DISPLACED_TABLE, RouteKind.THROW) for each in here),
    ]
    return {route.key: route for route in made}


def _others(snapshot: Snapshot) -> Mapping[str, OnLink]:
    """The other nodes on the segment, as long as this one is on any."""
    node = snapshot.node
    if node is None or node.direct is None:
        return {}
    return {
        name: each
        for name, each in snapshot.on_link.items()
        if name != snapshot.name and not set(each.next_hops) & set(node.next_hops)
    }


def _exceptions(
    snapshot: Snapshot, others: Mapping[str, OnLink], covered: _Covered, here: set[IPNetwork]
) -> Iterator[Route]:
    """What is inside those blocks and not at their nodes: at another one, or wherever a service is."""
    for other in others.values():
        for each in other.displaced:
            if host_prefix(each.address) not in here:
                reason = f"endpoint {each.endpoint} holds it on {each.node}"
                yield _way(snapshot, others.get(each.node), each.address, reason)
    for service in snapshot.services.values():
        prefix = host_prefix(service.address)
        if prefix not in here and covered.has(prefix):
            yield _way(
                snapshot, None, service.address, f"service {service.name} has no healthy endpoint here"
            )


def _own_displaced(
    snapshot: Snapshot, others: Mapping[str, OnLink], own: Mapping[RouteKey, Route]
) -> Iterator[Route]:
    """What of this node's blocks is on another node of the segment, and not here any more."""
    for address, each in snapshot.displaced.items():
        other = others.get(each.node)
        if other is not None and RouteKey(host_prefix(address), DISPLACED_TABLE) in own:
            yield _way(snapshot, other, address, f"endpoint {each.endpoint} holds it on {each.node}")


def _way(snapshot: Snapshot, other: OnLink | None, address: IPAddress, reason: str) -> Route:
    """To one address: by way of a node on the segment, else the routers, else as the main table says."""
    gateway = of_version(other.next_hops, address.version) if other is not None else None
    if gateway is not None:
        return Route(host_prefix(address), DISPLACED_TABLE, gateways=(gateway,), reason=reason)
    by = by_routers(snapshot, address, reason)
    return by or Route(host_prefix(address), DISPLACED_TABLE, RouteKind.THROW, reason=reason)


class _Covered:
    """Whether a prefix is inside one of many, without a look at each of them."""

    def __init__(self, prefixes: Iterable[IPNetwork]) -> None:
        self._starts: dict[tuple[int, int], set[int]] = {}
        for each in prefixes:
            shift = each.max_prefixlen - each.prefixlen
            self._starts.setdefault((each.version, shift), set()).add(int(each.network_address) >> shift)

    def has(self, prefix: IPNetwork) -> bool:
        start, bits = int(prefix.network_address), prefix.max_prefixlen - prefix.prefixlen
        return any(
            version == prefix.version and bits <= shift and start >> shift in starts
            for (version, shift), starts in self._starts.items()
        )
