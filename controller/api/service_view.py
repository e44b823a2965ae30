"""A service as it is shown, with what its nodes say of it."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

from controller.reading import read_many, scan
from controller.scope import Scope
from store import keys
from store.client import Store
from store.model import Advertised, Alive, Health, Program, Ready, Service, host_prefix


class ServiceBackend(BaseModel):
    """An endpoint that the service selects."""

    endpoint: str
    node: str
    healthy: bool
    why: str
    """Why it is not healthy."""


class ServiceNode(BaseModel):
    """A node that has endpoints of the service."""

    node: str
    ready: bool
    """It delivers the address to a healthy endpoint, so its speaker may announce it."""
    peers: list[str]
    """The peers that it is announced to. None are told to whom the network is not shown."""
    stale: bool
    """Its agent does not live: this is what it said last."""


class ServiceView(Service):
    """A service as it is shown."""

    healthy: bool
    """Some node is ready."""
    nodes: list[ServiceNode]
    endpoints: list[ServiceBackend]
    why: str
    """Why it is not healthy; empty when it is."""


def view(store: Store, service: Service, scope: Scope) -> ServiceView:
    """One service, for a caller: what the nodes say of it is read in a few requests."""
    names = [node.name for node in scan(store, keys.NODES).values]
    said = read_many(store, keys.HEALTH, [(node, service.name) for node in names])
    places = [node for node, _ in said]
    prefix = str(host_prefix(service.address))
    ready = read_many(store, keys.READY, [(node, prefix) for node in places])
    told = read_many(store, keys.ADVERTISED, [(node, prefix) for node in places if scope.whole])
    alive = read_many(store, keys.ALIVE, [(node, Program.AGENT.value) for node in places])
    nodes = [
        _node(
            health,
            ready.get((node, prefix)),
            told.get((node, prefix)),
            alive.get((node, Program.AGENT.value)),
        )
        for (node, _), health in sorted(said.items())
    ]
    endpoints = [each for _, health in sorted(said.items()) for each in _backends(health)]
    return ServiceView(
        **dict(service),
        healthy=any(node.ready for node in nodes),
        nodes=nodes,
        endpoints=endpoints,
        why=_why(nodes, endpoints),
    )


def _node(health: Health, ready: Ready | None, told: Advertised | None, alive: Alive | None) -> ServiceNode:
    # Readiness outlives the agent, but not the boot it was said in.
    boot_id = alive.boot_id if alive is not None else health.boot_id
    return ServiceNode(
        node=health.node,
        ready=ready is not None and ready.boot_id == boot_id,
        peers=list(told.peers) if told is not None else [],
        stale=alive is None,
    )


def _backends(health: Health) -> Iterable[ServiceBackend]:
    for each in health.backends:
        yield ServiceBackend(endpoint=each.endpoint, node=health.node, healthy=each.healthy, why=each.why)


def _why(nodes: list[ServiceNode], endpoints: list[ServiceBackend]) -> str:
    if any(node.ready for node in nodes):
        return ""
    if not endpoints:
        return "no endpoint of its tenant has the labels of its selector, as far as nodes have said"
    if any(each.healthy for each in endpoints):
        return "no node with a healthy endpoint has its route and flows yet"
    return f"none of its {len(endpoints)} endpoints is healthy"
