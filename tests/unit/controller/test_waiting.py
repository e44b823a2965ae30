"""Requests that wait without a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from controller.turn import Turn
from controller.waiting import Stacks, aside, complete, wait

SOON_S = 20
NAME: ContextVar[int] = ContextVar("NAME")

Begin = Callable[[Callable[[], Any]], "Future[Any]"]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begins calls on stacks of an event loop in a thread of its own; each gives a future."""
    loop = asyncio.new_event_loop()
    threads = ThreadPoolExecutor(4)
    stacks = Stacks(loop, threads)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(call: Callable[[], Any]) -> Future[Any]:
        done: Future[Any] = Future()

        def settle() -> None:
            try:
                done.set_result(call())
            except (LookupError, TimeoutError) as fault:
                done.set_exception(fault)

        loop.call_soon_threadsafe(stacks.run, settle)
        return done

    yield run
    loop.call_soon_threadsafe(loop.stop)
    thread.join(SOON_S)
    threads.shutdown()
    loop.close()


def test_many_wait_in_one_thread_each_with_variables_of_its_own(begin: Begin) -> None:
    futures: list[Future[int]] = [Future() for _ in range(200)]

    def call(number: int) -> tuple[int, int, int]:
        NAME.set(number)
        answer = wait(futures[number])
        return answer, NAME.get(), threading.get_ident()

    calls = [begin(lambda number=number: call(number)) for number in range(200)]  # type: ignore[misc]
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

    calls = [begin(lambda number=number: take(number)) for number in range(3)]  # type: ignore[misc]
    assert begin(lambda: 1).result(SOON_S) == 1
    assert order == [0]
    gate.set_result(None)
    for call in calls:
        call.result(SOON_S)
    assert sorted(order) == [0, 1, 2]
