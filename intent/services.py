"""Which services a node serves, to which of its endpoints, and what follows for its devices.

An endpoint of the node that a service selects holds the service's address beside its own. Those that are
healthy take packets to it. As long as one does, the node has a route, a neighbour and flows for the
address, and says that it is ready. A node on which none does says nothing. It sends its own packets to the
address by way of the routers, and what routers may still send meets a blackhole, as with what is displaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from intent.held import KEPT, Held
from intent.names import BRIDGE, GATEWAY_MAC
from intent.neighbours import Neighbour, NeighbourKey
from intent.routes import Route, RouteKey, RouteKind, by_routers
from intent.snapshot import Snapshot
from openflow.anycast import SERVICE_MAC, ServicePorts, service_flows
from openflow.flow import Flow, FlowKey
from openflow.pipeline import EndpointPort
from store.model import Endpoint, EndpointState, IPNetwork, Service, host_prefix

SLOTS = 128
"""Into so many parts a service's packets are cut on a node."""


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """A service on a node that holds some of its endpoints. Equal to itself only, as `Held` is."""

    service: Service
    holders: tuple[Held, ...]
    """The endpoints that hold the address."""
    takers: tuple[Held, ...]
    """Those of them that take packets: the healthy ones."""

    @property
    def prefix(self) -> IPNetwork:
        """What is announced while there are takers."""
        return host_prefix(self.service.address)


Healthy = Callable[[Service, Endpoint], bool]


def selected(service: Service, endpoint: Endpoint) -> bool:
    """Whether an endpoint is to hold the service's address, as far as its record tells."""
    return service.selects(endpoint) and not unfit(service, endpoint)


def unfit(service: Service, endpoint: Endpoint) -> str:
    """Why an endpoint that has the labels is not to hold the service's address; empty when it is."""
    if service.target(endpoint) is None:
        return f"it has no IPv{service.address.version} address"
    if endpoint.membership is not None:
        segment = endpoint.membership.segment
        return (
            f"it is on segment {segment}, and takes no packets of services: make one whose pools are on none"
        )
    return "it is being released" if endpoint.state is not EndpointState.ASSIGNED else ""


def servings(
    services: Iterable[Service],
    holders: Mapping[str, Iterable[Held]],
    healthy: Healthy,
    before: Mapping[str, Serving],
) -> dict[str, Serving]:
    """The services that endpoints of this node hold, by name.

    Args:
        services: all there are.
        holders: by service, the endpoints that hold its address.
        healthy: whether an endpoint takes packets of a service.
        before: what this answered the last time: what has not changed is the same object.
    """
    made = {}
    for service in services:
        held = tuple(sorted(holders.get(service.name, ()), key=lambda one: one.endpoint.id))
        if not held:
            continue
        takers = tuple(one for one in held if healthy(service, one.endpoint))
        old = before.get(service.name)
        same = old is not None and (old.service, old.holders, old.takers) == (service, held, takers)
        made[service.name] = old if old is not None and same else Serving(service, held, takers)
    return made


def elsewhere(snapshot: Snapshot, now: Mapping[str, Serving]) -> dict[RouteKey, Route]:
    """The routes of services that no endpoint of this node takes packets of, where it needs any.

    Without them a packet to the address would meet the blackhole of the node's own block, or go to and fro
    between a router that has not heard yet and the node's default route.
    """
    made: dict[RouteKey, Route] = {}
    for service in snapshot.services.values():
        serving = now.get(service.name)
        in_block = snapshot.own_block(service.address) is not None
        if (serving is not None and serving.takers) or not (in_block or serving is not None):
            continue
        reason = f"service {service.name} has no healthy endpoint here"
        if not in_block:
            hole = Route(host_prefix(service.address), kind=RouteKind.BLACKHOLE, reason=reason)
            made[hole.key] = hole
        if (route := by_routers(snapshot, service.address, reason)) is not None:
            made[route.key] = route
    return made


@lru_cache(maxsize=KEPT)
def service_routes(serving: Serving) -> Mapping[RouteKey, Route]:
    """On-link on the bridge while an endpoint takes packets."""
    if not serving.takers:
        return {}
    route = Route(serving.prefix, oif=BRIDGE, reason=f"service {serving.service.name}")
    return {route.key: route}


@lru_cache(maxsize=KEPT)
def service_neighbours(serving: Serving) -> Mapping[NeighbourKey, Neighbour]:
    """Likewise: a MAC that stands for whichever endpoint the flows choose."""
    if not serving.takers:
        return {}
    service = serving.service
    made = Neighbour(BRIDGE, service.address, SERVICE_MAC, reason=f"service {service.name}")
    return {made.key: made}


@lru_cache(maxsize=KEPT)
def service_flows_of(serving: Serving) -> Mapping[FlowKey, Flow]:
    """The flows of a service on the bridge."""
    ofports = {one.endpoint.id: one.ofport for one in serving.takers}
    ports = ServicePorts(
        serving.service.name,
        serving.service.address,
        tuple(map(_port, serving.holders)),
        tuple(map(_port, serving.takers)),
        tuple(ofports[name] for name in slots(tuple(ofports))),
    )
    return {flow.key: flow for flow in service_flows(ports, GATEWAY_MAC)}


@lru_cache(maxsize=KEPT)
def slots(endpoints: tuple[str, ...]) -> tuple[str, ...]:
    """Who takes each part of a service's packets: the endpoint whose hash with the part's number is highest.

    The same on every node and after every restart. When an endpoint goes only its parts change hands, and
    one that comes takes parts for itself only: connections of the others go on.
    """
    return tuple(
        max(endpoints, key=lambda name: _weight(slot, name)) for slot in range(SLOTS if endpoints else 0)
    )


def _weight(slot: int, endpoint: str) -> bytes:
    return blake2b(f"{slot} {endpoint}".encode(), digest_size=8).digest()


def _port(held: Held) -> EndpointPort:
    endpoint = held.endpoint
    return EndpointPort(endpoint.id, held.ofport, endpoint.mac, endpoint.addresses, held.judged)
