"""Requests that wait without a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING

import pytest

from controller.turn import Turn
from controller.waiting import Runner, Stacks, aside, complete, give_way, pause, rpc, wait

if TYPE_CHECKING:
    from tests.support.stacks import Begin

pytest_plugins = ["tests.support.stacks"]

SOON_S = 20

NAME: ContextVar[int] = ContextVar("NAME")


def test_many_wait_in_one_thread_each_with_variables_of_its_own(begin: Begin) -> None:
    futures: list[Future[int]] = [Future() for _ in range(200)]

    def call(number: int) -> tuple[int, int, int]:
        NAME.set(number)
        answer = wait(futures[number])
        return answer, NAME.get(), threading.get_ident()

    calls = [begin(lambda number=number: call(number)) for number in range(200)]
    assert not any(each.done() for each in calls)
    for number in reversed(range(200)):
        futures[number].set_result(number * 2)
    answers = [each.result(SOON_S) for each in calls]
    assert [(answer, name) for answer, name, _ in answers] == [(number * 2, number) for number in range(200)]
    assert len({thread for _, _, thread in answers}) == 1


def test_a_wait_ends_in_time_and_others_go_on_meanwhile(begin: Begin) -> None:
    never: Future[int] = Future()
    late = begin(lambda: wait(never, 0.05))
    assert begin(lambda: 1).result(SOON_S) == 1
    with pytest.raises(TimeoutError):
        late.result(SOON_S)
    never.set_result(1)
    assert begin(lambda: wait(never, 0.05)).result(SOON_S) == 1


def test_an_answer_in_time_is_given_once(begin: Begin) -> None:
    future: Future[int] = Future()
    waits = begin(lambda: (wait(future, 0.2), wait(Future(), 0.4)))
    begin(lambda: future.set_result(7))
    with pytest.raises(TimeoutError):
        waits.result(SOON_S)


def test_a_call_that_blocks_is_made_in_another_thread(begin: Begin) -> None:
    here, there = begin(lambda: (threading.get_ident(), aside(threading.get_ident))).result(SOON_S)
    assert here != there
    assert aside(threading.get_ident) == threading.get_ident()


def test_what_was_raised_elsewhere_is_raised_here(begin: Begin) -> None:
    def fail() -> None:
        raise LookupError("x")

    async def fail_later() -> None:
        fail()

    for call in (lambda: aside(fail), lambda: complete(fail_later())):
        with pytest.raises(LookupError):
            begin(call).result(SOON_S)


def test_a_turn_that_another_stack_has_is_waited_for_without_stopping_the_loop(begin: Begin) -> None:
    turn, gate = Turn(SOON_S), Future[None]()
    order: list[int] = []

    def take(number: int) -> None:
        with turn:
            order.append(number)
            wait(gate)

    calls = [begin(lambda number=number: take(number)) for number in range(3)]
    assert begin(lambda: 1).result(SOON_S) == 1
    assert order == [0]
    gate.set_result(None)
    for call in calls:
        call.result(SOON_S)
    assert sorted(order) == [0, 1, 2]


class Method:
    """What a gRPC method is: called it blocks, by `future` it does not."""

    def __init__(self) -> None:
        self.answer: Future[str] = Future()

    def __call__(self, request: str, *, timeout: float) -> str:
        return f"{request} after {timeout:g}"

    def future(self, request: str, *, timeout: float) -> Future[str]:
        assert (request, timeout) == ("asked", 3)
        return self.answer


def test_a_call_of_grpc_keeps_nobody_but_its_stack(begin: Begin) -> None:
    method = Method()
    asking = begin(lambda: rpc(method, ["asked"], timeout=3))
    assert begin(lambda: 1).result(SOON_S) == 1
    assert not asking.done()
    method.answer.set_result("said")
    assert asking.result(SOON_S) == ["said"]
    assert rpc(method, ["asked"], timeout=3) == ["asked after 3"]


@pytest.mark.parametrize("on_a_stack", [True, False])
def test_several_calls_of_grpc_are_under_way_at_a_time(begin: Begin, on_a_stack: bool) -> None:
    method, asked = Method(), threading.Semaphore(0)
    future = method.future

    def begun(request: str, *, timeout: float) -> Future[str]:
        asked.release()
        return future(request, timeout=timeout)

    method.future = begun
    with ThreadPoolExecutor(1) as threads:
        call = partial(rpc, method, ["asked"] * 3, timeout=3)
        asking = begin(call) if on_a_stack else threads.submit(call)
        assert all(asked.acquire(timeout=SOON_S) for _ in range(3))
        assert not asking.done()
        method.answer.set_result("said")
        assert asking.result(SOON_S) == ["said"] * 3


def test_a_pause_keeps_nobody_but_its_stack(begin: Begin) -> None:
    order: list[str] = []
    paused = begin(lambda: (pause(0.2), order.append("paused")))
    begin(lambda: order.append("other")).result(SOON_S)
    paused.result(SOON_S)
    assert order == ["other", "paused"]


def test_who_gives_way_goes_on_after_all_that_wait_for_the_loop(stacks: Stacks, begin: Begin) -> None:
    order: list[str] = []

    def long() -> None:
        for piece in ("first", "second"):
            order.append(piece)
            stacks.loop.call_soon(order.append, f"others after the {piece}")
            give_way()
        order.append("last")

    begin(long).result(SOON_S)
    assert order == ["first", "others after the first", "second", "others after the second", "last"]


def test_the_loop_looks_at_its_sockets_while_stacks_give_way(stacks: Stacks, begin: Begin) -> None:
    here, there = socket.socketpair()
    heard = threading.Event()
    stacks.loop.call_soon_threadsafe(stacks.loop.add_reader, here, heard.set)

    def busy() -> bool:
        there.send(b"x")
        until = time.monotonic() + SOON_S
        while not heard.is_set() and time.monotonic() < until:
            give_way()
        stacks.loop.remove_reader(here)
        return heard.is_set()

    with here, there:
        assert begin(busy).result(2 * SOON_S)


def test_work_is_done_in_threads_until_there_is_a_loop_and_when_it_is_closed(stacks: Stacks) -> None:
    runner, names = Runner(), [Future[str]() for _ in range(3)]

    def work(number: int) -> None:
        names[number].set_result(threading.current_thread().name)

    runner.begin(lambda: work(0))
    runner.bind(stacks)
    runner.begin(lambda: work(1))
    in_thread, in_loop = names[0].result(SOON_S), names[1].result(SOON_S)
    closed = asyncio.new_event_loop()
    closed.close()
    runner.bind(Stacks(closed, stacks.threads))
    runner.begin(lambda: work(2))
    assert in_thread == "work"
    assert in_loop != "work"
    assert names[2].result(SOON_S) == "work"


@pytest.mark.parametrize("bound", [False, True])
def test_work_that_fails_ends_as_a_thread_would(
    bound: bool, stacks: Stacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes: Future[threading.ExceptHookArgs] = Future()
    monkeypatch.setattr(threading, "excepthook", crashes.set_result)
    runner = Runner()
    if bound:
        runner.bind(stacks)
    runner.begin(lambda: {}["no such thing"])
    crash = crashes.result(SOON_S)
    assert (crash.exc_type, str(crash.exc_value)) == (KeyError, "'no such thing'")
    assert crash.thread is not None


def test_work_has_no_variables_of_the_request_that_began_it(stacks: Stacks, begin: Begin) -> None:
    runner, seen = Runner(), Future[int]()
    runner.bind(stacks)

    def ask() -> None:
        NAME.set(7)
        runner.begin(lambda: seen.set_result(NAME.get(0)))

    begin(ask).result(SOON_S)
    assert seen.result(SOON_S) == 0
