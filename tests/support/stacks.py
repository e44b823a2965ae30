"""A fixture: calls on stacks of an event loop, as the server makes them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from controller.waiting import Stacks

SOON_S = 20

Begin = Callable[[Callable[[], Any]], "Future[Any]"]


@pytest.fixture
def stacks() -> Iterator[Stacks]:
    """Those of a loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    threads = ThreadPoolExecutor(4)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield Stacks(loop, threads)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(SOON_S)
    threads.shutdown()
    loop.close()


@pytest.fixture
def begin(stacks: Stacks) -> Begin:
    """Begins a call on a stack; gives its future."""

    def run(call: Callable[[], Any]) -> Future[Any]:
        done: Future[Any] = Future()

        def settle() -> None:
            try:
                done.set_result(call())
            except Exception as fault:  # noqa: BLE001 raised where the test asks for the result
                done.set_exception(fault)

        stacks.begin(settle)
        return done

    return run
