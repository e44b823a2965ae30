"""Waiting that costs no thread: a request that waits lends its thread to the next one.

Handlers are plain functions that block. Many threads that block in turn spend most of their time waking
each other up, since each wake-up hands Python's lock on; and a watch would keep a thread for hours. So
short requests, watches and the committers run in the one thread of the server's event loop, each on a stack
of its own (a greenlet). Where one of them has to wait, its stack is put aside, and the loop goes on with it
when what it waits for is there. In any other thread the same functions just wait.

Whatever may block on such a stack has to wait here: the store (by `rpc` and `pause`), the committer,
`Turn`, and watches. A lock that is held while the holder waits would stop the loop for good; so would one
that a thread holds while it waits for a committer, if a stack takes it too.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

from controller.promise import Promise

T = TypeVar("T")

IDLE = 128
"""Stacks that are kept for calls to come."""


class Stacks:
    """The stacks of one event loop. `run` and what runs in it belong to the loop's thread.

    Args:
        loop: the event loop.
        threads: makes the calls that can only block.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: Executor) -> None:
        self.loop = loop
        self.threads = threads
        self._due: deque[_Stack] = deque()
        self._called = False
        self._idle: list[_Stack] = []

    def run(self, call: Callable[[], None]) -> asyncio.Future[None] | None:
        """Begin a call on a stack of its own; returns when it has ended, or waits for the first time.

        Returns:
            None when it has ended, else what is done when it has.
        """
        stack = self._idle.pop() if self._idle else _Stack(self)
        stack.call = call
        stack.gr_context = contextvars.copy_context()
        stack.switch()
        if stack.is_over:
            self._park(stack)
            return None
        stack.ended = self.loop.create_future()
        return stack.ended

    def begin(self, call: Callable[[], None]) -> None:
        """Run a call soon, without the variables of the caller. From any thread.

        `RuntimeError`: the loop was closed.
        """
        contextvars.Context().run(self._soon, self.run, call)

    def wake(self, stack: _Stack) -> None:
        """Go on with a stack that was put aside. From any thread: all that are due share one wake-up."""
        self._due.append(stack)
        if not self._called:
            self._called = True
            with suppress(RuntimeError):  # the loop was closed: nobody goes on
                self._soon(self._resume)

    def _soon(self, call: Callable[..., object], *arguments: object) -> None:
        here = isinstance(getcurrent(), _Stack)  # and so in the loop's thread, which need not be woken
        (self.loop.call_soon if here else self.loop.call_soon_threadsafe)(call, *arguments)

    def _resume(self) -> None:
        self._called = False  # first: what comes later is called for again
        for _ in range(len(self._due)):  # and the loop looks at its sockets in between
            stack = self._due.popleft()
            try:
                stack.switch()
            finally:
                if stack.is_over:
                    self._park(stack)
                    if stack.ended is not None and not stack.ended.done():
                        stack.ended.set_result(None)

    def _park(self, stack: _Stack) -> None:
        if not stack.dead and len(self._idle) < IDLE:
            self._idle.append(stack)


class _Stack(greenlet):  # type: ignore[misc]
    """Runs one call after the other: a new stack for each costs more than a short request."""

    def __init__(self, stacks: Stacks) -> None:
        super().__init__()
        self.stacks = stacks
        self.call: Callable[[], None] | None = None
        self.ended: asyncio.Future[None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self.call is None

    def run(self) -> None:
        """What the greenlet does, as long as it is there."""
        while self.call is not None:
            try:
                self.call()
            finally:
                self.call = None
            self.parent.switch()


class Runner:
    """Where work is done that is nobody's request: on stacks of the loop, or in threads if there is none."""

    def __init__(self) -> None:
        self._stacks: Stacks | None = None

    def bind(self, stacks: Stacks) -> None:
        """From now on it is done on these, until their loop is closed."""
        self._stacks = stacks

    def begin(self, work: Callable[[], None]) -> None:
        """Begin it, and do not wait for it. From any thread."""
        if self._stacks is not None:
            with suppress(RuntimeError):
                self._stacks.begin(lambda: _as_a_thread(work))
                return
        threading.Thread(target=work, name="work", daemon=True).start()


def wait(future: Future[T] | Promise[T], timeout_s: float | None = None) -> T:
    """The result of a future. Blocking for the caller, and for nobody else in the thread of a loop.

    Raises:
        TimeoutError: there was none in time; the future is as good as before.
    """
    here: Any = getcurrent()
    if not isinstance(here, _Stack) or future.done():
        return future.result(timeout_s)
    if timeout_s is None:
        future.add_done_callback(lambda _: here.stacks.wake(here))
        here.parent.switch()
        return future.result()
    # Of the two that wake this stack only the first may.
    first: Future[None] = Future()
    first.add_done_callback(lambda _: here.stacks.wake(here))
    timer = here.stacks.loop.call_later(timeout_s, _settle, first)
    future.add_done_callback(lambda _: _settle(first))
    here.parent.switch()
    timer.cancel()
    return future.result(0)


def pause(seconds: float) -> None:
    """Let some time pass. Blocking for the caller, and for nobody else in the thread of a loop."""
    if seconds <= 0:
        return
    if not isinstance(getcurrent(), _Stack):
        time.sleep(seconds)
        return
    with suppress(TimeoutError):
        wait(Future[None](), seconds)


def in_loop() -> bool:
    """Whether the caller is on a stack of the loop."""
    return isinstance(getcurrent(), _Stack)


def give_way() -> None:
    """Let whoever waits for the loop go first. In a thread of its own, nothing: those take turns."""
    here: Any = getcurrent()
    if isinstance(here, _Stack):
        here.stacks.wake(here)
        here.parent.switch()


def rpc(method: Any, requests: Sequence[Any], **options: Any) -> list[Any]:
    """What a method of a gRPC channel answers to each of these, or raises for one of them.

    All are under way at a time. On a stack of the loop their futures are awaited.
    """
    if len(requests) == 1 and not isinstance(getcurrent(), _Stack):
        return [method(requests[0], **options)]
    return [wait(each) for each in [method.future(request, **options) for request in requests]]


def aside(call: Callable[..., T], *arguments: Any) -> T:
    """What a blocking call returns or raises; for a request of the loop it is made in another thread."""
    here: Any = getcurrent()
    if not isinstance(here, _Stack):
        return call(*arguments)
    return wait(here.stacks.threads.submit(call, *arguments))


def complete(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns or raises. Only for a request of the loop."""
    here: Any = getcurrent()
    done: Future[T] = Future()
    task = here.stacks.loop.create_task(work)
    task.add_done_callback(lambda ended: _pass_on(ended, done))
    return wait(done)


def _as_a_thread(work: Callable[[], None]) -> None:
    """What it raises is what a thread has ended by: the program decides what becomes of that."""
    try:
        work()
    except Exception as fault:  # noqa: BLE001
        crash = (type(fault), fault, fault.__traceback__, threading.current_thread())
        threading.excepthook(threading.ExceptHookArgs(crash))


def _pass_on(task: asyncio.Task[T], done: Future[T]) -> None:
    if (fault := task.exception()) is not None:
        done.set_exception(fault)
    else:
        done.set_result(task.result())


def _settle(future: Future[None]) -> None:
    with suppress(InvalidStateError):
        future.set_result(None)
