"""Nodes in memory: real pass, wants, view, publisher and store drivers over devices that outlive the agent.

Nothing runs by itself. Each step of an agent is a call, so that a test decides what happens between them,
and a fuse kills an agent before any one of its writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from agents.delta import Delta
from agents.driver import Outcome
from agents.node.attachments import Attachments
from agents.node.dataplane import Dataplane, Devices
from agents.node.places import Places
from agents.node.plug import Busy, Plugged
from agents.node.serving import Services
from agents.node.wants import Refused, Stage, Want, Wants
from agents.publisher import Publisher
from agents.reconciler import Reconciler
from agents.report import StoreDriver
from intent.advertisements import advertisements
from intent.snapshot import View, watched
from store import keys
from store.client import Compare, Delete, Exists, Op, Put, Range, TxnResult
from store.codec import decode, encode
from store.errors import Unavailable
from store.keys import kind_of
from store.memory import MemoryStore
from store.model import Advertised, Attachment, Endpoint, IPAddress, Peer, Value
from tests.support.checks import MemoryChecks
from tests.support.cluster import BOOT
from tests.support.drivers import DEVICES, DictDriver
from tests.support.ipam import FlakyStore
from tests.support.plugs import MemoryPlug


class Killed(Exception):
    """The agent was killed here."""


class Fuse:
    """Kills the agent before the write that comes after `left` others; never when that is None."""

    def __init__(self) -> None:
        self.left: int | None = None

    def burn(self) -> None:
        if self.left is None:
            return
        if self.left == 0:
            raise Killed
        self.left -= 1


class NodeStore(FlakyStore):
    """The store as one node sees it: perhaps not at all."""

    def __init__(self, inner: MemoryStore, fuse: Fuse) -> None:
        super().__init__(inner)
        self.fuse = fuse
        self.away = False

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        self._reach()
        self.fuse.burn()
        return super().txn(compares, ops)

    def range(
        self, prefix: str, *, limit: int = 0, after: str = "", before: str = "", revision: int = 0
    ) -> Range:
        self._reach()
        return super().range(prefix, limit=limit, after=after, before=before, revision=revision)

    def _reach(self) -> None:
        if self.away:
            raise Unavailable("the node is cut off")


class FusedDriver(DictDriver[Any, Any]):
    """A device whose agent may die before it is written."""

    def __init__(self, name: str, fuse: Fuse) -> None:
        super().__init__(name=name)
        self.fuse = fuse

    def apply(self, change: Delta[Any, Any]) -> Outcome:
        self.fuse.burn()
        return super().apply(change)


class FusedPlug(MemoryPlug):
    """Plugs whose agent may die before they are written."""

    fuse: Fuse

    def insert(
        self,
        want: Want,
        endpoint: Endpoint,
        services: frozenset[IPAddress] = frozenset(),
        *,
        closed: bool = False,
    ) -> Plugged:
        self.fuse.burn()
        if self.busy:
            raise Busy("the switch is away")
        return super().insert(want, endpoint, services, closed=closed)

    def hold(self, there: Plugged, services: frozenset[IPAddress]) -> Plugged:
        self.fuse.burn()
        return super().hold(there, services)

    def remove(self, endpoint: str) -> None:
        self.fuse.burn()
        if self.busy:
            raise Busy("the switch is away")
        super().remove(endpoint)


class World:
    """A store, a clock, and nodes."""

    def __init__(self, names: Sequence[str]) -> None:
        self.now = 0.0
        self.memory = MemoryStore(lambda: self.now)
        self.nodes = {name: SimNode(self, name) for name in names}


class Sure:
    """What an attach asks of the agent's knowledge: that no backup was restored."""

    waits_for = ""


class SimNode:
    """One node: devices, network namespaces and speaker that stay, and an agent that dies and comes back."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.fuse = Fuse()
        self.store = NodeStore(world.memory, self.fuse)
        self.plug = FusedPlug()
        self.plug.fuse = self.fuse
        self.drivers = {each: FusedDriver(each, self.fuse) for each in DEVICES}
        self.netns: dict[str, int] = {}
        """The number of each endpoint's living namespace; the next at the same path has another."""
        self.births = 0
        self.start_agent()

    def start_agent(self) -> None:
        """A new agent, without memory, that adopts what is plugged in."""
        self.fuse.left = None
        self.view, self.seen, self.in_sync = View(self.name), dict[str, int](), False
        self.wants = Wants()
        for one in self.plug.plugged.values():
            self.wants.add(one.want)
        self.publisher = self._make_publisher()
        made = {each: Reconciler(each, driver, driver.begin) for each, driver in self.drivers.items()}
        self.dataplane = Dataplane(
            lambda: self.view.snapshot if self.in_sync else None,
            self.wants,
            Devices(plug=self.plug, **made),
            self.publisher,
            Services(MemoryChecks(), BOOT),
            netns_alive=lambda want: str(self.netns.get(want.endpoint)) == want.netns_id,
            boot_id=BOOT,
            clock=lambda: self.world.now,
        )

    def _make_publisher(self) -> Publisher:
        def still_here(attachment: Attachment) -> Exists:
            return Exists(keys.NODE_ENDPOINTS.key(self.name, attachment.endpoint))

        ready = StoreDriver(self.store, keys.READY, self.name)
        held = StoreDriver(
            self.store,
            keys.ATTACHMENTS,
            self.name,
            guard=still_here,
            keep=lambda key: key.rsplit("/", 1)[1] in self.wants.all(),
        )
        health = StoreDriver(self.store, keys.HEALTH, self.name)
        return Publisher({"ready": ready, "health": health, "attachments": held})

    def feed(self) -> None:
        """Hear of everything that was written."""
        if self.store.away:
            return
        items = {item.key: item for prefix in watched(self.name) for item in self.store.range(prefix).items}
        for key in self.seen.keys() - items.keys():
            self.view.delete(key)
        for key, item in items.items():
            kind = kind_of(key)
            if kind is not None and self.seen.get(key) != item.mod_revision:
                self.view.put(key, decode(kind.model, item.value, key=key))
        self.seen, self.in_sync = {key: item.mod_revision for key, item in items.items()}, True

    def run(self, job: Any) -> None:
        """Do one thing of the agent's; a new agent comes when it was killed."""
        try:
            job()
        except Killed:
            self.start_agent()

    def step(self) -> None:
        """One pass."""
        self.run(self.dataplane.step)

    def publish(self) -> None:
        """One pass of the publisher."""
        self.run(self.publisher._step)

    def speak(self, peer: Peer) -> None:
        """The speaker announces what it should, and says so. It may be cut off, as the agent may."""
        if self.store.away:
            return
        view = View(self.name)
        for prefix in watched(self.name):
            for item in self.world.memory.range(prefix).items:
                kind = kind_of(item.key)
                assert kind is not None
                view.put(item.key, decode(kind.model, item.value))
        wanted = {
            keys.ADVERTISED.key(self.name, prefix): Advertised(
                prefix=prefix, node=self.name, peers=(peer.name,)
            )
            for prefix in advertisements(view.snapshot, peer, BOOT)
        }
        there = {item.key for item in self.world.memory.range(keys.ADVERTISED.prefix(self.name)).items}
        ops: list[Op] = [Delete(key) for key in there - wanted.keys()]
        self.world.memory.txn((), ops + [Put(key, encode(value)) for key, value in wanted.items()])

    def ask(self, endpoint_id: str) -> Endpoint | None:
        """A caller asks for an attach: the endpoint as the agent knows it, once the want is taken."""
        endpoint = self.view.snapshot.endpoints.get(endpoint_id) if self.in_sync else None
        if endpoint is None or endpoint_id not in self.netns:
            return None
        number = str(self.netns[endpoint_id])
        want = Want(endpoint_id, f"/run/netns/{endpoint_id}", number, "eth0", Stage.HOLDING)
        try:
            return endpoint if self.wants.add(want) else None
        except Refused:
            return None

    def hold(self, endpoint: Endpoint) -> None:
        """The second half of an attach: the attachment is written, and the pass may begin."""
        want = self.wants.all().get(endpoint.id)
        if want is None:  # the agent was killed in between, or the want detached
            return
        api = Attachments(
            node=self.name,
            boot_id=BOOT,
            store=self.store,
            knowledge=Sure(),
            wants=self.wants,
            wake=lambda: None,
            written=partial(self.publisher.written, "attachments"),
            recheck=lambda: None,
            places=Places(str, lambda _: False),
        )

        def hold() -> None:
            try:
                api._hold(want, endpoint)
            except Refused:
                return
            self.wants.advance(endpoint.id, Stage.WANTED)

        self.run(hold)

    def held(self) -> Mapping[str, set[str]]:
        """Which endpoint the devices have which addresses for: plugs and kernel routes."""
        found: dict[str, set[str]] = {}
        for name, one in self.plug.plugged.items():
            found.setdefault(name, set()).update(one.identity.split()[1:])
        for route in self.drivers["routes"].held.values():
            if route.oif is not None:
                name = route.reason.removeprefix("endpoint ")
                found.setdefault(name, set()).add(str(route.destination.network_address))
        return found

    def stored(self, kind: keys.Kind[Value]) -> set[str]:
        """The last parts of the keys of a kind that are this node's."""
        prefix = kind.prefix(self.name)
        return {item.key.removeprefix(prefix) for item in self.world.memory.range(prefix).items}
