"""Reads that are made at the same moment go to the store in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

import pytest

from controller.gathering import PATIENCE_S, Gathering
from controller.waiting import Runner, Stacks, wait
from store.client import MAX_TXN_OPS, KeyValue, Put
from store.errors import Unavailable
from store.memory import MemoryStore

if TYPE_CHECKING:
    from tests.support.stacks import Begin

pytest_plugins = ["tests.support.stacks"]

SOON_S = 20


class Slow(MemoryStore):
    """Each read of many keys waits until it may end, or fails with what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, ...]] = []
        self.ends: list[Future[Exception | None]] = []
        self.began: list[Future[None]] = [Future() for _ in range(8)]

    def get_many(self, keys: Sequence[str]) -> Mapping[str, KeyValue]:
        self.calls.append(tuple(keys))
        end: Future[Exception | None] = Future()
        self.ends.append(end)
        self.began[len(self.calls) - 1].set_result(None)
        if (fault := wait(end)) is not None:
            raise fault
        return super().get_many(keys)

    def end(self, call: int, fault: Exception | None = None) -> None:
        """Let a call end that may not have begun yet."""
        self.began[call].result(SOON_S)
        self.ends[call].set_result(fault)


class Bench:
    """A store, and reads of it on stacks."""

    def __init__(self, stacks: Stacks, begin: Begin) -> None:
        self.store, self.now = Slow(), 100.0
        self.store.txn([], [Put(f"/{name}", name.encode()) for name in "abc"])
        runner = Runner()
        runner.bind(stacks)
        self.gathering = Gathering(self.store, runner, lambda: self.now)
        self._begin = begin

    def get(self, key: str) -> Future[KeyValue | None]:
        return self._begin(lambda: self.gathering.get(key))

    def get_many(self, *keys: str) -> Future[Mapping[str, KeyValue]]:
        return self._begin(lambda: self.gathering.get_many(keys))

    def settle(self) -> None:
        """What was begun before has come to where it waits."""
        self._begin(lambda: None).result(SOON_S)


@pytest.fixture
def bench(stacks: Stacks, begin: Begin) -> Bench:
    return Bench(stacks, begin)


def value(item: KeyValue | None) -> bytes | None:
    return None if item is None else item.value


def test_reads_that_come_while_one_is_under_way_share_the_next(bench: Bench) -> None:
    first = bench.get("/a")
    bench.store.began[0].result(SOON_S)
    second, third, absent = bench.get("/b"), bench.get_many("/c", "/a", "/none"), bench.get("/none")
    bench.settle()
    bench.store.end(0)
    bench.store.end(1)
    assert value(first.result(SOON_S)) == b"a"
    assert value(second.result(SOON_S)) == b"b"
    assert {key: item.value for key, item in third.result(SOON_S).items()} == {"/c": b"c", "/a": b"a"}
    assert absent.result(SOON_S) is None
    # What was asked for again is read again: the first read had begun before that.
    assert bench.store.calls == [("/a",), ("/b", "/c", "/a", "/none")]


def test_what_does_not_fit_into_one_request_goes_into_the_next(bench: Bench) -> None:
    first = bench.get("/a")
    bench.store.began[0].result(SOON_S)
    wide = [f"/wide/{number}" for number in range(MAX_TXN_OPS - 1)]
    others = [bench.get_many(*wide), bench.get("/b"), bench.get("/c")]
    bench.settle()
    for call in range(3):
        bench.store.end(call)
    for each in (first, *others):
        each.result(SOON_S)
    assert [len(call) for call in bench.store.calls] == [1, MAX_TXN_OPS, 1]


def test_one_larger_than_a_request_and_one_of_nothing_wait_for_nobody(bench: Bench) -> None:
    bench.get("/a")
    bench.store.began[0].result(SOON_S)
    large = bench.get_many(*[f"/wide/{number}" for number in range(MAX_TXN_OPS + 1)])
    bench.store.end(1)
    nothing = bench.get_many()
    bench.store.end(2)
    assert large.result(SOON_S) == nothing.result(SOON_S) == {}
    bench.store.end(0)


def test_a_fault_is_everybodys_who_was_in_it_and_nobody_elses(bench: Bench) -> None:
    first = bench.get("/a")
    bench.store.began[0].result(SOON_S)
    second, third = bench.get("/b"), bench.get("/c")
    bench.settle()
    bench.store.end(0)
    bench.store.end(1, Unavailable("no leader"))
    assert value(first.result(SOON_S)) == b"a"
    for each in (second, third):
        with pytest.raises(Unavailable, match="no leader"):
            each.result(SOON_S)
    again = bench.get("/b")
    bench.store.end(2)
    assert value(again.result(SOON_S)) == b"b"


def test_what_has_waited_for_too_long_is_not_read(bench: Bench) -> None:
    first = bench.get("/a")
    bench.store.began[0].result(SOON_S)
    old = bench.get("/b")
    bench.settle()
    bench.now += PATIENCE_S + 1
    young = bench.get("/c")
    bench.settle()
    bench.store.end(0)
    bench.store.end(1)
    assert value(first.result(SOON_S)) == b"a"
    assert value(young.result(SOON_S)) == b"c"
    with pytest.raises(Unavailable, match="waited"):
        old.result(SOON_S)
    assert bench.store.calls == [("/a",), ("/c",)]


def test_a_thread_reads_for_itself(bench: Bench) -> None:
    assert value(bench.gathering.get("/a")) == b"a"
    assert bench.store.calls == []
