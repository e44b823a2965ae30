"""A promise: its result is there for each who waits, whenever he comes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from controller.promise import Promise


def test_a_result_that_is_there() -> None:
    promise: Promise[int] = Promise()
    assert not promise.done()
    promise.set_result(7)
    assert promise.done()
    assert (promise.result(), promise.result(0), promise.exception()) == (7, 7, None)


def test_a_fault_is_raised_each_time() -> None:
    promise: Promise[int] = Promise()
    promise.set_exception(ValueError("no"))
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            promise.result(0)
    assert isinstance(promise.exception(), ValueError)


def test_who_does_not_want_to_wait_any_longer_is_told() -> None:
    promise: Promise[int] = Promise()
    with pytest.raises(TimeoutError):
        promise.result(0)
    promise.set_result(1)
    assert promise.result(0) == 1


def test_each_call_is_made_once_whoever_comes_first() -> None:
    """Many threads add calls while another one settles."""
    for _ in range(200):
        promise: Promise[int] = Promise()
        made: list[int] = []
        start = threading.Barrier(5)

        def add(number: int, promise: Promise[int] = promise, made: list[int] = made) -> None:
            start.wait()  # noqa: B023 - of this round
            promise.add_done_callback(lambda _: made.append(number))

        def settle(promise: Promise[int] = promise) -> None:
            start.wait()  # noqa: B023 - of this round
            promise.set_result(1)

        with ThreadPoolExecutor(5) as threads:
            done = [threads.submit(add, number) for number in range(4)] + [threads.submit(settle)]
            for each in done:
                each.result(10)
        assert sorted(made) == [0, 1, 2, 3]


def test_threads_that_wait_are_woken() -> None:
    promise: Promise[str] = Promise()
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(promise.result, 10) for _ in range(3)]
        promise.set_result("x")
        assert [each.result(10) for each in waiting] == ["x"] * 3
