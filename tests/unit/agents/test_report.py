"""Reports: the store is made equal to what was said, by differences only, and catches up after an outage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agents.publisher import RETRY_S, Publisher
from agents.reconciler import Reconciler
from agents.report import StoreDriver
from lab.wait import wait_until
from store import keys
from store.client import Absent, Exists, Put
from store.codec import decode, encode
from store.memory import MemoryStore
from store.model import Ready
from tests.support.cluster import NODE, endpoint, ready
from tests.support.ipam import LATE, FlakyStore

KEYS = [keys.READY.key(NODE, f"10.64.0.{number}/32") for number in range(300)]
VALUES = {key: ready(f"10.64.0.{number % 256}/32") for number, key in enumerate(KEYS)}


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    made = MemoryStore()
    yield made
    made.close()


def held(store: MemoryStore) -> dict[str, Ready]:
    items = store.range(keys.READY.prefix(NODE)).items
    return {item.key: decode(Ready, item.value) for item in items}


def test_more_than_one_transaction_takes_is_written_in_several(store: MemoryStore) -> None:
    reconciler = Reconciler("ready", StoreDriver(store, keys.READY, NODE))
    assert reconciler.put(VALUES)
    assert held(store) == VALUES
    assert reconciler.delete({})
    assert held(store) == {}


def test_a_restart_that_finds_all_right_writes_nothing(store: MemoryStore) -> None:
    Reconciler("ready", StoreDriver(store, keys.READY, NODE)).put(VALUES)
    before = store.range(keys.READY.prefix(NODE))
    again = Reconciler("ready", StoreDriver(store, keys.READY, NODE))
    assert again.put(VALUES)
    assert again.delete(VALUES)
    assert store.range(keys.READY.prefix(NODE)) == before


def test_only_the_own_keys_are_touched(store: MemoryStore) -> None:
    foreign = {
        keys.READY.key("node-10", "10.64.9.1/32"): ready("10.64.9.1/32"),
        keys.POOLS.key("p"): ready("::/128"),
    }
    store.txn((), [Put(key, encode(value)) for key, value in foreign.items()])
    reconciler = Reconciler("ready", StoreDriver(store, keys.READY, NODE))
    assert reconciler.delete({})
    assert all(store.get(key) is not None for key in foreign)


def test_what_does_not_decode_is_written_over(store: MemoryStore) -> None:
    store.txn((), (Put(KEYS[0], b"{"),))
    assert Reconciler("ready", StoreDriver(store, keys.READY, NODE)).put({KEYS[0]: VALUES[KEYS[0]]})
    assert held(store) == {KEYS[0]: VALUES[KEYS[0]]}


def test_a_guarded_report_waits_for_its_guard(store: MemoryStore) -> None:
    record = keys.NODE_ENDPOINTS.key(NODE, "web")
    driver = StoreDriver(store, keys.READY, NODE, guard=lambda _ready: Exists(record))
    reconciler = Reconciler("ready", driver)
    wanted = {KEYS[0]: VALUES[KEYS[0]]}
    assert not reconciler.put(wanted)
    assert reconciler.wants_retry
    assert held(store) == {}
    store.txn((), (Put(record, encode(endpoint())),))
    assert reconciler.put(wanted)
    assert held(store) == wanted


def test_what_another_thread_has_just_written_is_not_deleted(store: MemoryStore) -> None:
    """An attach writes its key while the publisher is about to delete that of the detach before."""
    flaky = FlakyStore(store)
    record, key = keys.NODE_ENDPOINTS.key(NODE, "web"), KEYS[0]
    store.txn((), (Put(record, encode(endpoint())),))
    wanted: set[str] = set()
    driver = StoreDriver(
        flaky, keys.READY, NODE, guard=lambda _ready: Exists(record), keep=wanted.__contains__
    )
    reconciler = Reconciler("ready", driver)
    assert reconciler.put({key: VALUES[key]})

    def attach() -> None:
        wanted.add(key)
        store.txn((), (Put(key, encode(VALUES[KEYS[1]])),))

    flaky.meets.append(attach)
    assert not reconciler.delete({})
    assert reconciler.wants_retry
    assert held(store) == {key: VALUES[KEYS[1]]}
    wanted.clear()
    assert reconciler.delete({}), "once nobody wants it, it goes"
    assert held(store) == {}


def test_a_delete_that_arrives_late_does_not_take_what_was_written_since(store: MemoryStore) -> None:
    flaky = FlakyStore(store)
    record, key = keys.NODE_ENDPOINTS.key(NODE, "web"), KEYS[0]
    store.txn((), (Put(record, encode(endpoint())),))
    reconciler = Reconciler(
        "ready", StoreDriver(flaky, keys.READY, NODE, guard=lambda _ready: Exists(record))
    )
    assert reconciler.put({key: VALUES[key]})
    flaky.meets.append(LATE)
    assert not reconciler.delete({})
    store.txn((), (Put(key, encode(VALUES[KEYS[1]])),))
    flaky.deliver()
    assert held(store) == {key: VALUES[KEYS[1]]}


def test_a_key_that_was_never_said_goes_when_it_is_looked_for(store: MemoryStore) -> None:
    publisher = Publisher({"ready": StoreDriver(store, keys.READY, NODE)})
    publisher.start()
    publisher.say("ready", {KEYS[0]: VALUES[KEYS[0]]})
    wait_until(lambda: len(held(store)) == 1, 5.0, "the report")
    store.txn((), (Put(KEYS[1], encode(VALUES[KEYS[1]])),))
    publisher.recheck("ready")
    wait_until(lambda: set(held(store)) == {KEYS[0]}, 5.0, "the end of what nobody said")
    publisher.stop()


def test_what_another_thread_has_written_is_not_written_again_and_can_be_deleted(store: MemoryStore) -> None:
    publisher = Publisher({"ready": StoreDriver(store, keys.READY, NODE, guard=lambda _: Absent("nowhere"))})
    publisher.say("ready", {KEYS[0]: VALUES[KEYS[0]]})
    assert publisher._step() is None
    revision = store.txn((), (Put(KEYS[1], encode(VALUES[KEYS[1]])),)).revision
    publisher.written("ready", KEYS[1], VALUES[KEYS[1]], revision)
    publisher.say("ready", {key: VALUES[key] for key in KEYS[:2]})
    assert publisher._step() is None
    item = store.get(KEYS[1])
    assert item is not None
    assert item.mod_revision == revision
    publisher.say("ready", {KEYS[0]: VALUES[KEYS[0]]})
    assert publisher._step() is None
    assert set(held(store)) == {KEYS[0]}


def test_what_another_thread_has_written_is_left_alone_until_it_is_spoken_of(
    store: MemoryStore,
) -> None:
    """An attach writes its key before the pass that says so: until then it is not taken for a leftover."""
    kept = StoreDriver(
        store, keys.READY, NODE, guard=lambda _: Absent("nowhere"), keep=lambda key: key == KEYS[1]
    )
    publisher = Publisher({"ready": kept})
    publisher.say("ready", {KEYS[0]: VALUES[KEYS[0]]})
    assert publisher._step() is None
    revision = store.txn((), (Put(KEYS[1], encode(VALUES[KEYS[1]])),)).revision
    publisher.written("ready", KEYS[1], VALUES[KEYS[1]], revision)
    assert publisher._step() is None, "nothing to try again"
    publisher.say("ready", {key: VALUES[key] for key in KEYS[:2]})
    assert publisher._step() is None
    assert store.range(keys.READY.prefix(NODE)).revision == revision, "nothing was written"


def test_what_another_thread_has_written_and_nobody_says_goes(store: MemoryStore) -> None:
    publisher = Publisher({"ready": StoreDriver(store, keys.READY, NODE, guard=lambda _: Absent("nowhere"))})
    said = {KEYS[0]: VALUES[KEYS[0]]}
    publisher.say("ready", said)
    assert publisher._step() is None
    revision = store.txn((), (Put(KEYS[1], encode(VALUES[KEYS[1]])),)).revision
    publisher.written("ready", KEYS[1], VALUES[KEYS[1]], revision)
    publisher.say("ready", said)
    assert publisher._step() is None
    assert held(store) == said


def test_a_store_that_is_away_is_caught_up_with(store: MemoryStore) -> None:
    publisher = Publisher({"ready": StoreDriver(store, keys.READY, NODE)})
    publisher.say("ready", {KEYS[0]: VALUES[KEYS[0]]})
    assert publisher._step() is None
    store.set_available(False)
    publisher.say("ready", {KEYS[1]: VALUES[KEYS[1]]})
    assert publisher._step() == RETRY_S
    store.set_available(True)
    assert publisher._step() is None
    assert set(held(store)) == {KEYS[1]}


def test_a_family_nobody_spoke_of_is_left_alone(store: MemoryStore) -> None:
    Reconciler("ready", StoreDriver(store, keys.READY, NODE)).put(VALUES)
    drivers = {
        "ready": StoreDriver(store, keys.READY, NODE),
        "advertised": StoreDriver(store, keys.ADVERTISED, NODE),
    }
    publisher = Publisher(drivers)
    publisher.say("advertised", {})
    assert publisher._step() is None
    assert held(store) == VALUES, "a program that has just started withdraws nothing"
