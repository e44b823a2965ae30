"""A heartbeat: its keys live as long as it does, and come back with the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from store.client import Put, Removed
from store.lease import Heartbeat
from store.memory import MemoryStore

KEY = "alive/node-1/agent"


class Beats(MemoryStore):
    """A store in memory that lets a test wait for what a heartbeat did."""

    def __init__(self) -> None:
        super().__init__(lambda: self.now)
        self.now = 0.0
        self.kept = 0
        self.happened = threading.Condition()

    def keep_alive(self, lease_id: int) -> int:
        try:
            return super().keep_alive(lease_id)
        finally:
            with self.happened:
                self.kept += 1
                self.happened.notify_all()

    def wait_for(self, true: Callable[[], object]) -> None:
        until = time.monotonic() + 10
        with self.happened:
            while not true():
                assert time.monotonic() < until
                self.happened.wait(0.005)


@pytest.fixture
def store() -> Beats:
    return Beats()


@pytest.fixture
def heartbeat(store: Beats, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heartbeat]:
    """A heartbeat that beats every 10 ms and whose lease lasts 100 s of the store's clock."""
    monkeypatch.setattr("store.lease.BEATS_PER_TTL", 10_000)
    heartbeat = Heartbeat(store, 100, [Put(KEY, b"here")])
    yield heartbeat
    heartbeat.stop()


def lease_of(store: Beats) -> int:
    item = store.get(KEY)
    return item.lease_id if item else 0


def test_the_keys_are_under_a_lease_that_is_kept(store: Beats, heartbeat: Heartbeat) -> None:
    heartbeat.start()
    store.wait_for(lambda: store.get(KEY))
    lease = lease_of(store)
    store.now += 90
    before = store.kept
    store.wait_for(lambda: store.kept >= before + 2)
    store.now += 90
    assert lease_of(store) == lease > 0


def test_what_is_said_anew_is_written_under_the_same_lease_and_stays(
    store: Beats, heartbeat: Heartbeat
) -> None:
    heartbeat.start()
    store.wait_for(lambda: store.get(KEY))
    lease = lease_of(store)
    heartbeat.say([Put(KEY, b"well")])
    store.wait_for(lambda: (item := store.get(KEY)) and item.value == b"well")
    assert lease_of(store) == lease
    store.now += 100
    store.wait_for(lambda: lease_of(store) not in {0, lease})
    item = store.get(KEY)
    assert item is not None
    assert item.value == b"well"


def test_what_is_said_anew_does_not_wait_for_the_next_beat(store: Beats) -> None:
    heartbeat = Heartbeat(store, 100, [Put(KEY, b"here")])
    heartbeat.start()
    store.wait_for(lambda: store.get(KEY))
    heartbeat.say([Put(KEY, b"well")])
    store.wait_for(lambda: (item := store.get(KEY)) and item.value == b"well")
    kept = store.kept
    heartbeat.say([Put(KEY, b"well")])
    heartbeat.stop()
    assert store.kept == kept, "what it says already is no reason for a beat"


def test_after_the_lease_expired_the_keys_come_back(store: Beats, heartbeat: Heartbeat) -> None:
    heartbeat.start()
    store.wait_for(lambda: store.get(KEY))
    first = lease_of(store)
    store.now += 100
    store.wait_for(lambda: lease_of(store) not in {0, first})


def test_after_the_store_was_away_the_keys_come_back(store: Beats, heartbeat: Heartbeat) -> None:
    store.set_available(False)
    heartbeat.start()
    store.set_available(True)
    store.wait_for(lambda: store.get(KEY))
    store.set_available(False)
    before = store.kept
    store.wait_for(lambda: store.kept >= before + 2)
    store.now += 100
    store.set_available(True)
    store.wait_for(lambda: store.get(KEY))


def test_stopping_removes_the_keys_at_once(store: Beats, heartbeat: Heartbeat) -> None:
    heartbeat.start()
    store.wait_for(lambda: store.get(KEY))
    revision = store.range("").revision
    heartbeat.stop()
    watch = iter(store.watch([KEY], start_revision=revision + 1))
    assert next(watch) == (Removed(KEY, revision + 1),)
    heartbeat.stop()


def test_stopping_while_the_store_is_away_is_no_error(store: Beats, heartbeat: Heartbeat) -> None:
    heartbeat.start()
    store.wait_for(lambda: store.get(KEY))
    store.set_available(False)
    heartbeat.stop()
    store.set_available(True)
    assert store.get(KEY) is not None, "left to the lease"
    store.now += 100
    assert store.get(KEY) is None


def test_a_heartbeat_that_was_never_started_stops(store: Beats, heartbeat: Heartbeat) -> None:
    heartbeat.stop()
    assert store.range("").revision == Beats().range("").revision, "nothing was written"
