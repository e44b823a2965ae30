"""A small cluster as values: what most tests of decisions start from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from intent.held import Held
from intent.snapshot import Snapshot, View
from store import keys
from store.model import (
    Advertise,
    Advertised,
    Alive,
    Backend,
    Block,
    Check,
    Displaced,
    Drain,
    Drained,
    DrainStage,
    Endpoint,
    EndpointState,
    Health,
    Lost,
    Move,
    Node,
    OnLink,
    Peer,
    Pool,
    Qos,
    Ready,
    Service,
    Telling,
    Told,
    Value,
)

NODE = "node-1"
BOOT = "boot-now"
BLOCK = ip_network("10.64.0.0/26")


def pool(name: str = "default", cidr: str = "10.64.0.0/16", advertise: Advertise = Advertise.BLOCK) -> Pool:
    return Pool.model_validate({"name": name, "cidr": cidr, "advertise": advertise})


def peer(name: str = "tor-a", address: str = "10.0.1.0", node: str | None = NODE) -> Peer:
    return Peer.model_validate({"name": name, "address": address, "asn": 64501, "node": node})


def endpoint(
    name: str = "web",
    address: str = "10.64.0.1",
    node: str = NODE,
    state: EndpointState = EndpointState.ASSIGNED,
    labels: dict[str, str] | None = None,
    qos: Qos | None = None,
) -> Endpoint:
    mac = "02:70:" + ":".join(f"{octet:02x}" for octet in ip_address(address).packed[-4:])
    return Endpoint(
        id=name,
        uid=uuid5(NAMESPACE_OID, name + address).hex,
        node=node,
        pools=("default",),
        addresses=(ip_address(address),),
        mac=mac,
        state=state,
        labels=labels or {},
        qos=qos,
    )


def block(cidr: str = "10.64.0.0/26", node: str = NODE) -> Block:
    return Block(cidr=ip_network(cidr), pool="default", node=node)


def ready(prefix: str, boot_id: str = BOOT) -> Ready:
    return Ready(prefix=ip_network(prefix), node=NODE, boot_id=boot_id)


def advertised(prefix: str) -> Advertised:
    return Advertised(prefix=ip_network(prefix), node=NODE, peers=("tor-a",))


def drain(noun: Drained, name: str, stage: DrainStage) -> Drain:
    return Drain(noun=noun, name=name, stage=stage, since=datetime(2026, 1, 1, tzinfo=UTC))


def displaced(address: str, node: str = "node-2") -> Displaced:
    return Displaced(address=ip_address(address), endpoint="moved", node=node)


def service(
    name: str = "www", address: str = "10.64.255.1", check: Check | None = None, **fields: object
) -> Service:
    """A service that selects endpoints with `app=web`."""
    given = {"pool": "default", "selector": {"app": "web"}, **fields}
    return Service.model_validate({"name": name, "address": address, "check": check, **given})


def health(name: str, boot_id: str = BOOT, **healthy: bool) -> Health:
    """What an agent said of a service's endpoints."""
    backends = tuple(Backend(endpoint=each, healthy=good) for each, good in healthy.items())
    return Health(service=name, node=NODE, boot_id=boot_id, backends=backends)


def moving(one: Endpoint, target: str) -> Move:
    """A move that is not over; `one` is on the node that it leaves."""
    return Move(endpoint=one, target=target, since=datetime(2026, 1, 1, tzinfo=UTC), overlap_s=30)


PLACES: Mapping[type[Value], Callable[[Any], str]] = {
    Pool: lambda value: keys.POOLS.key(value.name),
    Node: lambda value: keys.NODES.key(value.name),
    Peer: lambda value: keys.PEERS.key(value.name),
    Service: lambda value: keys.SERVICES.key(value.name),
    Drain: lambda value: keys.DRAINS.key(value.noun.value, value.name),
    Endpoint: lambda value: keys.NODE_ENDPOINTS.key(value.node, value.id),
    Block: lambda value: keys.NODE_BLOCKS.key(value.node, value.cidr),
    Displaced: lambda value: keys.DISPLACED.key(NODE, value.address),
    Move: lambda value: keys.NODE_MOVES.key(NODE, value.endpoint.id),
    OnLink: lambda value: keys.ON_LINK.key(NODE, value.node),
    Ready: lambda value: keys.READY.key(value.node, value.prefix),
    Health: lambda value: keys.HEALTH.key(value.node, value.service),
    Advertised: lambda value: keys.ADVERTISED.key(value.node, value.prefix),
    Alive: lambda value: keys.ALIVE.key(value.node, value.program),
    Lost: lambda value: keys.LOST.key(value.node),
    Telling: lambda value: keys.TELLING.key(),
    Told: lambda value: keys.TOLD.key(NODE, value.endpoint),
}


def key_of(value: Value) -> str:
    """Where the value is stored; what names no node is of `NODE`."""
    return PLACES[type(value)](value)


def snapshot(*values: Value, node: str = NODE) -> Snapshot:
    """The snapshot of a node that was told these values."""
    view = View(node)
    for value in values:
        view.put(key_of(value), value)
    return view.snapshot


def hold(endpoints: Iterable[Endpoint]) -> list[Held]:
    """The endpoints, plugged into ports 1, 2, 3 ..."""
    return [Held(one, ofport) for ofport, one in enumerate(endpoints, start=1)]
