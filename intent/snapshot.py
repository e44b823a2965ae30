"""The values that the decisions about one node need, as of one moment.

A `View` is fed with the keys and values of a feed, in any order and as often as it likes; `snapshot` is
what they amount to. A value that does not belong (another node's, of a pool that is gone) is absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from store import keys
from store.model import (
    Advertised,
    Attachment,
    Block,
    Displaced,
    Endpoint,
    IPAddress,
    IPNetwork,
    Node,
    Peer,
    Pool,
    Ready,
    Value,
)

K = TypeVar("K")
V = TypeVar("V", bound=Value)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of one node and of the cluster around it."""

    name: str
    node: Node | None = None
    pools: Mapping[str, Pool] = field(default_factory=dict)
    peers: Mapping[str, Peer] = field(default_factory=dict)
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    blocks: Mapping[IPNetwork, Block] = field(default_factory=dict)
    displaced: Mapping[IPAddress, Displaced] = field(default_factory=dict)
    attachments: Mapping[str, Attachment] = field(default_factory=dict)
    ready: Mapping[IPNetwork, Ready] = field(default_factory=dict)
    advertised: Mapping[IPNetwork, Advertised] = field(default_factory=dict)

    def own_block(self, address: IPAddress) -> Block | None:
        """The block of this node that the address lies in; None when it has none."""
        return next((block for cidr, block in self.blocks.items() if address in cidr), None)


def watched(node: str) -> tuple[str, ...]:
    """The prefixes a program of this node watches."""
    return (keys.node_prefix(node), keys.POOLS.prefix(), keys.PEERS.prefix(), keys.NODES.key(node))


class View:
    """Collects what a feed tells about one node. Not thread-safe: one thread feeds it and takes snapshots."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._values: dict[str, Value] = {}
        self._snapshot: Snapshot | None = None

    def put(self, key: str, value: Value) -> None:
        """Take a value that was written. Idempotent."""
        if self._values.get(key) != value:
            self._values[key] = value
            self._snapshot = None

    def delete(self, key: str) -> None:
        """Take note that a key is gone. Idempotent."""
        if self._values.pop(key, None) is not None:
            self._snapshot = None

    @property
    def snapshot(self) -> Snapshot:
        """What the values amount to now; the same object until something changes."""
        if self._snapshot is None:
            self._snapshot = self._take()
        return self._snapshot

    def _take(self) -> Snapshot:
        found: dict[type[Value], list[Value]] = {}
        for value in self._values.values():
            found.setdefault(type(value), []).append(value)

        def of(model: type[V]) -> list[V]:
            return [value for value in found.get(model, []) if isinstance(value, model)]

        pools = {pool.name: pool for pool in of(Pool)}
        return Snapshot(
            name=self._node,
            node=next((node for node in of(Node) if node.name == self._node), None),
            pools=MappingProxyType(pools),
            peers=_map((peer.name, peer) for peer in of(Peer) if peer.node in {None, self._node}),
            endpoints=_map((e.id, e) for e in of(Endpoint) if e.node == self._node and e.pool in pools),
            blocks=_map((b.cidr, b) for b in of(Block) if b.node == self._node and b.pool in pools),
            displaced=_map((d.address, d) for d in of(Displaced)),
            attachments=_map((a.endpoint, a) for a in of(Attachment)),
            ready=_map((r.prefix, r) for r in of(Ready)),
            advertised=_map((a.prefix, a) for a in of(Advertised)),
        )


def _map(pairs: Iterable[tuple[K, V]]) -> Mapping[K, V]:
    return MappingProxyType(dict(pairs))
