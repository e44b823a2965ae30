"""Agents, controller and speakers over one store, with kills, outages, moves and endpoints made anew.

At every moment: what the devices of a node have for an endpoint is an address that is assigned to that very
endpoint. So no address is released, let alone given to another, while a node holds it, and two nodes hold
the same address only for the same endpoint: one has it, the other was left by a move and still drains.
An attach with the store away is left out: it has no attachment to be protected by, by design.

At rest: nothing leaked on any device or in the store, every releasing endpoint is gone, and what is said
to be ready is what should be.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agents.node.wants import Stage
from agents.parts import Parts
from controller.events import Events
from controller.ipam.moving import Mover
from controller.ipam.request import Request
from controller.moves import Moves
from controller.problem import Problem
from controller.reading import put, scan
from intent.flows import flow_parts
from intent.held import Held
from store import keys
from store.model import (
    AddressState,
    Advertise,
    Alive,
    Endpoint,
    EndpointState,
    Node,
    Peer,
    Pool,
    Program,
    host_prefix,
)
from tests.support.cluster import BOOT
from tests.support.ipam import Controller, check, now
from tests.support.machine import tries
from tests.support.world import SimNode, World

POOL = Pool(name="p", cidr="10.0.0.0/28", block_prefixlen=30, cooldown_s=0, advertise=Advertise.HOST)
PEER = Peer(name="tor", address="192.0.2.1", asn=64501)
NODES = ("n1", "n2")
IDS = ("a", "b", "c")
ROUNDS = 16
OVERLAP_S = 3
"""Less than the rounds at the end take."""

nodes = st.sampled_from(NODES)
ids = st.sampled_from(IDS)
fuses = st.none() | st.integers(0, 12)


class Cluster:
    """Two nodes and a controller; also driven by the plain tests below."""

    def __init__(self) -> None:
        self.world = World(NODES)
        self.controller = Controller.over(self.world.memory)
        self.controller.registry.create_pool(POOL)
        for name in NODES:
            self.controller.registry.create_node(Node(name=name, asn=64512))
        self.world.memory.txn((), (put(keys.PEERS, PEER, PEER.name),))
        for name in NODES:
            alive = Alive(node=name, program=Program.AGENT, boot_id=BOOT, started=now())
            self.world.memory.txn((), (put(keys.ALIVE, alive, name, Program.AGENT),))
        self.mover = Mover(self.world.memory, self.controller.committer, self.clock)
        self.take_up()
        self.asked: list[tuple[str, Endpoint]] = []

    def clock(self) -> datetime:
        return now() + timedelta(seconds=self.world.now)

    def take_up(self) -> None:
        """A controller gets the duty of moves, and knows nothing of the one before it."""
        events = Events(self.world.memory, self.clock)
        self.moves = Moves(self.world.memory, events, lambda: self.world.now)

    def move(self, endpoint_id: str, node: str, overlap_s: int) -> None:
        self.mover.change(endpoint_id, lambda one: one.model_copy(update={"node": node}), overlap_s=overlap_s)

    def close(self) -> None:
        self.controller.committer.close()

    def assign(self, node: str, endpoint_id: str) -> None:
        self.controller.allocator.assign(Request(node, endpoint_id))
        self.node(node).births += 1
        self.node(node).netns.setdefault(endpoint_id, self.node(node).births)

    def node(self, name: str) -> SimNode:
        return self.world.nodes[name]

    def attach(self, name: str, endpoint_id: str) -> None:
        self.node(name).feed()
        endpoint = self.node(name).ask(endpoint_id)
        assert endpoint is not None
        self.node(name).hold(endpoint)

    def finalise(self) -> None:
        """The duties of the controllers."""
        self.moves.look()
        for found in scan(self.world.memory, keys.ENDPOINTS).items:
            if found.value.state is EndpointState.RELEASING:
                self.controller.releaser.finalise(found)

    def rest(self) -> None:
        """Everything works, and everybody does all there is to do."""
        for name, endpoint in self.asked:
            self.node(name).store.away = False
            self.node(name).fuse.left = None
            self.node(name).hold(endpoint)
        self.asked = []
        for node in self.world.nodes.values():
            node.store.away = node.plug.busy = False
            node.fuse.left = None
            node.publisher.recheck("attachments")
            for driver in node.drivers.values():
                driver.away = False
        for _ in range(ROUNDS):
            for node in self.world.nodes.values():
                for job in (node.feed, node.step, node.publish, partial(node.speak, PEER)):
                    job()
                    self.check_held()
            self.finalise()
            self.world.now += 0.3

    def check_held(self) -> None:
        """What devices have of an endpoint is an address that is assigned to it."""
        assigned = {
            (str(address.address), address.endpoint)
            for address in scan(self.world.memory, keys.ADDRESSES).values
            if address.state is AddressState.ASSIGNED
        }
        for node in self.world.nodes.values():
            for endpoint_id, addresses in node.held().items():
                for address in addresses:
                    assert (address, endpoint_id) in assigned, f"{node.name} holds what was released"

    def check_rest(self) -> None:
        check(self.world.memory)
        assert scan(self.world.memory, keys.MOVES).values == [], "a move is never over"
        records = {record.id: record for record in scan(self.world.memory, keys.ENDPOINTS).values}
        assert all(record.state is EndpointState.ASSIGNED for record in records.values()), "a release leaked"
        for node in self.world.nodes.values():
            wants = node.wants.all()
            assert all(want.stage is Stage.WANTED for want in wants.values())
            assert all(records[name].node == node.name for name in wants)
            up = [Held(records[name], node.plug.plugged[name].ofport or 0) for name in wants]
            hosts = {host_prefix(address) for one in up for address in one.endpoint.addresses}
            blocks = {block.cidr for block in scan(self.world.memory, keys.NODE_BLOCKS, node.name).values}
            assert node.plug.plugged.keys() == wants.keys()
            assert node.drivers["flows"].held == Parts(flow_parts(up))
            on_link = {key.destination for key, one in node.drivers["routes"].held.items() if one.oif}
            assert on_link == hosts
            assert {host_prefix(key.address) for key in node.drivers["neighbours"].held} == hosts
            assert node.stored(keys.ATTACHMENTS) == set(wants)
            assert node.stored(keys.READY) == {str(each).replace("/", "-") for each in hosts | blocks}
            assert node.stored(keys.ADVERTISED) == {str(each).replace("/", "-") for each in hosts}


class Agents(RuleBasedStateMachine):
    """What callers, agents, the network and the world do, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()

    def teardown(self) -> None:
        try:
            self.cluster.rest()
            self.cluster.check_rest()
        finally:
            self.cluster.close()

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        for endpoint_id in IDS:
            node = data.draw(nodes)
            self.cluster.assign(node, endpoint_id)
            self.cluster.attach(node, endpoint_id)
        for name in NODES:
            self.work(name, None)

    @rule(node=nodes, endpoint_id=ids)
    def assign(self, node: str, endpoint_id: str) -> None:
        try:
            self.cluster.assign(node, endpoint_id)
        except Problem as problem:
            expect(problem, "conflict", "releasing", "pool-full")

    @rule(endpoint_id=ids)
    def release(self, endpoint_id: str) -> None:
        try:
            self.cluster.controller.releaser.release(endpoint_id)
        except Problem as problem:
            expect(problem, "not-found")

    @rule(endpoint_id=ids, node=nodes, overlap_s=st.sampled_from([0, 1, OVERLAP_S]))
    def move(self, endpoint_id: str, node: str, overlap_s: int) -> None:
        try:
            self.cluster.move(endpoint_id, node, overlap_s)
        except Problem as problem:
            expect(problem, "not-found", "releasing")

    @rule()
    def controller_dies(self) -> None:
        self.cluster.take_up()

    @rule()
    def finalise(self) -> None:
        self.cluster.finalise()

    @rule(name=nodes, endpoint_id=ids)
    def ask(self, name: str, endpoint_id: str) -> None:
        node = self.cluster.node(name)
        node.births += 1
        node.netns.setdefault(endpoint_id, node.births)
        endpoint = node.ask(endpoint_id)
        if endpoint is not None:
            self.cluster.asked.append((name, endpoint))

    @rule(fuse=st.sampled_from([None, None, 0]))
    def hold(self, fuse: int | None) -> None:
        if self.cluster.asked and not self.cluster.node(self.cluster.asked[0][0]).store.away:
            name, endpoint = self.cluster.asked.pop(0)
            self.cluster.node(name).fuse.left = fuse
            self.cluster.node(name).hold(endpoint)

    @rule(name=nodes, endpoint_id=ids)
    def detach(self, name: str, endpoint_id: str) -> None:
        self.cluster.node(name).wants.advance(endpoint_id, Stage.DETACHING)

    @rule(name=nodes, endpoint_id=ids)
    def netns_dies(self, name: str, endpoint_id: str) -> None:
        node = self.cluster.node(name)
        node.netns.pop(endpoint_id, None)
        node.dataplane.resync()

    @rule(name=nodes, fuse=fuses)
    def work(self, name: str, fuse: int | None) -> None:
        """What mostly happens: an agent hears and does everything, and so does the rest of the world."""
        node = self.cluster.node(name)
        node.feed()
        node.fuse.left = fuse
        for job in (node.step, node.publish, partial(node.speak, PEER)):
            job()
            self.cluster.check_held()
        self.cluster.finalise()
        self.cluster.world.now += 0.3

    @rule(name=nodes)
    def feed(self, name: str) -> None:
        self.cluster.node(name).feed()

    @rule(name=nodes, fuse=fuses)
    def step(self, name: str, fuse: int | None) -> None:
        node = self.cluster.node(name)
        node.fuse.left = fuse
        node.step()

    @rule(name=nodes, fuse=fuses)
    def publish(self, name: str, fuse: int | None) -> None:
        node = self.cluster.node(name)
        node.fuse.left = fuse
        node.publish()

    @rule(name=nodes)
    def speak(self, name: str) -> None:
        self.cluster.node(name).speak(PEER)

    @rule(name=nodes)
    def kill(self, name: str) -> None:
        self.cluster.node(name).start_agent()

    @rule(name=nodes, what=st.sampled_from(["store", "plug"]))
    def outage_begins_or_ends(self, name: str, what: str) -> None:
        node = self.cluster.node(name)
        if what == "store":
            node.store.away = not node.store.away
        else:
            node.plug.busy = not node.plug.busy

    @rule(name=nodes, what=st.sampled_from(["routes", "flows"]), forgets=st.booleans())
    def device_goes_or_comes(self, name: str, what: str, forgets: bool) -> None:
        node = self.cluster.node(name)
        node.drivers[what].away = not node.drivers[what].away
        if forgets:
            node.dataplane.resync()

    @rule(name=nodes, endpoint_id=ids, data=st.data())
    def an_attach_meets_the_publisher(self, name: str, endpoint_id: str, data: st.DataObject) -> None:
        """A caller's thread writes between what the publisher reads and what it then writes."""
        node = self.cluster.node(name)
        if node.store.away:
            return
        self.ask(name, endpoint_id)
        mine = [one for one in self.cluster.asked if one[0] == name]
        if mine:
            self.cluster.asked.remove(mine[0])
            node.store.meets.append(partial(self.now_hold, node, mine[0][1]))
        if data.draw(st.booleans()):
            node.publisher._forget()
        node.publish()
        if node.store.meets:  # the publisher had nothing to write: the caller's thread comes later
            node.store.meets.clear()
            self.cluster.asked.append(mine[0])
        self.cluster.finalise()

    def now_hold(self, node: SimNode, endpoint: Endpoint) -> None:
        fuse, node.fuse.left = node.fuse.left, None
        node.hold(endpoint)
        node.fuse.left = fuse

    @rule(name=nodes)
    def resync(self, name: str) -> None:
        self.cluster.node(name).dataplane.resync()
        self.cluster.node(name).publisher._forget()

    @rule(seconds=st.sampled_from([0.1, 0.3, 3.0]))
    def wait(self, seconds: float) -> None:
        self.cluster.world.now += seconds

    @invariant()
    def what_is_held_is_assigned(self) -> None:
        self.cluster.check_held()


def expect(problem: Problem, *kinds: str) -> None:
    assert problem.kind in kinds, problem.detail


TestAgents = Agents.TestCase
TestAgents.settings = tries(40, 40)


@pytest.mark.parametrize("ends_by", ["release", "detach", "move", "move with overlap"])
@pytest.mark.parametrize("writes", range(14))
def test_an_agent_may_die_before_each_write_of_its_life(writes: int, ends_by: str) -> None:
    """One fuse over a whole attach and, in turn, over the whole way down."""
    cluster = Cluster()
    try:
        cluster.assign("n1", "a")
        node = cluster.node("n1")
        node.feed()
        endpoint = node.ask("a")
        assert endpoint is not None
        node.fuse.left = writes
        for job in (partial(node.hold, endpoint), node.step, node.publish):
            job()
        cluster.check_held()
        cluster.rest()
        cluster.check_rest()
        if "a" not in node.wants.all():
            cluster.attach("n1", "a")
            cluster.rest()
        _end(cluster, ends_by)
        node.feed()
        node.fuse.left = writes
        node.step()
        node.publish()
        cluster.check_held()
        cluster.rest()
        cluster.check_rest()
        assert ("a" in node.wants.all()) <= (ends_by == "detach"), "a detach that died is asked for again"
    finally:
        cluster.close()


def _end(cluster: Cluster, by: str) -> None:
    if by == "release":
        assert cluster.controller.releaser.release("a") is not None
    elif by.startswith("move"):
        cluster.move("a", "n2", OVERLAP_S if "overlap" in by else 0)
    else:
        cluster.node("n1").wants.advance("a", Stage.DETACHING)


@pytest.mark.parametrize("writes", [None, *range(12)])
def test_both_nodes_have_it_until_the_new_one_announces(writes: int | None) -> None:
    """Agents and controller die on the way: the old node delivers until the new one does, then is empty."""
    cluster = Cluster()
    try:
        cluster.assign("n1", "a")
        cluster.attach("n1", "a")
        cluster.rest()
        old, new = cluster.node("n1"), cluster.node("n2")
        cluster.move("a", "n2", OVERLAP_S)
        new.netns["a"] = 1
        for node in (old, new):
            node.feed()
        endpoint = new.ask("a")
        assert endpoint is not None
        for node in (old, new):
            node.fuse.left = writes
        for job in (old.step, old.publish, partial(new.hold, endpoint), new.step, new.publish):
            job()
            assert "a" in old.held(), "the new node does not deliver it yet"
            assert old.stored(keys.READY) >= {"10.0.0.1-32"}
        cluster.take_up()
        cluster.finalise()
        assert "a" in old.held()
        cluster.rest()
        cluster.check_rest()
        assert "a" not in old.held()
        assert writes is not None or "a" in new.held()
    finally:
        cluster.close()
