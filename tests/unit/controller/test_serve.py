"""What ends the server's wait."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from controller.serve import Interrupt

SIGNALS = 5_000


@pytest.fixture
def interrupt() -> Iterator[Interrupt]:
    with closing(Interrupt()) as made:
        yield made


def test_a_signal_at_any_point_of_the_wait_ends_it(interrupt: Interrupt) -> None:
    handled: list[int] = []
    waits = 0
    before = signal.signal(signal.SIGALRM, lambda number, _: handled.append(number))
    watchdog = threading.Timer(60, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    stuck = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    watchdog.start()
    try:
        while waits < SIGNALS:
            # One at a time: a storm of them would interrupt its own handlers, without an end.
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 4e-5))
            interrupt.wait()
            waits += 1
            assert len(handled) == waits
    except KeyboardInterrupt:
        raise AssertionError(f"stuck after {waits} waits") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        watchdog.cancel()
        signal.signal(signal.SIGALRM, before)
        signal.signal(signal.SIGUSR1, stuck)


def test_another_thread_ends_the_wait(interrupt: Interrupt) -> None:
    waited = threading.Thread(target=interrupt.wait, daemon=True)
    waited.start()
    interrupt.set()
    waited.join(20)
    assert not waited.is_alive()
