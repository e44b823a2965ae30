"""What is known of every node at once: for those who announce for all, or look at all.

A `ClusterView` is fed like a `View`, with the keys and values of all nodes. A node's own go to its own view,
pools, peers and services to those that they concern, so one node's change costs as much as it does there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from intent.snapshot import Snapshot, View
from store import keys
from store.model import Alive, Cluster, Drain, Lost, Node, Peer, Pool, Program, Service, Value


@dataclass(frozen=True, slots=True)
class Member:
    """One node of the cluster."""

    snapshot: Snapshot
    boot_id: str | None = None
    """Of the boot in which its agent lives; None while the agent does not."""
    lost: Lost | None = None
    """That none of its programs lives, and since when; None while one does."""


def watched() -> tuple[str, ...]:
    """The prefixes that a `ClusterView` is fed with."""
    return (
        keys.NODES_OWN,
        keys.POOLS.prefix(),
        keys.PEERS.prefix(),
        keys.SERVICES.prefix(),
        keys.DRAINS.prefix(),
        keys.NODES.prefix(),
        keys.ALIVE.prefix(),
        keys.LOST.prefix(),
        keys.CLUSTER.key(),
    )


class ClusterView:
    """Collects what a feed tells about all nodes. Not thread-safe.

    A member is the very one from before as long as nothing of its node has changed.
    """

    def __init__(self) -> None:
        self._views: dict[str, View] = {}
        self._shared: dict[str, Value] = {}
        self._peers: dict[str, str] = {}
        """The node of each peer that is one node's."""
        self._alive: dict[str, Alive] = {}
        self._lost: dict[str, Lost] = {}
        self._members: dict[str, Member] = {}
        self._clusters: dict[str, Cluster] = {}

    def put(self, key: str, value: Value) -> None:
        """Take a value that was written. Idempotent."""
        match value:
            case Alive():
                self._alive[key] = value
            case Lost():
                self._lost[key] = value
            case Cluster():
                self._clusters[key] = value
            case Node():
                self._view(value.name).put(key, value)
            case Peer() if value.node is not None:
                if self._peers.setdefault(key, value.node) != value.node or key in self._shared:
                    self.delete(key)  # one that was deleted and made anew, for other nodes
                    self._peers[key] = value.node
                self._view(value.node).put(key, value)
            case Peer() | Pool() | Service() | Drain():
                self._shared[key] = value
                for view in self._views.values():
                    view.put(key, value)
            case _ if (owner := keys.owner(key)) is not None:
                self._view(owner).put(key, value)

    def delete(self, key: str) -> None:
        """Take note that a key is gone. Idempotent."""
        self._alive.pop(key, None)
        self._lost.pop(key, None)
        self._clusters.pop(key, None)
        self._shared.pop(key, None)
        self._peers.pop(key, None)
        owner = keys.owner(key)
        for view in self._views.values() if owner is None else [self._view(owner)]:
            view.delete(key)

    @property
    def cluster(self) -> Cluster | None:
        """Of which etcd cluster the store says that it is."""
        return next(iter(self._clusters.values()), None)

    @property
    def members(self) -> Mapping[str, Member]:
        """Every registered node by its name."""
        agents = {each.node: each.boot_id for each in self._alive.values() if each.program is Program.AGENT}
        lost = {each.node: each for each in self._lost.values()}
        made = {}
        for name, view in self._views.items():
            if view.snapshot.node is None:
                continue
            member = Member(view.snapshot, agents.get(name), lost.get(name))
            made[name] = _same(self._members.get(name), member)
        self._members = made
        return made

    def _view(self, node: str) -> View:
        view = self._views.get(node)
        if view is None:
            view = self._views[node] = View(node)
            for key, value in self._shared.items():
                view.put(key, value)
        return view


def _same(before: Member | None, member: Member) -> Member:
    if before is None or before.snapshot is not member.snapshot:
        return member
    unchanged = (before.boot_id, before.lost) == (member.boot_id, member.lost)
    return before if unchanged else member
