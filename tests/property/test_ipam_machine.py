"""Two controllers on one store, with lost answers and lost races: no address twice, none leaked.

Callers ask for one address or one of each family, for a tenant or for nobody, one endpoint or several
together; pools are changed, blocks go back, quotas are cut, and who made several may have died over it.
After every step the whole store obeys the rules, and every endpoint that a caller was told it has is
there with the addresses it was told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.ipam import blocks
from controller.ipam.giveback import EmptyBlocks
from controller.ipam.request import Request
from controller.ipam.together import PATIENCE, Together
from controller.ipam.unit import Unit
from controller.problem import Problem
from controller.reading import put, read, scan
from store import keys
from store.client import Delete, Put
from store.errors import Unavailable
from store.memory import MemoryStore
from store.model import Attachment, Endpoint, EndpointState, IPAddress, Node, Pool, Tenant
from tests.support.ipam import FAULTS, Controller, FlakyStore, check, now
from tests.support.machine import tries

POOLS = (
    Pool(name="fast", cidr="10.0.0.0/29", block_prefixlen=30, cooldown_s=0),
    Pool(name="slow", cidr="2001:db8::/126", block_prefixlen=127, cooldown_s=5),
    Pool(name="overlapping", cidr="10.0.0.4/30"),
)
TENANTS = (Tenant(name="red", max_ipv4=2, max_ipv6=1), Tenant(name="blue"))
CHANGES: tuple[dict[str, object], ...] = (
    {},
    {"disabled": True},
    {"borrow": True},
    {"priority": 200},
    {"tenant": "red"},
    {"node_selector": {"rack": "a"}},
)
"""What becomes of a pool; what is not named goes back to what it was."""
NODES = ("n1", "n2", "n3")
IDS = ("a", "b", "c", "d", "e", "f", "g")
ADDRESSES = tuple(map(ip_address, ("10.0.0.0", "10.0.0.1", "10.0.0.4", "2001:db8::2", "192.0.2.1")))
REFUSALS = {
    "unavailable",
    "pool-full",
    "invalid",
    "conflict",
    "releasing",
    "address-in-use",
    "over-quota",
    "busy",
    "undone",
}
RESERVED = st.lists(st.sampled_from(["10.0.0.2", "10.0.0.4/30"]), max_size=2, unique=True)

pools = st.sampled_from(POOLS[:2])
nodes = st.sampled_from(NODES)
ids = st.sampled_from(IDS)
sides = st.integers(0, 1)
tenants = st.sampled_from([None, "red", "blue"])
families = st.sampled_from([(), (4,), (4, 6)])
DUTIES = ("give_back", "undo", "disable", "cut_quota", "delete_tenant")
RIVALS = (
    "assign",
    "release",
    "move",
    "delete_node",
    "delete_pool",
    "create_node",
    "attach",
    "detach",
    *DUTIES,
)


@dataclass(frozen=True)
class Rival:
    """What the other controller, or an agent, does between a read and the write that follows from it."""

    does: str
    pool: str
    id: str | None
    node: str | None
    """None is the one that the controller is about to write."""


rivals = st.builds(
    Rival,
    st.sampled_from(RIVALS),
    st.sampled_from(["fast", "slow"]),
    st.none() | ids,
    st.none() | nodes,
)
faults = st.lists(st.none() | st.sampled_from(FAULTS) | rivals, max_size=4)
Meets = list[str | Rival | None]


class Plan(RuleBasedStateMachine):
    """Callers of two controllers, the nodes' agents, and a network that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.time_s = 0.0
        self.memory = MemoryStore(lambda: self.time_s)
        self.stores = [FlakyStore(self.memory), FlakyStore(self.memory)]
        self.controllers = [Controller.over(store) for store in self.stores]
        self.told: dict[str, tuple[IPAddress, ...]] = {}
        """What callers were told they have and did not ask to delete since."""
        self.ended: set[str] = set()
        """What others asked to delete while this step was under way."""
        self.checked = 0
        """The revision of the store that was checked last."""

    def teardown(self) -> None:
        for controller in self.controllers:
            controller.committer.close()

    @initialize()
    def begin(self) -> None:
        for pool in POOLS[:2]:
            self.create_pool(0, pool)
        for tenant in TENANTS:
            self.create_tenant(0, tenant)
        for name in NODES:
            self.create_node(0, name, 1500)

    def meet(self, side: int, meets: Meets, *, id: str = "a", node: str = "n1") -> None:  # noqa: A002
        """Line up what the next transactions of this side meet."""
        for each in meets:
            if isinstance(each, Rival):
                act = partial(self.rival, 1 - side, each.does, each.pool, each.id or id, each.node or node)
                self.stores[side].meets.append(act)
            else:
                self.stores[side].meets.append(each)

    def rival(self, side: int, does: str, pool: str, endpoint_id: str, node: str) -> None:
        controller = self.controllers[side]
        try:
            match does:
                case "assign":
                    endpoint, _ = controller.allocator.assign(Request(node, endpoint_id, pools=(pool,)))
                    self.told[endpoint.id] = endpoint.addresses
                case "release":
                    self.told.pop(endpoint_id, None)
                    self.ended.add(endpoint_id)
                    controller.releaser.release(endpoint_id)
                case "move":
                    controller.mover.change(endpoint_id, _to(node))
                case "delete_node":
                    controller.retirer.delete_node(node)
                case "delete_pool":
                    controller.retirer.delete_pool(pool)
                case "create_node":
                    self.create_node(side, node, 9000)
                case "attach":
                    self.attach(endpoint_id)
                case "detach":
                    self.detach(endpoint_id, node)
                case _:
                    self.tend(controller, does, pool)
        except Problem as problem:
            expect(problem, *REFUSALS, "not-found", "in-use")

    def tend(self, controller: Controller, does: str, pool: str) -> None:
        """What the network team and the duties do."""
        registry = controller.registry
        match does:
            case "give_back":
                EmptyBlocks(controller.store, controller.committer, idle_s=0).give_back()
            case "undo":
                late = Together(controller.store, controller.committer, lambda: now() + PATIENCE)
                late.undo_overdue()
            case "disable":
                registry.change(keys.POOLS, pool, lambda it: it.model_copy(update={"disabled": True}))
            case "cut_quota":
                registry.change(keys.TENANTS, "red", lambda it: it.model_copy(update={"max_ipv4": 1}))
            case "delete_tenant":
                controller.retirer.delete_tenant("red")
                registry.create_tenant(TENANTS[0])

    def settle(self, side: int) -> None:
        """The network is quiet again: what was on its way has arrived."""
        self.stores[side].meets.clear()
        self.stores[side].deliver()

    @rule(side=sides, pool=st.sampled_from(POOLS))
    def create_pool(self, side: int, pool: Pool) -> None:
        overlapping = [
            other.name
            for other in scan(self.memory, keys.POOLS).values
            if other.cidr.version == pool.cidr.version and other.cidr.overlaps(pool.cidr)
        ]
        stored = read(self.memory, keys.POOLS, pool.name)
        if stored is not None and stored.value != pool:
            with pytest.raises(Problem, match="exists with another"):
                self.controllers[side].registry.create_pool(pool)
        elif overlapping and overlapping != [pool.name]:
            with pytest.raises(Problem, match="overlaps"):
                self.controllers[side].registry.create_pool(pool)
        else:
            found, new = self.controllers[side].registry.create_pool(pool)
            assert (found.value, new) == (pool, not overlapping)

    @rule(side=sides, tenant=st.sampled_from(TENANTS))
    def create_tenant(self, side: int, tenant: Tenant) -> None:
        if read(self.memory, keys.TENANTS, tenant.name) is None:
            self.controllers[side].registry.create_tenant(tenant)

    @rule(side=sides, pool=pools, change=st.sampled_from(CHANGES), reserved=RESERVED, meets=faults)
    def change_pool(
        self, side: int, pool: Pool, change: dict[str, object], reserved: list[str], meets: Meets
    ) -> None:
        inside = reserved if pool.name == "fast" else []
        wanted = Pool.model_validate({**pool.model_dump(mode="json"), "reserved": inside, **change})
        self.meet(side, meets)
        try:
            self.controllers[side].registry.change(keys.POOLS, pool.name, lambda _: wanted)
        except Unavailable:
            assert any(meets)
        except Problem as problem:
            expect(problem, "not-found", "in-use", "invalid")
        finally:
            self.settle(side)

    @rule(side=sides, does=st.sampled_from(DUTIES), pool=pools, meets=faults)
    def do_duty(self, side: int, does: str, pool: Pool, meets: Meets) -> None:
        self.meet(side, meets)
        try:
            self.tend(self.controllers[side], does, pool.name)
        except Unavailable:
            assert any(meets)
        except Problem as problem:
            # "conflict": a tenant that is made again was made by a lost attempt, and changed since.
            expect(problem, "not-found", "in-use", "invalid", "conflict")
        finally:
            self.settle(side)
            for tenant in TENANTS:
                self.create_tenant(1 - side, tenant)
        if does == "undo" and not any(meets):
            assert not scan(self.memory, keys.PENDING).items

    def create_node(self, side: int, name: str, mtu_bytes: int) -> None:
        known = read(self.memory, keys.NODES, name)
        labels = {"rack": "a"} if name == "n1" else {}
        node = known.value if known else Node(name=name, asn=64512, mtu_bytes=mtu_bytes, labels=labels)
        found, new = self.controllers[side].registry.create_node(node)
        assert (found.value, new) == (node, known is None)

    @rule(side=sides, node=nodes, address=st.sampled_from(ADDRESSES), endpoint_id=ids, meets=faults)
    def assign_wanted(self, side: int, node: str, address: IPAddress, endpoint_id: str, meets: Meets) -> None:
        self.assign_request(side, Request(node, endpoint_id, addresses=(address,)), meets)

    @rule(side=sides, node=nodes, pool=pools, tenant=tenants, meets=faults)
    def assign_unnamed(self, side: int, node: str, pool: Pool, tenant: str | None, meets: Meets) -> None:
        self.assign_request(side, Request(node, pools=(pool.name,), tenant=tenant), meets)

    @rule(side=sides, node=nodes, pool=pools, endpoint_id=ids, tenant=tenants, meets=faults)
    def assign(
        self, side: int, node: str, pool: Pool, endpoint_id: str, tenant: str | None, meets: Meets
    ) -> None:
        self.assign_request(side, Request(node, endpoint_id, pools=(pool.name,), tenant=tenant), meets)

    @rule(side=sides, node=nodes, endpoint_id=ids, families=families, tenant=tenants, meets=faults)
    def assign_any(
        self,
        side: int,
        node: str,
        endpoint_id: str,
        families: tuple[int, ...],
        tenant: str | None,
        meets: Meets,
    ) -> None:
        self.assign_request(side, Request(node, endpoint_id, families, tenant=tenant), meets)

    @rule(
        side=sides,
        several=st.lists(st.tuples(ids, nodes, tenants), min_size=1, max_size=4),
        atomic=st.booleans(),
        meets=faults,
    )
    def assign_several(
        self, side: int, several: list[tuple[str, str, str | None]], atomic: bool, meets: Meets
    ) -> None:
        before = self.stored_ids()
        self.ended.clear()
        self.meet(side, meets, id=several[0][0], node=several[0][1])
        try:
            requests = [Request(node, name, tenant=tenant) for name, node, tenant in several]
            answers = self.controllers[side].allocator.assign_many(requests, atomic=atomic)
        finally:
            self.settle(side)
        refused = [answer for answer in answers if isinstance(answer, Problem)]
        for problem in refused:
            expect(problem, *REFUSALS)
        if atomic and refused:
            assert len(refused) == len(answers), "none"
            if not any(meets):
                assert self.stored_ids() == before, "and nothing is left"
        for answer in answers:
            if not isinstance(answer, Problem) and answer[0].id not in self.ended:
                self.told[answer[0].id] = answer[0].addresses

    def stored_ids(self) -> set[str]:
        return {endpoint.id for endpoint in scan(self.memory, keys.ENDPOINTS).values}

    def assign_request(self, side: int, wanted: Request, meets: Meets) -> None:
        known = self.memory.get(keys.ENDPOINTS.key(wanted.id)) if wanted.id else None
        self.meet(side, meets, id=wanted.id or "a", node=wanted.node)
        try:
            endpoint, new = self.controllers[side].allocator.assign(wanted)
        except Problem as problem:
            self.refused(problem, wanted, meets)
            return
        finally:
            self.settle(side)
        assert new == (known is None) or any(isinstance(each, Rival) for each in meets)
        assert endpoint.node == wanted.node
        assert set(wanted.addresses) <= set(endpoint.addresses)
        if new and not any(meets):
            self.may_have(endpoint)
        self.told[endpoint.id] = endpoint.addresses

    def may_have(self, endpoint: Endpoint) -> None:
        """Everything that was assigned now could be: not reserved, not of a pool that does not serve it."""
        node = read(self.memory, keys.NODES, endpoint.node)
        assert node is not None
        for address, name in endpoint.placed:
            pool = read(self.memory, keys.POOLS, name)
            assert pool is not None
            assert not blocks.is_reserved(pool.value, address)
            assert not pool.value.disabled
            assert pool.value.tenant in {None, endpoint.tenant}
            assert pool.value.node_selector.items() <= node.value.labels.items()

    def refused(self, problem: Problem, wanted: Request, meets: Meets) -> None:
        """A refusal has to be true; after an unknown outcome the caller asks again."""
        expect(problem, *REFUSALS)
        self.settle(0)
        self.settle(1)
        if problem.kind == "unavailable":
            assert any(meets)
        if "endpoint" in problem.members:
            again = wanted._replace(id=problem.members["endpoint"])
            try:
                endpoint, _ = self.controllers[0].allocator.assign(again)
            except Problem as refused:
                expect(refused, *REFUSALS)
            else:
                self.told[endpoint.id] = endpoint.addresses
        if problem.kind == "busy":
            assert any(meets) or scan(self.memory, keys.PENDING).items
        if problem.kind == "pool-full" and not any(meets):
            self.really_full(problem.members["pool"], wanted.node)
        if problem.kind == "over-quota" and not any(meets):
            self.really_over(wanted)

    def really_full(self, name: str, node: str) -> None:
        found = read(self.memory, keys.POOLS, name)
        assert found is not None
        pool = found.value
        claims = scan(self.memory, keys.BLOCKS, name).values
        claimed = {blocks.block_index(pool, claim.cidr.network_address) for claim in claims}
        assert not list(blocks.unclaimed(pool, claimed))
        held = {address.address for address in scan(self.memory, keys.ADDRESSES, name).values}
        mine = [claim.cidr for claim in claims if pool.borrow or claim.node == node]
        assert held >= {address for cidr in mine for address in blocks.assignable(pool, cidr)}

    def really_over(self, wanted: Request) -> None:
        tenant, usage = (read(self.memory, kind, wanted.tenant) for kind in (keys.TENANTS, keys.USAGE))
        assert tenant is not None
        ipv4, ipv6 = (usage.value.ipv4, usage.value.ipv6) if usage else (0, 0)
        limits = tenant.value.max_ipv4, tenant.value.max_ipv6
        assert any(
            limit is not None and held >= limit for held, limit in zip((ipv4, ipv6), limits, strict=True)
        )

    @precondition(lambda self: self.told)
    @rule(side=sides, data=st.data(), meets=faults)
    def release_one(self, side: int, data: st.DataObject, meets: Meets) -> None:
        self.release(side, data.draw(st.sampled_from(list(self.told))), meets)

    @rule(side=sides, endpoint_id=ids)
    def release_maybe(self, side: int, endpoint_id: str) -> None:
        self.release(side, endpoint_id, [])

    def release(self, side: int, endpoint_id: str, meets: Meets) -> None:
        known = read(self.memory, keys.ENDPOINTS, endpoint_id)
        attached = any(self.memory.get(keys.ATTACHMENTS.key(node, endpoint_id)) for node in NODES)
        self.meet(side, meets, id=endpoint_id)
        try:
            left = self.controllers[side].releaser.release(endpoint_id)
        except Unavailable:
            assert any(meets)
            return
        except Problem as problem:
            expect(problem, "not-found")
            assert known is None
            return
        finally:
            self.settle(side)
            self.told.pop(endpoint_id, None)
        if not any(meets):
            assert (left is not None) == attached, "ended unless some node holds it, be it one it moved from"
            there = read(self.memory, keys.ENDPOINTS, endpoint_id)
            assert (there and there.value) == left

    @precondition(lambda self: self.told)
    @rule(side=sides, data=st.data(), node=nodes, meets=faults)
    def move(self, side: int, data: st.DataObject, node: str, meets: Meets) -> None:
        endpoint_id = data.draw(st.sampled_from(list(self.told)))
        before = read(self.memory, keys.ENDPOINTS, endpoint_id)
        target = read(self.memory, keys.NODES, node)
        self.meet(side, meets, id=endpoint_id, node=node)
        try:
            moved = self.controllers[side].mover.change(endpoint_id, _to(node)).value
        except Unavailable:
            assert any(meets)
            return
        except Problem as problem:
            expect(problem, "not-found", "invalid", "releasing")
            return
        finally:
            self.settle(side)
        assert moved.node == node
        if not any(meets):
            assert before is not None
            assert target is not None
            assert moved.addresses == before.value.addresses
            assert moved.mtu_bytes == target.value.mtu_bytes or before.value.node == node

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def attach_one(self, data: st.DataObject) -> None:
        self.attach(data.draw(st.sampled_from(list(self.told))))

    def attach(self, endpoint_id: str) -> None:
        """As a node's agent does: only while the endpoint is not being released."""
        record = read(self.memory, keys.ENDPOINTS, endpoint_id)
        if record is None or record.value.state is EndpointState.RELEASING:
            return
        copy = read(self.memory, keys.NODE_ENDPOINTS, record.value.node, endpoint_id)
        assert copy is not None
        attachment = Attachment(
            endpoint=endpoint_id,
            node=record.value.node,
            addresses=record.value.addresses,
            netns="/run/netns/x",
            ifname="eth0",
            boot_id="boot",
        )
        written = put(keys.ATTACHMENTS, attachment, record.value.node, endpoint_id)
        assert self.memory.txn([copy.unchanged()], [written]).succeeded

    @rule(endpoint_id=ids, node=nodes)
    def detach(self, endpoint_id: str, node: str) -> None:
        self.memory.txn([], [Delete(keys.ATTACHMENTS.key(node, endpoint_id))])

    @rule(side=sides, meets=faults)
    def finalise(self, side: int, meets: Meets) -> None:
        try:
            for found in scan(self.memory, keys.ENDPOINTS).items:
                if found.value.state is EndpointState.RELEASING:
                    self.meet(side, meets, id=found.value.id, node=found.value.node)
                    self.controllers[side].releaser.finalise(found)
        except Unavailable:
            assert any(meets)
        finally:
            self.settle(side)

    @rule(side=sides, name=nodes, meets=faults)
    def delete_node(self, side: int, name: str, meets: Meets) -> None:
        before = self.memory.range("").items
        self.meet(side, meets, node=name)
        try:
            self.controllers[side].retirer.delete_node(name)
        except Unavailable:
            assert any(meets)
        except Problem as problem:
            expect(problem, "not-found", "in-use")
            assert any(meets) or self.memory.range("").items == before, "refused, and nothing written"
        finally:
            self.settle(side)
            self.create_node(1 - side, name, 1500)

    @rule(side=sides, pool=pools, meets=faults)
    def delete_pool(self, side: int, pool: Pool, meets: Meets) -> None:
        used = bool(scan(self.memory, keys.ADDRESSES, pool.name).items)
        before = self.memory.range("").items
        self.meet(side, meets)
        try:
            self.controllers[side].retirer.delete_pool(pool.name)
        except Unavailable:
            assert any(meets)
        except Problem as problem:
            expect(problem, "not-found", "in-use")
            assert any(meets) or self.memory.range("").items == before, "refused, and nothing written"
        else:
            assert not used or any(meets)
        finally:
            self.settle(side)
            self.create_pool(1 - side, pool)

    @rule(side=sides)
    def what_was_held_arrives(self, side: int) -> None:
        """After the controller's next write nothing comes of what it had no answer to."""
        mark = Put(keys.leader("nothing"), b"")
        assert self.controllers[side].committer.commit(Unit((), (mark,)))
        before = self.memory.range("").items
        self.stores[side].arrive()
        assert self.memory.range("").items == before

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds: int) -> None:
        self.time_s += seconds
        self.memory.expire()

    @precondition(lambda self: self.told)
    @invariant()
    def who_was_told_has_it(self) -> None:
        for endpoint_id, addresses in self.told.items():
            found = read(self.memory, keys.ENDPOINTS, endpoint_id)
            assert found is not None, endpoint_id
            assert found.value.addresses == addresses

    @invariant()
    def the_store_obeys_the_rules(self) -> None:
        revision = self.memory.range("", limit=1).revision
        if revision != self.checked:
            check(self.memory)
        self.checked = revision


def expect(problem: Problem, *kinds: str) -> None:
    assert problem.kind in kinds, problem.detail


def _to(node: str) -> Callable[[Endpoint], Endpoint]:
    return lambda endpoint: endpoint.model_copy(update={"node": node})


TestPlan = Plan.TestCase
TestPlan.settings = tries(25, 50)
