"""What another controller, or an agent, does between a read and the write that follows from it.

Each case names the compare that has to notice. The store then obeys the rules, whoever won.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

import pytest

from controller.ipam.claims import Claims, Stale
from controller.ipam.committer import Committer
from controller.ipam.request import Request
from controller.ipam.space import PASS_S, Space, Spot
from controller.ipam.unit import Unit
from controller.problem import Problem
from controller.promise import Promise
from controller.reading import put, read, scan
from store import keys
from store.client import Compare, Delete, Op, Put, Range, TxnResult
from store.errors import Unavailable
from store.memory import MemoryStore
from store.model import Attachment, Endpoint, EndpointState, Lost, Node, Peer, Pool
from tests.support.gone import rise
from tests.support.ipam import HELD, REFUSED, Controller, FlakyStore, check, now

SOON_S = 20


class CountingStore(FlakyStore):
    """Counts the transactions whose compares failed, and the ranges that were read."""

    failed = ranges = 0

    def range(self, prefix: str, *, limit: int = 0, after: str = "", revision: int = 0) -> Range:
        self.ranges += 1
        return super().range(prefix, limit=limit, after=after, revision=revision)

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        result = super().txn(compares, ops)
        self.failed += not result.succeeded
        return result


@dataclass
class Pair:
    """Two controllers on one store."""

    memory: MemoryStore
    store: FlakyStore
    """The first one's: what is in its `meets` happens just before its next write."""
    first: Controller
    second: Controller

    def endpoint(self, endpoint_id: str) -> Endpoint:
        found = read(self.memory, keys.ENDPOINTS, endpoint_id)
        assert found is not None
        return found.value

    def attach(self, endpoint_id: str) -> None:
        """As an agent does."""
        endpoint = self.endpoint(endpoint_id)
        copy = read(self.memory, keys.NODE_ENDPOINTS, endpoint.node, endpoint_id)
        assert copy is not None
        assert copy.value.state is EndpointState.ASSIGNED
        attachment = Attachment(
            endpoint=endpoint_id,
            node=endpoint.node,
            addresses=endpoint.addresses,
            netns="/run/netns/x",
            ifname="eth0",
            boot_id="b",
        )
        key = put(keys.ATTACHMENTS, attachment, endpoint.node, endpoint_id)
        assert self.memory.txn([copy.unchanged()], [key]).succeeded


@pytest.fixture
def pair() -> Iterator[Pair]:
    memory = MemoryStore()
    store = FlakyStore(memory)
    first, second = Controller.over(store), Controller.over(FlakyStore(memory))
    first.registry.create_pool(Pool(name="p", cidr="10.0.0.0/28", block_prefixlen=30, cooldown_s=0))
    for name in ("n1", "n2"):
        first.registry.create_node(Node(name=name, asn=64512))
    yield Pair(memory, store, first, second)
    first.committer.close()
    second.committer.close()
    check(memory)


def move_to(node: str) -> Callable[[Endpoint], Endpoint]:
    return lambda endpoint: endpoint.model_copy(update={"node": node})


def test_what_a_hung_member_of_etcd_holds_back_is_not_done_after_all_was_answered(pair: Pair) -> None:
    """The same request at two controllers: both answered, then the endpoint is deleted."""

    def second_is_first() -> None:
        assert pair.second.allocator.assign(Request("n1", "a"))[1]

    pair.first.allocator.assign(Request("n1", "other"))
    pair.store.meets += [HELD, second_is_first]
    assert not pair.first.allocator.assign(Request("n1", "a"))[1]
    pair.second.releaser.release("a")
    pair.store.arrive()
    assert read(pair.memory, keys.ENDPOINTS, "a") is None


def test_a_node_that_lets_go_just_before_the_endpoint_is_marked_is_not_waited_for(pair: Pair) -> None:
    """It removes the key for another reason, and nothing more of it is heard."""
    pair.first.allocator.assign(Request("n1", "a"))
    pair.attach("a")
    pair.store.meets.append(lambda: pair.memory.txn([], [Delete(keys.ATTACHMENTS.key("n1", "a"))]))
    assert pair.first.releaser.release("a") is None
    assert read(pair.memory, keys.ENDPOINTS, "a") is None


def test_the_address_is_taken_by_another_controller(pair: Pair) -> None:
    pair.first.allocator.assign(Request("n1", "a"))
    pair.store.meets.append(lambda: pair.second.allocator.assign(Request("n1", "b")))
    pair.first.allocator.assign(Request("n1", "c"))
    assert len({pair.endpoint(each).addresses for each in "abc"}) == 3


def test_the_same_request_is_served_by_another_controller(pair: Pair) -> None:
    pair.store.meets.append(lambda: pair.second.allocator.assign(Request("n1", "a")))
    endpoint, new = pair.first.allocator.assign(Request("n1", "a"))
    assert not new
    assert endpoint == pair.endpoint("a")


def test_the_same_id_goes_to_another_request(pair: Pair) -> None:
    pair.store.meets.append(lambda: pair.second.allocator.assign(Request("n2", "a")))
    with pytest.raises(Problem, match="another request"):
        pair.first.allocator.assign(Request("n1", "a"))


def test_the_block_is_claimed_by_another_node(pair: Pair) -> None:
    pair.store.meets.append(lambda: pair.second.allocator.assign(Request("n2", "b")))
    pair.first.allocator.assign(Request("n1", "a"))
    assert len(scan(pair.memory, keys.BLOCKS, "p").items) == 2


def test_the_wanted_block_is_claimed_by_another_node(pair: Pair) -> None:
    pair.store.meets.append(lambda: pair.second.allocator.assign(Request("n2", "b")))
    wanted = Request("n1", "a", addresses=(ip_address("10.0.0.2"),))
    assert pair.first.allocator.assign(wanted)[0].addresses == wanted.addresses
    assert read(pair.memory, keys.DISPLACED, "n2", "10.0.0.2") is not None


def test_the_block_was_given_back_and_claimed_by_another_node(pair: Pair) -> None:
    """The node lives on: its deletion gave the block back and then failed."""
    pair.first.allocator.assign(Request("n1", "a"))
    pair.first.releaser.release("a")
    other = FlakyStore(pair.memory)
    third = Controller.over(other)
    other.meets.extend([None, REFUSED])
    with pytest.raises(Unavailable):
        third.retirer.delete_node("n1")
    third.committer.close()
    assert not scan(pair.memory, keys.BLOCKS, "p").items
    pair.second.allocator.assign(Request("n2", "b"))
    pair.first.allocator.assign(Request("n1", "c"))
    assert pair.endpoint("b").addresses != pair.endpoint("c").addresses


def test_the_pool_is_deleted_and_made_anew(pair: Pair) -> None:
    def replace() -> None:
        pair.second.retirer.delete_pool("p")
        pair.second.registry.create_pool(Pool(name="p", cidr="10.9.0.0/28"))

    pair.store.meets.append(replace)
    assert pair.first.allocator.assign(Request("n1", "a"))[0].addresses == (ip_address("10.9.0.1"),)


def test_a_better_pool_is_made_at_the_same_time(pair: Pair) -> None:
    pair.store.meets.extend(
        [None, lambda: pair.second.registry.create_pool(Pool(name="q", cidr="10.9.0.0/28", priority=200))]
    )
    assert pair.first.allocator.assign(Request("n1", "a"))[0].pools == ("q",)


def test_the_node_is_deleted(pair: Pair) -> None:
    pair.store.meets.append(lambda: pair.second.retirer.delete_node("n1"))
    with pytest.raises(Problem, match="no node 'n1'"):
        pair.first.allocator.assign(Request("n1", "a"))


def test_the_node_changes_its_mtu(pair: Pair) -> None:
    pair.first.allocator.assign(Request("n1", "a"))

    def widen() -> None:
        pair.second.registry.change(
            keys.NODES, "n1", lambda node: node.model_copy(update={"mtu_bytes": 9000})
        )

    pair.store.meets.append(widen)
    assert pair.first.allocator.assign(Request("n1", "b"))[0].mtu_bytes == 9000


def test_an_agent_attaches_while_the_endpoint_is_ended(pair: Pair) -> None:
    pair.first.allocator.assign(Request("n1", "a"))
    pair.store.meets.append(lambda: pair.attach("a"))
    left = pair.first.releaser.release("a")
    assert left is not None
    assert pair.endpoint("a").state is EndpointState.RELEASING


def test_the_endpoint_moves_while_it_is_ended(pair: Pair) -> None:
    pair.first.allocator.assign(Request("n1", "a"))
    pair.store.meets.append(lambda: pair.second.mover.change("a", move_to("n2")))
    assert pair.first.releaser.release("a") is None
    assert not scan(pair.memory, keys.DISPLACED).items


def test_two_controllers_end_the_same_endpoint(pair: Pair) -> None:
    pair.first.allocator.assign(Request("n1", "a"))
    pair.store.meets.append(lambda: pair.second.releaser.release("a"))
    assert pair.first.releaser.release("a") is None


def test_the_endpoint_ends_while_it_moves(pair: Pair) -> None:
    pair.first.allocator.assign(Request("n1", "a"))
    pair.store.meets.append(lambda: pair.second.releaser.release("a"))
    with pytest.raises(Problem, match="no endpoint 'a'"):
        pair.first.mover.change("a", move_to("n2"))


def test_the_endpoint_is_told_to_end_while_it_moves(pair: Pair) -> None:
    """A node holds it, so that its record is marked and its addresses are as they were."""
    pair.first.allocator.assign(Request("n1", "a"))
    pair.attach("a")
    pair.store.meets.append(lambda: pair.second.releaser.release("a"))
    with pytest.raises(Problem, match="being deleted"):
        pair.first.mover.change("a", move_to("n2"))
    assert pair.endpoint("a").state is EndpointState.RELEASING


def test_the_labels_change_while_it_moves(pair: Pair) -> None:
    pair.first.allocator.assign(Request("n1", "a"))
    labels = {"app": "web"}
    relabel: Callable[[Endpoint], Endpoint] = lambda one: one.model_copy(update={"labels": labels})  # noqa: E731
    pair.store.meets.append(lambda: pair.second.mover.change("a", relabel))
    pair.first.mover.change("a", move_to("n2"))
    assert (pair.endpoint("a").node, pair.endpoint("a").labels) == ("n2", labels)


def test_the_target_of_a_move_is_deleted(pair: Pair) -> None:
    pair.first.allocator.assign(Request("n1", "a"))
    pair.store.meets.append(lambda: pair.second.retirer.delete_node("n2"))
    with pytest.raises(Problem, match="no node 'n2'"):
        pair.first.mover.change("a", move_to("n2"))
    assert pair.endpoint("a").node == "n1"


def test_an_overlapping_pool_is_made_at_the_same_time(pair: Pair) -> None:
    pair.store.meets.append(lambda: pair.second.registry.create_pool(Pool(name="q", cidr="10.8.0.0/24")))
    with pytest.raises(Problem, match=r"overlaps 10\.8\.0\.0/24 of pool q"):
        pair.first.registry.create_pool(Pool(name="r", cidr="10.8.0.0/16"))


def test_a_colliding_peer_is_made_at_the_same_time(pair: Pair) -> None:
    peer = Peer(name="t", address="192.0.2.1", asn=64501)
    pair.store.meets.append(lambda: pair.second.registry.create_peer(peer))
    with pytest.raises(Problem, match="two sessions would collide"):
        pair.first.registry.create_peer(peer.model_copy(update={"name": "u", "node": "n1"}))


def test_the_node_of_a_new_peer_is_deleted(pair: Pair) -> None:
    pair.store.meets.append(lambda: pair.second.retirer.delete_node("n1"))
    with pytest.raises(Problem, match="no node 'n1'"):
        pair.first.registry.create_peer(Peer(name="t", address="192.0.2.1", asn=64501, node="n1"))


def test_a_node_that_is_deleted_gets_a_peer(pair: Pair) -> None:
    peer = Peer(name="t", address="192.0.2.1", asn=64501, node="n1")
    pair.store.meets.append(lambda: pair.second.registry.create_peer(peer))
    with pytest.raises(Problem, match="has peers t"):
        pair.first.retirer.delete_node("n1")


@pytest.mark.parametrize("write", [0, 1])
def test_a_node_that_is_deleted_gets_an_endpoint(pair: Pair, write: int) -> None:
    pair.first.allocator.assign(Request("n1", "a"))
    pair.first.releaser.release("a")
    pair.store.meets.extend([None] * write)
    pair.store.meets.append(lambda: pair.second.allocator.assign(Request("n1", "b")))
    with pytest.raises(Problem, match=r"endpoints 1 \(b\)"):
        pair.first.retirer.delete_node("n1")


def test_a_node_that_is_deleted_gets_an_endpoint_in_a_block_of_another(pair: Pair) -> None:
    pair.first.allocator.assign(Request("n2", "a"))
    wanted = Request("n1", "b", addresses=(ip_address("10.0.0.2"),))
    pair.store.meets.append(lambda: pair.second.allocator.assign(wanted))
    with pytest.raises(Problem, match=r"endpoints 1 \(b\)"):
        pair.first.retirer.delete_node("n1")


def test_a_block_of_a_node_that_is_deleted_gets_an_address_of_another_node(pair: Pair) -> None:
    pair.first.allocator.assign(Request("n1", "a"))
    pair.first.releaser.release("a")
    wanted = Request("n2", "b", addresses=(ip_address("10.0.0.2"),))
    pair.store.meets.append(lambda: pair.second.allocator.assign(wanted))
    with pytest.raises(Problem, match="b on n2"):
        pair.first.retirer.delete_node("n1")


def move_away(pair: Pair) -> None:
    """To `n1`, which has the block; `n2` holds it still."""
    pair.first.allocator.assign(Request("n1", "a"))
    pair.first.mover.change("a", move_to("n2"))
    pair.attach("a")
    pair.first.mover.change("a", move_to("n1"))


def test_a_node_that_holds_what_moved_away_is_not_deleted(pair: Pair) -> None:
    move_away(pair)
    rise(pair.memory, "n2")
    before = pair.memory.range("").items
    with pytest.raises(
        Problem, match=r"holds endpoints still that moved away: 1 \(a\); wait until its agent"
    ):
        pair.first.retirer.delete_node("n2")
    assert pair.memory.range("").items == before
    pair.memory.txn([], [Delete(keys.ATTACHMENTS.key("n2", "a"))])
    pair.first.retirer.delete_node("n2")


def test_a_node_that_is_lost_is_deleted_with_what_it_holds(pair: Pair) -> None:
    move_away(pair)
    with pytest.raises(Problem, match="wait until the node is lost"):
        pair.first.retirer.delete_node("n2")
    pair.memory.txn([], [put(keys.LOST, Lost(node="n2", since=now()), "n2")])
    pair.first.retirer.delete_node("n2")
    assert pair.first.releaser.release("a") is None


def test_a_node_that_is_deleted_with_what_it_holds_comes_back(pair: Pair) -> None:
    move_away(pair)
    pair.memory.txn([], [put(keys.LOST, Lost(node="n2", since=now()), "n2")])
    pair.store.meets.append(lambda: rise(pair.memory, "n2"))
    with pytest.raises(Problem, match="holds endpoints still"):
        pair.first.retirer.delete_node("n2")
    assert read(pair.memory, keys.NODES, "n2") is not None


def test_an_endpoint_moves_away_while_its_former_node_is_deleted(pair: Pair) -> None:
    """It was neither below the node nor held there when that was looked at."""
    pair.first.allocator.assign(Request("n1", "a"))

    def there_and_back() -> None:
        pair.second.mover.change("a", move_to("n2"))
        pair.attach("a")
        pair.second.mover.change("a", move_to("n1"))

    pair.store.meets.append(there_and_back)
    with pytest.raises(Problem, match="holds endpoints still"):
        pair.first.retirer.delete_node("n2")


@pytest.mark.parametrize("write", [0, 1])
def test_a_pool_that_is_deleted_gets_an_endpoint(pair: Pair, write: int) -> None:
    pair.first.allocator.assign(Request("n1", "a"))
    pair.first.releaser.release("a")
    pair.store.meets.extend([None] * write)
    pair.store.meets.append(lambda: pair.second.allocator.assign(Request("n1", "b")))
    with pytest.raises(Problem, match=r"assigned addresses 1 \(endpoint b\)"):
        pair.first.retirer.delete_pool("p")


def test_what_is_about_to_be_committed_is_not_picked_again(pair: Pair) -> None:
    pool, node = read(pair.memory, keys.POOLS, "p"), read(pair.memory, keys.NODES, "n1")
    assert pool is not None
    assert node is not None
    space = Space(pair.store, Claims(pair.store, pair.first.committer), "p", "n1")
    picked: list[Spot] = []
    for _ in range(3):
        picked += space.take(pool, node, 2)
        space.mistrust(contended=False)
    assert len({spot.address for spot in picked}) == 6
    space.settle(picked[:2])
    space.mistrust(contended=False)
    again = space.take(pool, node, 2)
    assert [(each.address, each.block) for each in again] == [
        (each.address, each.block) for each in picked[:2]
    ]


@pytest.mark.parametrize("full", [False, True])
def test_what_is_put_back_while_others_look_for_more_is_given_once(pair: Pair, full: bool) -> None:
    pair.first.registry.create_pool(Pool(name="q", cidr="10.1.0.0/29", block_prefixlen=29, cooldown_s=0))
    pool, node = read(pair.memory, keys.POOLS, "q"), read(pair.memory, keys.NODES, "n1")
    assert pool is not None
    assert node is not None
    spaces: list[Space] = []
    picked: list[Spot] = []

    class MeetingStore(FlakyStore):
        """While the node's blocks are counted somebody puts back what he has."""

        def count(self, prefixes: Sequence[str]) -> list[int]:
            if picked:
                spaces[0].put_back([picked.pop(0) for _ in range(2)])
                spaces[0].settle([] if full else picked)
                picked.clear()
            return super().count(prefixes)

    times = iter(range(0, 10_000, 100))
    claims = Claims(pair.store, pair.first.committer)
    spaces.append(Space(MeetingStore(pair.memory), claims, "q", "n1", lambda: next(times)))
    picked += spaces[0].take(pool, node, 6)
    assert len(picked) == 6
    first, others = spaces[0].take(pool, node, 1), spaces[0].take(pool, node, 5)
    assert (len(first), len(others)) == (1, 1 if full else 5)
    assert len({spot.address for spot in (*first, *others)}) == len(first) + len(others)


def test_a_change_of_the_pool_that_frees_and_reserves_nothing_has_no_block_read_again() -> None:
    store = CountingStore(MemoryStore())
    controller = Controller.over(store)
    controller.registry.create_pool(Pool(name="p", cidr="10.0.0.0/26"))
    controller.registry.create_node(Node(name="n1", asn=64512))
    controller.allocator.assign(Request("n1", "a"))
    controller.registry.change(keys.POOLS, "p", lambda pool: pool.model_copy(update={"cooldown_s": 7}))
    store.ranges = 0
    made, _ = controller.allocator.assign(Request("n1"))
    assert (store.failed, store.ranges) == (1, 1), "of the pools"
    reserved = (ip_network(f"{made.addresses[0] + 1}/32"),)
    controller.registry.change(keys.POOLS, "p", lambda pool: pool.model_copy(update={"reserved": reserved}))
    last, _ = controller.allocator.assign(Request("n1", "c"))
    assert last.addresses == (made.addresses[0] + 2,)
    controller.committer.close()


def test_a_pool_that_does_not_borrow_any_more_gives_no_address_of_others() -> None:
    memory = MemoryStore()
    controller = Controller.over(memory)
    controller.registry.create_pool(Pool(name="p", cidr="10.0.0.0/28", block_prefixlen=29, borrow=True))
    for name in ("n1", "n2"):
        controller.registry.create_node(Node(name=name, asn=64512))
    controller.allocator.assign(Request("n2"))
    while not scan(memory, keys.DISPLACED).items:
        controller.allocator.assign(Request("n1"))
    controller.registry.change(keys.POOLS, "p", lambda pool: pool.model_copy(update={"borrow": False}))
    with pytest.raises(Problem, match="does not borrow"):
        controller.allocator.assign(Request("n1"))
    controller.registry.change(keys.POOLS, "p", lambda pool: pool.model_copy(update={"borrow": True}))
    assert controller.allocator.assign(Request("n1"))[1]
    controller.committer.close()
    check(memory)


def test_two_controllers_that_fill_one_block_by_turns_hardly_meet() -> None:
    memory = MemoryStore()
    stores = [CountingStore(memory), CountingStore(memory)]
    pair = [Controller.over(store) for store in stores]
    pair[0].registry.create_pool(Pool(name="p", cidr="10.0.0.0/26"))
    pair[0].registry.create_node(Node(name="n1", asn=64512))
    made = [pair[number % 2].allocator.assign(Request("n1"))[0] for number in range(62)]
    assert len({endpoint.addresses for endpoint in made}) == 62
    assert sum(store.failed for store in stores) <= 6
    for controller in pair:
        controller.committer.close()


def test_what_was_claimed_is_not_read_before_it_is_filled() -> None:
    store = CountingStore(MemoryStore())
    controller = Controller.over(store)
    controller.registry.create_pool(Pool(name="p", cidr="10.0.0.0/20"))
    controller.registry.create_node(Node(name="n1", asn=64512))
    controller.allocator.assign(Request("n1"))
    store.ranges = 0
    made = controller.allocator.assign_many([Request("n1")] * 500)
    assert len({answer[0].addresses for answer in made if not isinstance(answer, Problem)}) == 500
    assert (store.failed, store.ranges) == (0, 0)
    controller.committer.close()


def test_a_pass_reads_none_of_the_blocks_that_are_full(claiming: Claiming) -> None:
    store, _, claims = claiming
    now = 0.0
    space = Space(store, claims, "p", "n0", lambda: now)
    pool, node = read(store, keys.POOLS, "p"), read(store, keys.NODES, "n0")
    assert pool is not None
    assert node is not None
    blocks = [claims.claim_next(pool, node)[0].value.cidr for _ in range(3)]
    held = [keys.ADDRESSES.key("p", block, address) for block in blocks for address in block]
    for key in held:
        store.txn([], [Put(key, b"")])
    before = store.ranges
    assert space.take(pool, node)[0].address == ip_address("10.0.0.192"), "of a new block"
    assert store.ranges - before <= 2, "the node's blocks, and the claimed ones of the pool"
    store.txn([], [Delete(held[100])])
    now += PASS_S
    assert [spot.address for spot in space.take(pool, node, 63)][-1] == ip_address("10.0.0.100")


def test_two_controllers_that_claim_blocks_by_turns_do_not_read_them_all_each_time() -> None:
    memory = MemoryStore()
    stores = [CountingStore(memory), CountingStore(memory)]
    pair = [Controller.over(store) for store in stores]
    pair[0].registry.create_pool(Pool(name="p", cidr="10.0.0.0/20"))
    pair[0].registry.create_node(Node(name="n1", asn=64512))
    pool, node = read(memory, keys.POOLS, "p"), read(memory, keys.NODES, "n1")
    assert pool is not None
    assert node is not None
    claims = [Claims(controller.store, controller.committer) for controller in pair]
    before = sum(store.ranges for store in stores)
    claimed = [
        block.value.cidr for number in range(64) for block in claims[number % 2].claim_next(pool, node)
    ]
    assert len(set(claimed)) == 64, "the whole pool"
    assert sum(store.ranges for store in stores) - before <= 4
    assert claims[0].claim_next(pool, node) == []
    for controller in pair:
        controller.committer.close()


def test_blocks_of_a_deleted_node_whose_addresses_cool_down_are_passed_by() -> None:
    """More of them than there are attempts: what is claimed is read once an address of it was lost."""
    store = CountingStore(MemoryStore())
    first, second = Controller.over(store), Controller.over(store)
    first.registry.create_pool(Pool(name="p", cidr="10.0.0.0/24", block_prefixlen=30, cooldown_s=600))
    for name in ("n1", "n2"):
        first.registry.create_node(Node(name=name, asn=64512))
    for answer in first.allocator.assign_many([Request("n1")] * 200):
        assert not isinstance(answer, Problem)
        first.releaser.release(answer[0].id)
    first.retirer.delete_node("n1")
    store.failed = 0
    endpoint, _ = second.allocator.assign(Request("n2"))
    assert (endpoint.addresses, store.failed) == ((ip_address("10.0.0.201"),), 1)
    for controller in (first, second):
        controller.committer.close()


def test_threads_of_two_controllers_fill_a_pool_to_its_last_address() -> None:
    """What one controller is about to commit it never picks twice; what two pick is settled by losing."""
    memory = MemoryStore()
    pair = [Controller.over(FlakyStore(memory)) for _ in range(2)]
    pair[0].registry.create_pool(Pool(name="p", cidr="10.0.0.0/25", block_prefixlen=28))
    for name in ("n1", "n2"):
        pair[0].registry.create_node(Node(name=name, asn=64512))
    full = threading.Event()

    def work(number: int) -> list[Endpoint]:
        made = []
        while not full.is_set():
            try:
                made.append(pair[number % 2].allocator.assign(Request(f"n{number // 2 % 2 + 1}"))[0])
            except Problem as problem:
                if problem.kind == "pool-full":
                    return made
        return made

    with ThreadPoolExecutor(8) as pool:
        made = [endpoint for each in pool.map(work, range(8), timeout=60) for endpoint in each]
    assert len({endpoint.addresses for endpoint in made}) == len(made) == 126
    check(memory)
    for controller in pair:
        controller.committer.close()


class Noticing(Committer):
    """Tells when units come in."""

    came: threading.Semaphore

    def submit_all(self, units: Sequence[Unit]) -> list[Promise[int]]:
        futures = super().submit_all(units)
        self.came.release()
        return futures


Claiming = tuple[CountingStore, Noticing, Claims]


@pytest.fixture
def claiming() -> Iterator[Claiming]:
    """What claims blocks, over a store with a pool and four nodes."""
    store = CountingStore(MemoryStore())
    store.txn([], [put(keys.POOLS, Pool(name="p", cidr=ip_network("10.0.0.0/24")), "p")])
    store.txn([], [put(keys.NODES, Node(name=f"n{n}", asn=64512), f"n{n}") for n in range(4)])
    committer = Noticing(store, pauses_s=(0, 0, 0))
    committer.came = threading.Semaphore(0)
    yield store, committer, Claims(store, committer)
    committer.close()


def test_nodes_that_claim_at_once_do_not_wait_for_each_other(
    claiming: Claiming,
) -> None:
    store, committer, claims = claiming
    go_on = threading.Event()
    store.meets.append(lambda: go_on.wait(SOON_S) and None)
    pool, *nodes = read(store, keys.POOLS, "p"), *(read(store, keys.NODES, f"n{n}") for n in range(4))
    assert pool is not None
    with ThreadPoolExecutor(4) as threads:
        claimed = [threads.submit(claims.claim_next, pool, node) for node in nodes if node is not None]
        came = [committer.came.acquire(timeout=SOON_S) for _ in nodes]
        go_on.set()
        cidrs = {block.value.cidr for each in claimed for block in each.result(SOON_S)}
    assert all(came), "each was queued while the first was written"
    assert len(cidrs) == 4


@pytest.mark.parametrize("fault", [REFUSED, None])
def test_a_block_that_could_not_be_claimed_is_the_next_one_again(
    claiming: Claiming, fault: str | None
) -> None:
    store, _, claims = claiming
    pool, node, other = (read(store, keys.POOLS, "p"), *(read(store, keys.NODES, f"n{n}") for n in (0, 1)))
    assert pool is not None
    assert node is not None
    assert other is not None
    if fault is not None:
        store.meets.append(fault)
        with pytest.raises(Unavailable):
            claims.claim_next(pool, node)
    else:
        store.txn([], [put(keys.NODES, node.value.model_copy(update={"labels": {"a": "b"}}), "n0")])
        with pytest.raises(Stale):
            claims.claim_next(pool, node)
    assert [str(block.value.cidr) for block in claims.claim_next(pool, other)] == ["10.0.0.0/26"]
