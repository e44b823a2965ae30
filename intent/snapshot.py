"""The values that the decisions about one node need, as of one moment.

A `View` is fed with the keys and values of a feed, in any order and as often as it likes; its `snapshot`
is what they amount to. A value that does not belong (another node's) is absent.

Rules come below one prefix and the sets that they name below another, so either may come first. Until all
that is named is there, what the node is told of policies stays as it was: to deny a set that has not come
would be to allow it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

from intent.address_sets import AddressSets
from intent.drains import Drains
from intent.mtu import Mtus
from intent.peers import peers_of
from store import keys
from store.model import (
    AddressSet,
    Advertised,
    Announces,
    Attachment,
    Block,
    Cluster,
    Displaced,
    Drain,
    Endpoint,
    Group,
    Health,
    Holding,
    Imported,
    IPAddress,
    IPNetwork,
    Move,
    Node,
    NodePolicy,
    OnLink,
    Peer,
    Pool,
    Ready,
    Service,
    Session,
    Telling,
    Told,
    Value,
)

V = TypeVar("V", bound=Value)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of one node and of the cluster around it."""

    name: str
    node: Node | None = None
    pools: Mapping[str, Pool] = field(default_factory=dict)
    peers: Mapping[str, Peer] = field(default_factory=dict)
    """Those that this node speaks with."""
    edged: bool = False
    """Whether some node announces for all others, so that `advertised` does not tell all."""
    services: Mapping[str, Service] = field(default_factory=dict)
    drains: Drains = field(default_factory=dict)
    """Of all nodes and peers."""
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    blocks: Mapping[IPNetwork, Block] = field(default_factory=dict)
    displaced: Mapping[IPAddress, Displaced] = field(default_factory=dict)
    moves: Mapping[str, Move] = field(default_factory=dict)
    """Those that begin or end at this node, by endpoint."""
    on_link: Mapping[str, OnLink] = field(default_factory=dict)
    """What other nodes on its segment have, by node."""
    attachments: Mapping[str, Attachment] = field(default_factory=dict)
    ready: Mapping[IPNetwork, Ready] = field(default_factory=dict)
    expected: frozenset[IPNetwork] = frozenset()
    """Of services: what is not ready, and is taken for it where a change is only thought of."""
    advertised: Mapping[IPNetwork, Advertised] = field(default_factory=dict)
    imported: Mapping[IPNetwork, Imported] = field(default_factory=dict)
    health: Mapping[str, Health] = field(default_factory=dict)
    """What was said last of the endpoints of each service."""
    rules: Mapping[str, NodePolicy] = field(default_factory=dict)
    """The policies that select an endpoint of this node, by name."""
    groups: Mapping[str | None, Group] = field(default_factory=dict)
    """The tenants that have an endpoint on this node, and None for the endpoints without tenant."""
    sets: Mapping[str, frozenset[IPAddress]] = field(default_factory=dict)
    """The addresses of each set that a rule or a group names."""
    told: Mapping[str, str] = field(default_factory=dict)
    """The endpoints of which this node was told all of that, with their uids."""
    telling: bool = False
    """Whether it is told of endpoints at all."""
    sessions: Mapping[str, Session] = field(default_factory=dict)
    """What the node's speaker has said last of its session with each peer."""
    cluster: Cluster | None = None
    """Of which etcd cluster the store says that it is."""
    holding: Holding | None = None
    """What the node's agent has said last that it holds."""

    def own_block(self, address: IPAddress) -> Block | None:
        """The block of this node that the address lies in; None when it has none."""
        return next((block for cidr, block in self.blocks.items() if address in cidr), None)

    @property
    def departing(self) -> Mapping[str, Endpoint]:
        """Endpoints that have moved away, and that this node delivers until the other one does."""
        return {
            name: move.endpoint
            for name, move in self.moves.items()
            if move.source == self.name and name not in self.endpoints
        }

    @property
    def arriving(self) -> Mapping[str, Move]:
        """Endpoints that have moved here, and that another node may deliver still."""
        return {name: move for name, move in self.moves.items() if move.target == self.name}


def watched(node: str) -> tuple[str, ...]:
    """The prefixes that this node's agent watches, and all that a program of this node may."""
    told = keys.compiled_prefix(node), keys.TELLING.key()
    return (*watched_by_speaker(node), keys.ON_LINK.prefix(node), *told)


def watched_by_speaker(node: str) -> tuple[str, ...]:
    """Those that this node's speaker watches: no policy decides about a route."""
    return (
        keys.node_prefix(node),
        keys.POOLS.prefix(),
        keys.PEERS.prefix(),
        keys.SERVICES.prefix(),
        keys.DRAINS.prefix(),
        keys.NODES.key(node),
        keys.SESSIONS.prefix(node),
        keys.CLUSTER.key(),
    )


UNSPOKEN = frozenset[type[Value]]({Attachment, Health})
"""What no speaker decides by, though one watch brings all of the node."""
UNHELD = frozenset[type[Value]]({Ready, Session, Imported, Holding})
"""What no agent decides by."""


class View:
    """Collects what a feed tells about one node. Not thread-safe: one thread feeds it and takes snapshots.

    A mapping of the snapshot is the very one of the snapshot before as long as no value it depends on has
    changed: whether anything has changed is a comparison of identities.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._values: dict[type[Value], dict[str, Value]] = {}
        self._changed: set[type[Value]] = set()
        self._snapshot = Snapshot(node)
        self._mtus = Mtus()
        self._address_sets = AddressSets()
        self._sized: dict[str, tuple[Endpoint, Endpoint]] = {}
        """The endpoints of the snapshot, as they are stored and as they are in it."""

    def put(self, key: str, value: Value) -> None:
        """Take a value that was written. Idempotent."""
        values = self._values.setdefault(type(value), {})
        if values.get(key) != value:
            values[key] = value
            self._changed.add(type(value))

    def delete(self, key: str) -> None:
        """Take note that a key is gone. Idempotent."""
        for model, values in self._values.items():
            if values.pop(key, None) is not None:
                self._changed.add(model)

    def measure(self, mtus: Mtus) -> None:
        """Take what the node's kernel says: endpoints whose MTU is the uplink's have it in the snapshot."""
        if mtus != self._mtus:
            self._mtus = mtus
            self._changed |= {Endpoint, Move}

    @property
    def snapshot(self) -> Snapshot:
        """What the values amount to now; the same object until something changes."""
        changed = self._changed
        if not changed.isdisjoint(_POLICED) and not self._named() <= self._laid():
            changed = changed - _POLICED
        if changed:
            made: dict[str, Any] = {
                name: self._take(name) for name, models in _FIELDS.items() if not changed.isdisjoint(models)
            }
            self._snapshot = replace(self._snapshot, **made)
            self._changed = self._changed - changed
        return self._snapshot

    def _named(self) -> set[str]:
        """The sets that are named."""
        named = {name for policy in self._of(NodePolicy) for name in policy.sets}
        return named.union(group.members for group in self._of(Group))

    def _laid(self) -> set[str]:
        """The sets that are there: the first shard is written last, and is there though it be empty."""
        shards = self._values.get(AddressSet, {})
        return {
            each.set
            for key, each in shards.items()
            if isinstance(each, AddressSet) and (each.shard == 0 or key.startswith(keys.COMPILED))
        }

    def _sets(self) -> Mapping[str, frozenset[IPAddress]]:
        named = self._named()
        made = self._address_sets.of(each for each in self._of(AddressSet) if each.set in named)
        before = self._snapshot.sets
        return before if made == before else MappingProxyType(made)

    def _take(self, name: str) -> object:
        """One field of the snapshot; see its type there."""
        mine = self._node
        single: dict[str, Callable[[], object]] = {
            "node": self._node_record,
            "edged": lambda: any(peer.announces is Announces.ALL for peer in self._of(Peer)),
            "cluster": lambda: next(iter(self._of(Cluster)), None),
            "telling": lambda: bool(self._of(Telling)),
            "holding": lambda: next(iter(self._of(Holding)), None),
            "sets": self._sets,
        }
        if name in single:
            return single[name]()
        takes: dict[str, Callable[[], Iterable[tuple[object, object]]]] = {
            "pools": lambda: ((pool.name, pool) for pool in self._of(Pool)),
            "peers": lambda: peers_of(mine, self._node_record(), self._of(Peer)).items(),
            "drains": lambda: (((d.noun, d.name), d) for d in self._of(Drain)),
            "endpoints": self._endpoints,
            "blocks": lambda: ((b.cidr, b) for b in self._of(Block) if b.node == mine),
            "displaced": lambda: ((d.address, d) for d in self._of(Displaced)),
            "moves": lambda: ((m.endpoint.id, self._move(m)) for m in self._of(Move)),
            "on_link": lambda: ((o.node, o) for o in self._of(OnLink)),
            "attachments": lambda: ((a.endpoint, a) for a in self._of(Attachment)),
            "ready": lambda: ((r.prefix, r) for r in self._of(Ready)),
            "advertised": lambda: ((a.prefix, a) for a in self._of(Advertised)),
            "imported": lambda: ((i.prefix, i) for i in self._of(Imported)),
            "services": lambda: ((s.name, s) for s in self._of(Service)),
            "health": lambda: ((h.service, h) for h in self._of(Health)),
            "rules": lambda: ((r.policy, r) for r in self._of(NodePolicy)),
            "groups": lambda: ((g.tenant, g) for g in self._of(Group)),
            "told": lambda: ((t.endpoint, t.uid) for t in self._of(Told)),
            "sessions": lambda: ((s.peer, s) for s in self._of(Session) if s.node == mine),
        }
        return MappingProxyType(dict(takes[name]()))

    def _endpoints(self) -> Iterator[tuple[str, Endpoint]]:
        """Those of the node, each the very one of the snapshot before unless it is another now."""
        before, self._sized = self._sized, {}
        for stored in self._of(Endpoint):
            if stored.node == self._node:
                made = self._mtus.sized(stored)
                kept = before.get(stored.id)
                if kept is not None and kept[0] is stored and kept[1].mtu_bytes == made.mtu_bytes:
                    made = kept[1]
                self._sized[stored.id] = stored, made
                yield stored.id, made

    def _move(self, move: Move) -> Move:
        made = self._mtus.sized(move.endpoint)
        return move if made is move.endpoint else move.model_copy(update={"endpoint": made})

    def _node_record(self) -> Node | None:
        return next((node for node in self._of(Node) if node.name == self._node), None)

    def _of(self, model: type[V]) -> list[V]:
        return [value for value in self._values.get(model, {}).values() if isinstance(value, model)]


_FIELDS: Mapping[str, tuple[type[Value], ...]] = {
    "node": (Node,),
    "pools": (Pool,),
    "peers": (Peer, Node),  # a node's labels choose among the peers
    "edged": (Peer,),
    "drains": (Drain,),
    "endpoints": (Endpoint,),
    "blocks": (Block,),
    "displaced": (Displaced,),
    "moves": (Move,),
    "on_link": (OnLink,),
    "attachments": (Attachment,),
    "ready": (Ready,),
    "advertised": (Advertised,),
    "imported": (Imported,),
    "services": (Service,),
    "health": (Health,),
    "rules": (NodePolicy,),
    "groups": (Group,),
    "sets": (AddressSet, NodePolicy, Group),
    "told": (Told,),
    "telling": (Telling,),
    "sessions": (Session,),
    "cluster": (Cluster,),
    "holding": (Holding,),
}
"""The fields of the snapshot, and the models whose values make each."""

_POLICED = frozenset[type[Value]]({NodePolicy, Group, AddressSet, Told})
"""What the node is told of policies, all of which counts together."""
