"""What the store in memory adds for its users' tests: a clock to move, and the faults of a network."""

from __future__ import annotations

import pytest

from store.client import Changed, KeyValue, Put, Removed
from store.errors import LeaseExpired, Unavailable
from store.memory import MemoryStore


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_leases_end_by_the_clock() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    lease = store.grant(10)
    revision = store.txn([], [Put("a", b"", lease), Put("b", b"")]).revision
    clock.now += 9
    assert store.keep_alive(lease) == 10
    clock.now += 9
    assert store.get("a") is not None
    clock.now += 1
    assert store.get("a") is None
    assert store.get("b") is not None
    with pytest.raises(LeaseExpired):
        store.keep_alive(lease)
    watch = iter(store.watch([""], start_revision=revision + 1))
    assert next(watch) == (Removed("a", revision + 1),)


def test_a_moved_clock_wakes_a_watch_by_expire() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    store.txn([], [Put("a", b"", store.grant(10))])
    watch = iter(store.watch([""], start_revision=3))
    clock.now += 10
    store.expire()
    assert next(watch) == (Removed("a", 3),)


def test_while_the_store_is_away_everything_is_refused_and_nothing_is_lost() -> None:
    store = MemoryStore()
    revision = store.txn([], [Put("a", b"")]).revision
    watch = store.watch(["a"], start_revision=revision)
    store.set_available(False)
    with pytest.raises(Unavailable) as caught:
        store.txn([], [Put("a", b"2")])
    assert not caught.value.outcome_unknown
    with pytest.raises(Unavailable):
        next(iter(watch))
    store.set_available(True)
    assert store.get("a") == KeyValue("a", b"", revision, revision)
    assert list(watch) == []


def test_a_watch_breaks_even_when_the_store_is_back_at_once() -> None:
    store = MemoryStore()
    watch = store.watch([""], start_revision=1)
    store.set_available(False)
    store.set_available(True)
    with pytest.raises(Unavailable):
        next(iter(watch))


def test_a_lost_answer_is_of_an_applied_transaction_and_is_lost_once() -> None:
    store = MemoryStore()
    store.lose_answer()
    with pytest.raises(Unavailable) as caught:
        store.txn([], [Put("a", b"1")])
    assert caught.value.outcome_unknown
    assert store.get("a") == KeyValue("a", b"1", 2, 2)
    assert store.txn([], [Put("a", b"2")]).succeeded
    watch = iter(store.watch(["a"], start_revision=3))
    assert next(watch) == (Changed(KeyValue("a", b"2", 2, 3)),)
