"""Signals as values: blocked, and fetched where the program waits anyway.

No handler runs between two lines of code, and nothing is missed between a check and a wait. A child's end
is a signal too, so that one wait serves for all that can happen.
"""

from __future__ import annotations

import signal
from types import TracebackType
from typing import Self

STOP = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


class Stopped(Exception):
    """Somebody asked this program to stop."""


class Signals:
    """Blocks SIGCHLD and those of `STOP` while it is entered. For programs of one thread."""

    def __init__(self) -> None:
        self._before: frozenset[signal.Signals] = frozenset()
        # As under nohup: who ignores a signal wants to live through it, and blocking would lift that.
        self._stop = frozenset(each for each in STOP if signal.getsignal(each) is not signal.SIG_IGN)
        self._watched = self._stop | {signal.SIGCHLD}

    def __enter__(self) -> Self:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._watched)
        self._before = frozenset(signal.Signals(each) for each in before)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What came while the program stopped asks for what is done.
        while signal.sigtimedwait(self._watched, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    @property
    def before(self) -> frozenset[signal.Signals]:
        """What was blocked on entry: the mask that a child has to get back, since it survives exec."""
        return self._before

    def wait(self, timeout_s: float) -> None:
        """Return when a child may have ended, or after `timeout_s` seconds.

        Raises:
            Stopped: on SIGINT, SIGTERM or SIGHUP.
        """
        found = signal.sigtimedwait(self._watched, max(0.0, timeout_s))
        if found is not None and found.si_signo in self._stop:
            raise Stopped
