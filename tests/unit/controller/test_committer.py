"""Group commit: what shares a transaction, who loses, and what becomes of lost answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import pytest

from controller.ipam.committer import PATIENCE_S, TURNS, Committer
from controller.ipam.tally import Charge
from controller.ipam.unit import Batch, Unit
from controller.waiting import Runner, Stacks, give_way, wait
from lab.wait import wait_until
from store.client import (
    MAX_TXN_OPS,
    Absent,
    Compare,
    DeletePrefix,
    Exists,
    Op,
    PrefixEmpty,
    PrefixUnwritten,
    Put,
    TxnResult,
    Unchanged,
)
from store.errors import Invalid, LeaseExpired, Restored, Unavailable
from store.memory import MemoryStore
from tests.support.ipam import LATE, LOST_AFTER, LOST_BEFORE, REFUSED, FlakyStore

if TYPE_CHECKING:
    from tests.support.stacks import Begin

pytest_plugins = ["tests.support.stacks"]


class GatedStore(FlakyStore):
    """Keeps the first transaction waiting, so that others queue behind it; tells how large each was."""

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__(inner)
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.sizes: list[int] = []

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        self.entered.set()
        assert self.gate.wait(10)
        self.sizes.append(len(ops))
        return super().txn(compares, ops)


class Named(FlakyStore):
    """Tells which threads write to it."""

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__(inner)
        self.threads: set[int] = set()

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        self.threads.add(threading.get_ident())
        return super().txn(compares, ops)


def new(key: str, *ops: Op) -> Unit:
    return Unit((Absent(key),), (Put(key, b"1"), *ops))


@pytest.fixture
def store() -> GatedStore:
    return GatedStore(MemoryStore())


@pytest.fixture
def committer(store: GatedStore) -> Iterator[Committer]:
    committer = Committer(store, pauses_s=(0, 0, 0))
    yield committer
    store.gate.set()
    committer.close()


def commit_together(store: GatedStore, committer: Committer, units: Sequence[Unit]) -> list[bool]:
    """Commit one unit, and all the others while it is under way."""
    with ThreadPoolExecutor(len(units) + 1) as pool:
        first = pool.submit(committer.commit, new("first"))
        assert store.entered.wait(10)
        futures = [pool.submit(committer.commit, unit) for unit in units]
        wait_until(lambda: len(committer._waiting) == len(units), 10, "the units to queue")
        store.gate.set()
        assert first.result(10)
        return [bool(future.result(10)) for future in futures]


def test_units_that_queue_share_a_transaction(store: GatedStore, committer: Committer) -> None:
    shared = Exists("first")
    units = [Unit((shared, Absent(f"k{n}")), (Put(f"k{n}", b"1"),)) for n in range(100)]
    assert commit_together(store, committer, units) == [True] * 100
    assert store.sizes == [1, 100]


def test_a_transaction_is_never_too_large(store: GatedStore, committer: Committer) -> None:
    units = [new(f"k{n}", Put(f"l{n}", b"1")) for n in range(MAX_TXN_OPS)]
    assert all(commit_together(store, committer, units))
    assert store.sizes == [1, MAX_TXN_OPS, MAX_TXN_OPS]


def test_only_losers_lose(store: GatedStore, committer: Committer) -> None:
    store.inner.txn([], [Put("k3", b"0"), Put("k5", b"0")])
    won = commit_together(store, committer, [new(f"k{n}") for n in range(8)])
    assert won.count(False) == 2
    assert [item.key for item in store.inner.range("k").items] == [f"k{n}" for n in range(8)]
    assert [store.inner.get(key).value for key in ("k3", "k5")] == [b"0", b"0"]
    assert store.sizes == [1, 8, 6], "the others were tried together"


def test_who_loses_by_a_prefix_takes_nobody_along(store: GatedStore, committer: Committer) -> None:
    store.inner.txn([], [Put("p/1", b"0")])
    units = [new("k0"), new("k1"), Unit((PrefixEmpty("p/"),), (Put("q", b"1"),)), new("k2")]
    assert commit_together(store, committer, units) == [True, True, False, True]


def test_of_two_units_that_want_the_same_key_one_wins(store: GatedStore, committer: Committer) -> None:
    assert sorted(commit_together(store, committer, [new("k"), new("k")])) == [False, True]
    assert store.sizes == [1, 1, 1]


@pytest.mark.parametrize("fault", [LOST_AFTER, LOST_BEFORE, LATE])
def test_a_lost_answer_is_no_answer(store: GatedStore, committer: Committer, fault: str) -> None:
    store.meets.extend([None, fault])
    assert commit_together(store, committer, [new(f"k{n}") for n in range(4)]) == [True] * 4
    assert len(store.inner.range("k").items) == 4


def test_a_loser_is_told_so_though_an_answer_was_lost(store: GatedStore, committer: Committer) -> None:
    store.inner.txn([], [Put("k1", b"0")])
    store.meets.extend([None, LOST_AFTER])
    assert sorted(commit_together(store, committer, [new("k0"), new("k1")])) == [False, True]


def test_after_the_last_try_the_outcome_is_unknown(store: GatedStore, committer: Committer) -> None:
    store.gate.set()
    store.meets.extend([LATE, LATE, LATE])
    with pytest.raises(Unavailable) as raised:
        committer.commit(new("k"))
    assert raised.value.outcome_unknown


def test_a_store_that_refuses_is_not_asked_again(store: GatedStore, committer: Committer) -> None:
    store.gate.set()
    store.meets.append(REFUSED)
    with pytest.raises(Unavailable) as raised:
        committer.commit(new("k"))
    assert not raised.value.outcome_unknown
    assert store.sizes == [1]
    assert committer.commit(new("k"))


def test_a_bad_unit_does_not_take_others_along(store: GatedStore, committer: Committer) -> None:
    expired = Unit((Absent("k0"),), (Put("k0", b"1", lease_id=99),))
    twice = Unit((Absent("k1"),), (Put("k1", b"1"), Put("k1", b"2")))
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(committer.commit, new("first"))
        assert store.entered.wait(10)
        futures = [pool.submit(committer.commit, unit) for unit in (expired, twice, new("k2"), new("k3"))]
        wait_until(lambda: len(committer._waiting) == 4, 10, "the units to queue")
        store.gate.set()
        assert first.result(10)
        assert isinstance(futures[0].exception(10), LeaseExpired)
        assert isinstance(futures[1].exception(10), Invalid)
        assert futures[2].result(10)
        assert futures[3].result(10)


def test_closing_commits_what_is_queued_and_refuses_the_rest(store: GatedStore, committer: Committer) -> None:
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(committer.commit, new("k0"))
        assert store.entered.wait(10)
        second = pool.submit(committer.commit, new("k1"))
        wait_until(lambda: committer._waiting, 10, "the unit to queue")
        closing = pool.submit(committer.close)
        store.gate.set()
        closing.result(10)
        assert first.result(10)
        assert second.result(10)
    with pytest.raises(Unavailable, match="stopping"):
        committer.commit(new("k2"))


def test_what_waited_for_too_long_is_not_tried(store: GatedStore) -> None:
    now = 0.0
    committer = Committer(store, monotonic=lambda: now)
    try:
        first = committer.submit(new("first"))
        assert store.entered.wait(10)
        late = committer.submit(new("late"))
        now = PATIENCE_S - 1
        fresh = committer.submit(new("fresh"))
        now = PATIENCE_S + 1
        store.gate.set()
        assert first.result(10)
        with pytest.raises(Unavailable) as refused:
            late.result(10)
        assert not refused.value.outcome_unknown
        assert fresh.result(10)
    finally:
        store.gate.set()
        committer.close()
    assert store.inner.get("late") is None
    assert store.sizes == [1, 1]


def test_what_may_be_applied_already_is_seen_to_the_end(store: GatedStore) -> None:
    committer = Committer(store, pauses_s=(0, 0, 0), monotonic=lambda: 2 * PATIENCE_S if store.sizes else 0.0)
    store.inner.txn([], [Put("taken", b"0")])
    store.meets.append(LOST_AFTER)
    store.gate.set()
    try:
        free, taken = committer.submit_all([new("free"), new("taken")])
        assert free.result(10)
        assert not taken.result(10)
    finally:
        committer.close()


@pytest.mark.parametrize(
    ("unit", "other", "together"),
    [
        (new("a"), new("b"), True),
        (new("a"), new("a"), False),
        (new("a"), Unit((Unchanged("a", 1),), (Put("b", b""),)), False),
        (Unit((Unchanged("a", 1),), (Put("b", b""),)), new("a"), False),
        (Unit((Exists("x"),), (Put("a", b""),)), Unit((Exists("x"),), (Put("b", b""),)), True),
        (Unit((PrefixEmpty("p/"),), (Put("a", b""),)), new("p/1"), False),
        (new("p/1"), Unit((PrefixUnwritten("p/", 1),), (Put("a", b""),)), False),
        (new("p/1"), Unit((Exists("x"),), (DeletePrefix("p/"),)), False),
        (Unit((PrefixEmpty("p/"),), (Put("a", b""),)), new("q/1"), True),
        (Unit((PrefixEmpty("p/"),), (Put("p/1", b""),)), Unit((Exists("x"),), (Put("b", b""),)), True),
    ],
)
def test_units_that_meet_never_share_a_transaction(unit: Unit, other: Unit, together: bool) -> None:
    batch = Batch()
    assert batch.add(unit)
    assert batch.add(other) is together


def test_a_batch_leaves_room_for_what_recalls_it_and_for_sums() -> None:
    def unit(*names: str, charge: Charge | None = None) -> Unit:
        return Unit(tuple(map(Absent, names)), (Put(names[-1], b""),), charge)

    batch = Batch()
    assert batch.add(unit(*(f"k{number}" for number in range(MAX_TXN_OPS - 2))))
    assert batch.has_room(unit("a"))
    assert batch.has_room(unit("k0", "a")), "what is shared is compared once"
    assert not batch.has_room(unit("a", "b"))
    assert not batch.has_room(unit("a", charge=Charge("blue", 1, 0)))


@pytest.mark.parametrize(("doubted_from", "written"), [(1, False), (2, True)])
def test_a_store_that_is_doubted_is_not_written_and_its_answer_is_none(
    doubted_from: int, written: bool
) -> None:
    """Asked before a transaction and after it."""
    store, asked = MemoryStore(), count(1)

    def guard() -> None:
        if next(asked) >= doubted_from:
            raise Restored("it is another one")

    committer = Committer(store, guard=guard, pauses_s=(0, 0, 0))
    with pytest.raises(Restored):
        committer.commit(new("a"))
    assert (store.get("a") is not None) is written
    committer.close()


def test_on_stacks_of_a_loop_it_commits_in_the_thread_of_the_loop(stacks: Stacks, begin: Begin) -> None:
    """What is queued before the loop goes on shares the transaction."""
    store, runner = Named(MemoryStore()), Runner()
    runner.bind(stacks)
    committer = Committer(store, runner=runner, pauses_s=(0, 0.05, 0))
    store.meets.append(LOST_BEFORE)

    def both() -> list[int]:
        return [wait(each) for each in (committer.submit(new("a")), committer.submit(new("b")))]

    revisions = begin(both).result(10)
    committer.close()
    assert revisions[0] == revisions[1] > 0
    assert store.threads == {begin(threading.get_ident).result(10)}


class Sized(FlakyStore):
    """Tells how many operations each transaction has."""

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__(inner)
        self.sizes: list[int] = []

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        self.sizes.append(len(ops))
        return super().txn(compares, ops)


@pytest.mark.parametrize(
    ("first", "sizes"),
    [
        pytest.param(1, [2, 1], id="who is on the way is waited for, who comes later is not"),
        pytest.param(MAX_TXN_OPS // 2 + 1, [MAX_TXN_OPS // 2 + 1, 1, 1], id="many wait for nobody"),
    ],
)
def test_requests_that_are_on_their_way_go_along(stacks: Stacks, first: int, sizes: list[int]) -> None:
    store = Sized(MemoryStore())
    runner = Runner()
    runner.bind(stacks)
    committer = Committer(store, runner=runner)
    done: dict[str, int] = {}

    def commit(name: str, turns: int, more: int = 0) -> None:
        for _ in range(turns):
            give_way()
        done[name] = committer.commit(new(name, *(Put(f"{name}{number}", b"1") for number in range(more))))

    def start() -> None:
        stacks.run(lambda: commit("first", 0, first - 1))
        stacks.run(lambda: commit("soon", TURNS))
        stacks.run(lambda: commit("late", TURNS * 4))

    stacks.loop.call_soon_threadsafe(start)
    wait_until(lambda: len(done) == 3, 10, "all three are committed")
    committer.close()
    assert all(done.values())
    assert store.sizes == sizes


def test_who_cannot_go_along_is_not_waited_for(stacks: Stacks) -> None:
    """Units that want the same key come one after the other; the first is sent as if they did not."""
    turns, sent = 0, threading.Event()

    class Told(FlakyStore):
        def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
            sent.set()
            return super().txn(compares, ops)

    runner = Runner()
    runner.bind(stacks)
    committer = Committer(Told(MemoryStore()), runner=runner)

    def keep_coming() -> None:
        nonlocal turns
        while not sent.is_set() and turns < 100:
            committer.submit(new("same"))
            give_way()
            turns += 1

    stacks.begin(keep_coming)
    assert sent.wait(10)
    committer.close()
    assert turns <= TURNS + 2
