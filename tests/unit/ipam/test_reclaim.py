"""What a node that is gone held is taken back, and nothing of a node that lives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_address

import pytest

from controller.events import Events
from controller.ipam.allocator import Request
from controller.metrics import Metrics
from controller.reading import put, read, scan
from controller.reclaiming import Reclaiming
from lab.wait import wait_until
from store import keys
from store.client import Delete, Put
from store.memory import MemoryStore
from store.model import (
    AddressState,
    Advertised,
    Displaced,
    Endpoint,
    EndpointState,
    Node,
    Pool,
    Program,
    Ready,
    Tenant,
    Value,
    host_prefix,
)
from tests.support.gone import DAY, Duty, Time, attach, fall, rise
from tests.support.ipam import Controller, FlakyStore, check

SOON_S = 10
NODES = ("n1", "n2")


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def store() -> FlakyStore:
    return FlakyStore(MemoryStore())


@pytest.fixture
def controller(store: FlakyStore) -> Iterator[Controller]:
    made = Controller.over(store)
    made.registry.create_pool(Pool(name="p", cidr="10.0.0.0/24", block_prefixlen=28))
    for name in NODES:
        made.registry.create_node(Node(name=name, asn=64512))
        rise(store, name)
    yield made
    made.committer.close()


@pytest.fixture
def duty(controller: Controller, clock: Time) -> Duty:
    return Duty(controller, clock)


def held(controller: Controller, endpoint_id: str, node: str = "n1") -> Endpoint:
    """An endpoint that its node holds."""
    endpoint, _ = controller.allocator.assign(Request(node, endpoint_id))
    attach(controller.store, endpoint, node)
    return endpoint


def reasons(store: FlakyStore) -> list[str]:
    return [event.reason for event in scan(store, keys.EVENTS).values]


def lose(duty: Duty, store: FlakyStore, clock: Time, *nodes: str) -> None:
    """These nodes die, and are gone for long enough."""
    for node in nodes:
        fall(store, node)
    assert duty.turn() == []
    clock.now += DAY


def test_a_node_that_is_gone_past_its_grace_holds_nothing_any_more(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time
) -> None:
    for number in range(100):
        held(controller, f"e{number}")
    kept = held(controller, "kept", "n2")
    said = Ready(prefix=host_prefix(kept.addresses[0]), node="n1", boot_id="b")
    announced = Advertised(prefix=said.prefix, node="n1", peers=("tor",))
    store.txn([], [put(keys.READY, said, "n1", said.prefix)])
    store.txn([], [put(keys.ADVERTISED, announced, "n1", said.prefix)])
    fall(store, "n1")
    assert duty.turn() == []
    clock.now += DAY - timedelta(seconds=1)
    assert duty.turn() == []
    clock.now += timedelta(seconds=1)
    assert len(duty.turn()) == 100
    check(store)
    assert [each.id for each in scan(store, keys.ENDPOINTS).values] == ["kept"]
    states = [each.state for each in scan(store, keys.ADDRESSES).values]
    assert (states.count(AddressState.COOLDOWN), states.count(AddressState.ASSIGNED)) == (100, 1)
    assert scan(store, keys.ATTACHMENTS, "n1").items == ()
    assert scan(store, keys.READY, "n1").items == ()
    assert scan(store, keys.ADVERTISED, "n1").items == ()
    assert len(scan(store, keys.ATTACHMENTS, "n2").items) == 1
    assert duty.turn() == []


def test_since_when_a_node_is_gone_survives_the_controller_that_saw_it(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time
) -> None:
    held(controller, "e")
    fall(store, "n1")
    duty.turn()
    clock.now += DAY / 2
    other = Duty(controller, clock)
    assert other.turn() == []
    clock.now += DAY / 2
    assert other.turn() == ["e"]
    assert reasons(store) == ["node-lost"]


@pytest.mark.parametrize("program", Program)
def test_a_node_that_was_back_for_a_moment_begins_anew(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time, program: Program
) -> None:
    held(controller, "e")
    lose(duty, store, clock, "n1")
    rise(store, "n1", program)
    assert duty.turn() == []
    assert reasons(store)[-1] == "node-back"
    fall(store, "n1")
    assert duty.turn() == []
    clock.now += DAY / 2
    assert duty.turn() == []
    assert read(store, keys.ENDPOINTS, "e") is not None


def test_a_node_that_never_is_to_be_reclaimed_is_not(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time
) -> None:
    controller.registry.change(keys.NODES, "n1", lambda node: node.model_copy(update={"reclaim_after_s": 0}))
    held(controller, "e")
    lose(duty, store, clock, "n1")
    clock.now += 1000 * DAY
    assert duty.turn() == []


@pytest.mark.parametrize("change", ["back", "never"])
def test_a_node_that_comes_back_in_the_middle_is_not_robbed(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time, change: str
) -> None:
    held(controller, "e")
    lose(duty, store, clock, "n1")
    before = store.get(keys.ATTACHMENTS.key("n1", "e"))

    def rival() -> None:
        if change == "back":
            rise(store.inner, "n1")
        else:
            never = Node(name="n1", asn=64512, reclaim_after_s=0)
            store.inner.txn([], [put(keys.NODES, never, "n1")])

    gone = duty.roll.call()
    assert list(gone) == ["n1"]
    store.meets.append(rival)
    assert duty.take(gone) == []
    assert read(store, keys.ENDPOINTS, "e") is not None
    assert store.get(keys.ATTACHMENTS.key("n1", "e")) == before
    check(store)


@pytest.mark.parametrize("transactions", range(5))
def test_a_node_that_comes_back_in_the_middle_has_its_word_for_all_that_is_left(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time, transactions: int
) -> None:
    for name in ("blue", "red"):
        store.txn([], [put(keys.TENANTS, Tenant(name=name), name)])
    for number in range(60):
        request = Request("n1", f"e{number}", tenant=(None, "blue", "red")[number % 3])
        attach(store, controller.allocator.assign(request)[0], "n1")
    lose(duty, store, clock, "n1")
    gone = duty.roll.call()
    store.meets.extend([None] * transactions)
    store.meets.append(lambda: rise(store.inner, "n1"))
    ended = duty.take(gone)
    left = {each.id for each in scan(store, keys.ENDPOINTS).values}
    assert len(left) == 60 - len(ended)
    assert {each.endpoint for each in scan(store, keys.ATTACHMENTS, "n1").values} >= left
    check(store)


def test_what_was_being_released_on_a_node_that_is_gone_ends(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time
) -> None:
    held(controller, "e")
    assert controller.releaser.release("e") is not None
    lose(duty, store, clock, "n1")
    assert duty.turn() == ["e"]
    check(store)


def test_an_endpoint_that_moved_to_a_node_that_is_gone_ends_when_the_first_has_let_go(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time
) -> None:
    held(controller, "e")
    controller.mover.change("e", lambda endpoint: endpoint.model_copy(update={"node": "n2"}))
    lose(duty, store, clock, "n2")
    assert duty.turn() == []
    found = read(store, keys.ENDPOINTS, "e")
    assert found is not None
    assert found.value.state is EndpointState.RELEASING
    assert duty.turn() == []
    store.txn([], [Delete(keys.ATTACHMENTS.key("n1", "e"))])
    assert controller.releaser.finalise(found)
    check(store)


def test_an_endpoint_that_moved_away_from_a_node_that_is_gone_lives_and_can_end(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time
) -> None:
    moved = held(controller, "e")
    controller.mover.change("e", lambda endpoint: endpoint.model_copy(update={"node": "n2"}))
    attach(store, moved, "n2")
    lose(duty, store, clock, "n1")
    assert duty.turn() == []
    assert read(store, keys.ENDPOINTS, "e") is not None
    controller.releaser.release("e")
    store.txn([], [Delete(keys.ATTACHMENTS.key("n2", "e"))])
    assert controller.releaser.release("e") is None
    check(store)


@pytest.mark.parametrize(("first", "then"), [("n1", "n2"), ("n2", "n1")])
def test_both_nodes_of_a_moved_endpoint_may_be_gone(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time, first: str, then: str
) -> None:
    held(controller, "e", first)
    controller.mover.change("e", lambda endpoint: endpoint.model_copy(update={"node": then}))
    lose(duty, store, clock, "n1", "n2")
    assert duty.turn() == ["e"]
    check(store)


def test_a_lease_that_ended_too_soon_delays_and_loses_nothing(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time
) -> None:
    held(controller, "e")
    lose(duty, store, clock, "n1")
    gone = duty.roll.call()
    store.meets.append(lambda: [store.inner.revoke(lease) for lease in range(1, 9)] and None)
    assert duty.take(gone) == []
    assert duty.turn() == ["e"]
    check(store)


def test_a_copy_that_cannot_be_read_keeps_nothing_else(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time
) -> None:
    for name in ("a", "b"):
        held(controller, name)
    store.txn([], [Put(keys.NODE_ENDPOINTS.key("n1", "a"), b"?")])
    lose(duty, store, clock, "n1")
    assert duty.turn() == ["b"]
    assert read(store, keys.ENDPOINTS, "a") is not None


@pytest.mark.parametrize("family", [keys.POOLS, keys.BLOCKS])
def test_a_value_that_cannot_be_read_keeps_nothing_of_others(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time, family: keys.Kind[Value]
) -> None:
    controller.registry.create_pool(Pool(name="q", cidr="10.1.0.0/24", block_prefixlen=28))
    controller.allocator.assign(Request("n2", pools=("q",)))
    controller.allocator.assign(Request("n1", "a", addresses=(ip_address("10.1.0.5"),)))
    for name in ("b", "c"):
        held(controller, name)
    key = keys.POOLS.key("q") if family is keys.POOLS else keys.BLOCKS.key("q", "10.1.0.0/28")
    item = store.get(key)
    assert item is not None
    store.txn([], [Put(key, b"?")])
    lose(duty, store, clock, "n1")
    assert duty.turn() == ["b", "c"]
    store.txn([], [Put(key, item.value)])
    assert duty.turn() == ["a"]
    check(store)


def test_a_record_that_cannot_be_read_keeps_no_leftover_of_others(
    store: FlakyStore, controller: Controller, duty: Duty
) -> None:
    for node in NODES:
        held(controller, f"of-{node}", node)
    left = [Displaced(address=f"10.0.0.{n}", endpoint=f"of-n{n}", node="n2") for n in (1, 2)]
    store.txn([], [put(keys.DISPLACED, each, "n1", each.address) for each in left])
    record = keys.ENDPOINTS.key("of-n1")
    item = store.get(record)
    assert item is not None
    store.txn([], [Put(record, b"?")])
    assert duty.reclaimer.remove_leftovers() == [keys.DISPLACED.key("n1", "10.0.0.2")]
    store.txn([], [Put(record, item.value)])
    assert duty.reclaimer.remove_leftovers() == [keys.DISPLACED.key("n1", "10.0.0.1")]
    check(store)


def test_a_node_that_is_deleted_is_not_lost_any_more(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time
) -> None:
    lose(duty, store, clock, "n2")
    controller.retirer.delete_node("n2")
    assert duty.turn() == []
    assert scan(store, keys.LOST).items == ()
    assert reasons(store) == ["node-lost"]


def test_the_duty_waits_until_programs_had_time_to_say_that_they_live(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time
) -> None:
    held(controller, "e")
    lose(duty, store, clock, "n1")
    metrics = Metrics()
    events = Events(store, clock)
    looks: list[None] = []
    patient = Reclaiming(
        *(store, duty.reclaimer, clock, events, metrics),
        guard=lambda: looks.append(None),
        period_s=0.01,
        settle_s=3600,
    )
    running(patient, lambda: len(looks) > 1)
    assert read(store, keys.ENDPOINTS, "e") is not None
    eager = Reclaiming(store, duty.reclaimer, clock, events, metrics, period_s=0.01, settle_s=0)
    running(eager, lambda: read(store, keys.ENDPOINTS, "e") is None)
    assert 'polder_addresses_reclaimed_total{why="node-gone"} 1.0' in metrics.render().decode()
    event = scan(store, keys.EVENTS).values[-1]
    assert (event.reason, event.node) == ("reclaimed", "n1")
    assert "e (10.0.0.1)" in event.detail


def running(duty: Reclaiming, until: Callable[[], bool]) -> None:
    thread = threading.Thread(target=duty.run)
    thread.start()
    wait_until(until, SOON_S, "the duty to act")
    duty.stop()
    thread.join(SOON_S)
    assert not thread.is_alive()


def test_what_tenants_hold_is_counted_down(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time
) -> None:
    for name in ("blue", "red"):
        store.txn([], [put(keys.TENANTS, Tenant(name=name), name)])
    for number in range(60):
        node = "n2" if number < 6 else "n1"
        request = Request(node, f"e{number}", tenant=("blue", "red", None)[number % 3])
        attach(store, controller.allocator.assign(request)[0], node)
    lose(duty, store, clock, "n1")
    assert len(duty.turn()) == 54
    assert {each.tenant: each.ipv4 for each in scan(store, keys.USAGE).values} == {"blue": 2, "red": 2}
    check(store)


def test_a_node_that_is_made_anew_was_not_away_with_its_name(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time
) -> None:
    """Deleted and made anew between two looks."""
    lose(duty, store, clock, "n1")
    controller.retirer.delete_node("n1")
    controller.registry.create_node(Node(name="n1", asn=64512))
    controller.allocator.assign(Request("n1", "e"))
    assert duty.turn() == []
    clock.now += DAY - timedelta(seconds=1)
    assert duty.turn() == []
    clock.now += timedelta(seconds=1)
    assert duty.turn() == ["e"]


def test_a_node_that_is_made_anew_while_it_is_found_gone_is_not_robbed(
    store: FlakyStore, controller: Controller, duty: Duty, clock: Time
) -> None:
    lose(duty, store, clock, "n1")
    gone = duty.roll.call()
    controller.retirer.delete_node("n1")
    controller.registry.create_node(Node(name="n1", asn=64512))
    controller.allocator.assign(Request("n1", "e"))
    assert duty.take(gone) == []


def test_a_node_that_is_made_anew_while_it_is_written_down_as_lost_is_not(
    store: FlakyStore, controller: Controller, duty: Duty
) -> None:
    def again() -> None:
        controller.retirer.delete_node("n1")
        controller.registry.create_node(Node(name="n1", asn=64512))

    fall(store, "n1")
    store.meets.append(again)
    duty.turn()
    assert scan(store, keys.LOST).items == ()
