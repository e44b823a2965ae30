"""Nodes that die and come back at any moment, and a controller that reclaims: never what is held.

The store itself is the judge: it takes note of a transaction that ends an endpoint while a node that lives
holds it. In the end, when every node is gone for good, nothing is left over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller.ipam.allocator import Request
from controller.problem import Problem
from controller.reading import read, scan
from store import keys
from store.client import Compare, Delete, Op, TxnResult
from store.errors import Unavailable
from store.memory import MemoryStore
from store.model import EndpointState, Node, Pool, Program
from tests.support.gone import DAY, Duty, Time, attach, fall, rise
from tests.support.ipam import FAULTS, Controller, FlakyStore, check
from tests.support.machine import tries

NODES = ("n1", "n2", "n3")
IDS = ("a", "b", "c", "d", "e")

nodes = st.sampled_from(NODES)
ids = st.sampled_from(IDS)
meets = st.lists(st.none() | st.sampled_from(FAULTS) | nodes, max_size=4)
"""What the next transactions meet: nothing, a fault of the network, or a node that comes back."""


class Judge(MemoryStore):
    """A store that takes note when an endpoint ends that a living node holds."""

    def __init__(self) -> None:
        super().__init__()
        self.robbed: list[str] = []

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        ends = {parts[0] for op in ops if isinstance(op, Delete) and (parts := keys.ENDPOINTS.parts(op.key))}
        held = [f"{name} on {node}" for name in ends for node in NODES if self._holds(node, name)]
        result = super().txn(compares, ops)
        if result.succeeded:
            self.robbed += held
        return result

    def _holds(self, node: str, endpoint: str) -> bool:
        """What is left of an earlier endpoint of the same id is nobody's."""
        record = read(self, keys.ENDPOINTS, endpoint)
        moved = [each for each in scan(self, keys.ADDRESSES).values if each.endpoint == endpoint]
        its = record is not None and (node == record.value.node or any(node in each.left for each in moved))
        lives = any(self.get(keys.ALIVE.key(node, program.value)) for program in Program)
        return its and lives and self.get(keys.ATTACHMENTS.key(node, endpoint)) is not None


class Plan(RuleBasedStateMachine):
    """A controller, three nodes, and what happens to them."""

    def __init__(self) -> None:
        super().__init__()
        self.judge = Judge()
        self.store = FlakyStore(self.judge)
        self.clock = Time()
        self.controller = Controller.over(self.store)
        self.duty = Duty(self.controller, self.clock)
        self.controller.registry.create_pool(
            Pool(name="p", cidr="10.0.0.0/27", block_prefixlen=30, cooldown_s=0)
        )
        for name in NODES:
            self.controller.registry.create_node(Node(name=name, asn=64512))
            rise(self.judge, name)

    def teardown(self) -> None:
        self.store.meets.clear()
        self.store.deliver()
        for name in NODES:
            fall(self.judge, name)
        self.duty.turn()
        self.clock.now += DAY
        self.duty.turn()
        left = [key for item in self.judge.range(keys.ROOT).items if self._is_of_an_endpoint(key := item.key)]
        self.controller.committer.close()
        assert left == []

    @staticmethod
    def _is_of_an_endpoint(key: str) -> bool:
        kinds = (keys.ENDPOINTS, keys.ADDRESSES, keys.NODE_ENDPOINTS, keys.ATTACHMENTS, keys.DISPLACED)
        return any(kind.parts(key) for kind in kinds)

    @rule(endpoint_id=ids, node=nodes)
    def assign(self, endpoint_id: str, node: str) -> None:
        self._attempt(lambda: self.controller.allocator.assign(Request(node, endpoint_id)))

    @rule(endpoint_id=ids, node=nodes)
    def assign_and_attach(self, endpoint_id: str, node: str) -> None:
        self.assign(endpoint_id, node)
        self.attach(endpoint_id)

    @rule(endpoint_id=ids)
    def attach(self, endpoint_id: str) -> None:
        """As an agent does: only what is on its node, only while it lives."""
        found = read(self.judge, keys.ENDPOINTS, endpoint_id)
        if found and found.value.state is EndpointState.ASSIGNED and self._lives(found.value.node):
            attach(self.judge, found.value, found.value.node)

    @rule(endpoint_id=ids, node=nodes)
    def let_go(self, endpoint_id: str, node: str) -> None:
        """As an agent does: what is not on its node any more, or is to end there."""
        found = read(self.judge, keys.ENDPOINTS, endpoint_id)
        stays = found and found.value.node == node and found.value.state is EndpointState.ASSIGNED
        if self._lives(node) and not stays:
            self.judge.txn([], [Delete(keys.ATTACHMENTS.key(node, endpoint_id))])

    @rule(endpoint_id=ids, node=nodes)
    def move(self, endpoint_id: str, node: str) -> None:
        self._attempt(
            lambda: self.controller.mover.change(
                endpoint_id, lambda endpoint: endpoint.model_copy(update={"node": node})
            )
        )

    @rule(endpoint_id=ids)
    def release(self, endpoint_id: str) -> None:
        self._attempt(lambda: self.controller.releaser.release(endpoint_id))

    @rule(node=nodes)
    def die(self, node: str) -> None:
        fall(self.judge, node)

    @rule(node=nodes, program=st.sampled_from(Program))
    def live(self, node: str, program: Program) -> None:
        rise(self.judge, node, program)

    @rule(hours=st.sampled_from([1, 12, 24, 30]))
    def time_passes(self, hours: int) -> None:
        self.clock.now += timedelta(hours=hours)

    @rule(node=nodes)
    def is_gone(self, node: str) -> None:
        """For longer than its grace, as a controller has seen."""
        fall(self.judge, node)
        self.duty.roll.call()
        self.clock.now += DAY

    @rule(met=meets)
    def reclaim(self, met: list[str | None]) -> None:
        """Nodes may come back between the look and the transactions that follow from it."""
        gone = self.duty.roll.call()
        for each in met:
            self.store.meets.append(partial(rise, self.judge, each) if each in NODES else each)
        self._attempt(lambda: self.duty.take(gone))
        self.store.meets.clear()

    @rule(met=meets)
    def remove_leftovers(self, met: list[str | None]) -> None:
        """There are none: whatever happens meanwhile, nothing that is needed goes."""
        for each in met:
            self.store.meets.append(partial(rise, self.judge, each) if each in NODES else each)
        self._attempt(self.duty.reclaimer.remove_leftovers)
        self.store.meets.clear()

    @rule(endpoint_id=ids, node=nodes, met=meets)
    def is_reclaimed_while_it_comes_back(self, endpoint_id: str, node: str, met: list[str | None]) -> None:
        """The sequence that matters most."""
        self.assign_and_attach(endpoint_id, node)
        self.is_gone(node)
        self.reclaim([*met[:2], node])

    @invariant()
    def plan_is_whole(self) -> None:
        check(self.judge)
        assert self.judge.robbed == []

    def _lives(self, node: str) -> bool:
        return any(self.judge.get(keys.ALIVE.key(node, program.value)) for program in Program)

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (Problem, Unavailable):
            self.store.deliver()


TestPlan = Plan.TestCase
TestPlan.settings = tries(25, 30)


def test_the_judge_sees_what_it_is_there_for() -> None:
    judge = Judge()
    controller = Controller.over(judge)
    controller.registry.create_pool(Pool(name="p", cidr="10.0.0.0/24", cooldown_s=0))
    controller.registry.create_node(Node(name="n1", asn=64512))
    endpoint, _ = controller.allocator.assign(Request("n1", "a"))
    rise(judge, "n1")
    attach(judge, endpoint, "n1")
    assert len(scan(judge, keys.ENDPOINTS).items) == 1
    judge.txn([], [Delete(keys.ENDPOINTS.key("a"))])
    assert judge.robbed == ["a on n1"]
    controller.committer.close()
