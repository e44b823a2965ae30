"""What ends the server's wait."""

from __future__ import annotations

import signal
import threading

from controller.serve import Interrupt

SIGNALS = 5_000


def test_a_signal_at_any_point_of_the_wait_ends_it() -> None:
    interrupt = Interrupt()
    waits = 0
    before = signal.signal(signal.SIGALRM, lambda *_: interrupt.set())
    watchdog = threading.Timer(60, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    stuck = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    watchdog.start()
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-5, 1e-5)
        while waits < SIGNALS:
            interrupt.wait()
            waits += 1
    except KeyboardInterrupt:
        raise AssertionError(f"stuck after {waits} waits") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        watchdog.cancel()
        signal.signal(signal.SIGALRM, before)
        signal.signal(signal.SIGUSR1, stuck)


def test_what_is_cleared_does_not_end_a_wait() -> None:
    interrupt = Interrupt()
    interrupt.set()
    interrupt.clear()
    waited = threading.Thread(target=interrupt.wait, daemon=True)
    waited.start()
    assert waited.is_alive()
    interrupt.set()
    waited.join(5)
    assert not waited.is_alive()
