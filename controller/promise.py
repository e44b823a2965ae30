"""A result that comes later: set once by one thread, waited for by few.

What `concurrent.futures.Future` is, without the lock and the condition that make up most of its cost; a batch
has a thousand of them, most of which nobody waits for, since they come with the one before. What keeps it
whole is that a list's `append` and `pop` are atomic: of those that call what is to be called, one gets it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Promise(Generic[T]):
    """A result or an exception, once it is there."""

    __slots__ = ("_calls", "_done", "_fault", "_result")

    def __init__(self) -> None:
        self._result: Any = None
        self._fault: Exception | None = None
        self._done = False
        self._calls: list[Callable[[Promise[T]], object]] = []

    def set_result(self, result: T) -> None:
        """This is it. Once."""
        self._result = result
        self._settle()

    def set_exception(self, fault: Exception) -> None:
        """There is none, for this reason. Once."""
        self._fault = fault
        self._settle()

    def done(self) -> bool:
        """Whether it is there."""
        return self._done

    def exception(self) -> Exception | None:
        """Why there is no result; None while it is not known."""
        return self._fault

    def result(self, timeout_s: float | None = None) -> T:
        """The result, or its exception raised. Blocking; `TimeoutError` when it takes too long."""
        if not self._done:
            event = threading.Event()
            self.add_done_callback(lambda _: event.set())
            if not event.wait(timeout_s):
                raise TimeoutError
        if self._fault is not None:
            raise self._fault
        result: T = self._result
        return result

    def add_done_callback(self, call: Callable[[Promise[T]], object]) -> None:
        """Call when it is there: at once, or in the thread that sets it."""
        self._calls.append(call)
        if self._done:
            self._call()

    def _settle(self) -> None:
        self._done = True  # before the calls: whoever adds one from here on calls it himself
        self._call()

    def _call(self) -> None:
        while self._calls:
            try:
                call = self._calls.pop()
            except IndexError:  # another thread was quicker
                return
            call(self)
