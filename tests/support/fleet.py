"""Several nodes as values: what decisions about all of them start from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any

from intent.cluster import ClusterView, Member
from store.model import (
    Advertised,
    Block,
    Node,
    Peer,
    Ready,
    Value,
)
from tests.support.cluster import BOOT, key_of


def node(name: str = "node-1", **fields: Any) -> Node:
    return Node.model_validate({"name": name, "asn": 64511} | fields)


def tor(name: str = "tor-a", address: str = "10.0.1.0", **fields: Any) -> Peer:
    return Peer.model_validate({"name": name, "address": address, "asn": 64501} | fields)


def block(cidr: str, node: str = "node-1", pool: str = "default") -> Block:
    return Block(cidr=ip_network(cidr), pool=pool, node=node)


def ready(prefix: str, node: str = "node-1", boot_id: str = BOOT) -> Ready:
    return Ready(prefix=ip_network(prefix), node=node, boot_id=boot_id)


def advertised(prefix: str, *peers: str, node: str = "node-1") -> Advertised:
    return Advertised(prefix=ip_network(prefix), node=node, peers=peers)


def fed(values: Iterable[Value]) -> ClusterView:
    """A view that was told these values."""
    view = ClusterView()
    for value in values:
        view.put(key_of(value), value)
    return view


def changed(
    values: Iterable[Value], puts: Iterable[Value] = (), deletes: Iterable[Value] = ()
) -> tuple[Mapping[str, Member], Mapping[str, Member]]:
    """Every node before a change and after it."""
    view = fed(values)
    before = view.members
    for value in puts:
        view.put(key_of(value), value)
    for value in deletes:
        view.delete(key_of(value))
    return before, view.members
