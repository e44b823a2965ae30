"""The loop of an agent: an event only marks something dirty; one pass does all the work.

The periodic resync runs the same pass after the drivers forgot what they believed. A pass may ask to be
run again after a while (a withdrawal it waits for, a device that was busy).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

RESYNC_S = 30.0


class Loop:
    """Runs a pass whenever something is dirty, in the thread that calls `run`.

    Args:
        step: one pass; returns the seconds until it wants to run again, or None.
        resync: called before the pass when the resync period is over.
        resync_s: the period, in seconds.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        step: Callable[[], float | None],
        resync: Callable[[], None],
        *,
        resync_s: float = RESYNC_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._step = step
        self._resync = resync
        self._resync_s = resync_s
        self._clock = clock
        self._condition = threading.Condition()
        self._dirty = True
        self._forget = False
        self._stopping = False

    def mark(self) -> None:
        """Ask for a pass. From any thread; many marks before the pass are one."""
        with self._condition:
            self._dirty = True
            self._condition.notify()

    def mark_resync(self) -> None:
        """Ask for a pass that reads every device again. From any thread."""
        with self._condition:
            self._dirty = self._forget = True
            self._condition.notify()

    def stop(self) -> None:
        """End `run` after the pass that is under way. From any thread or a signal handler's thread."""
        with self._condition:
            self._stopping = True
            self._condition.notify()

    def run(self) -> None:
        """Run passes until `stop`. Blocking."""
        resync_at = self._clock() + self._resync_s
        wanted_at: float | None = None
        while self._wait(min(resync_at, wanted_at if wanted_at is not None else resync_at)):
            if self._take_forget() or self._clock() >= resync_at:
                self._resync()
                resync_at = self._clock() + self._resync_s
            pause = self._step()
            wanted_at = None if pause is None else self._clock() + pause

    def _wait(self, until: float) -> bool:
        with self._condition:
            while not self._dirty and not self._stopping:
                left = until - self._clock()
                if left <= 0:
                    break
                self._condition.wait(left)
            self._dirty = False
            return not self._stopping

    def _take_forget(self) -> bool:
        with self._condition:
            forget, self._forget = self._forget, False
            return forget
