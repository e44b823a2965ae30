"""The loop: many marks are one pass, the resync period forgets, a pass may ask to come again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from agents.loop import Loop

PAUSE_S = 0.05


class Passes:
    """Counts passes and ends the loop after so many."""

    def __init__(self, last: int) -> None:
        self.count = 0
        self.resyncs = 0
        self.now = 0.0
        self.last = last
        self.during: Callable[[], None] = lambda: None
        self.pause: float | None = None
        self.loop = Loop(self.step, self.resync, resync_s=30, clock=lambda: self.now)

    def step(self) -> float | None:
        self.count += 1
        self.during()
        if self.count >= self.last:
            self.loop.stop()
        return self.pause

    def resync(self) -> None:
        self.resyncs += 1


def test_the_first_pass_needs_no_event() -> None:
    passes = Passes(last=1)
    passes.loop.run()
    assert (passes.count, passes.resyncs) == (1, 0)


def test_marks_during_a_pass_are_one_more_pass() -> None:
    """The third comes after the pause that the second asks for."""
    passes, began = Passes(last=3), list[float]()

    def during() -> None:
        began.append(time.monotonic())
        if passes.count == 1:
            for _ in range(5):
                passes.loop.mark()
        else:
            passes.pause = PAUSE_S

    passes.during = during
    passes.loop = Loop(passes.step, passes.resync)
    passes.loop.run()
    assert began[2] - began[1] >= PAUSE_S


@pytest.mark.parametrize(("ask", "more"), [(Loop.mark, 1), (Loop.mark_resync, 1), (Loop.stop, 0)])
def test_another_thread_wakes_it(ask: Callable[[Loop], None], more: int) -> None:
    passes, waits = Passes(last=2), threading.Event()

    def clock() -> float:
        if passes.count == 1:  # the lock is held from here until it waits
            waits.set()
        return 0.0

    passes.loop = Loop(passes.step, passes.resync, clock=clock)
    thread = threading.Thread(target=passes.loop.run, daemon=True)
    thread.start()
    assert waits.wait(5)
    ask(passes.loop)
    thread.join(5)
    assert (thread.is_alive(), passes.count) == (False, 1 + more)


def test_the_resync_period_forgets() -> None:
    passes = Passes(last=2)

    def later() -> None:
        passes.now += 31

    passes.during = later
    passes.loop.run()
    assert (passes.count, passes.resyncs) == (2, 1)


def test_a_resync_can_be_asked_for() -> None:
    passes = Passes(last=2)
    passes.during = passes.loop.mark_resync
    passes.loop.run()
    assert passes.resyncs == 1


def test_a_pass_is_run_again_after_the_pause_it_asks_for() -> None:
    passes = Passes(last=2)
    passes.pause = 0.01
    passes.loop = Loop(passes.step, passes.resync)
    passes.loop.run()
    assert (passes.count, passes.resyncs) == (2, 0)
