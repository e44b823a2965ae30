"""Notices that this process stood still: it was stopped, or its host slept.

What clients sent meanwhile lies in its sockets and queues. They have given that up long ago, have asked
another controller, perhaps deleted what that made and gone away: who is to delete what is made now? So after
standing still for more than `STILL_S` nothing is written for `CALM_S`, in which all of it is read and
refused. What was on its way to etcd already is etcd's to do or not, within seconds.

A virtual machine that is paused from outside does not notice: its clocks stood still as well.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from controller.ipam.committer import PATIENCE_S
from store.errors import Unavailable

log = logging.getLogger(__name__)

BEAT_S = 0.5
STILL_S = 5.0
"""Longer than a busy host keeps a process waiting."""

CALM_S = PATIENCE_S + 1
"""Longer than anything waits to be written."""


def boot_time_s() -> float:
    """Seconds since the host was started, in which it slept too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Pulse:
    """The heartbeat of a process. `start` and `stop` once each; `check` from any thread."""

    def __init__(self, clock: Callable[[], float] = boot_time_s) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: float | None = None
        self._calm_until = float("-inf")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """Begin to beat: until then nothing is noticed."""
        self.beat()
        self._thread.start()

    def stop(self) -> None:
        """End. Idempotent."""
        self._stopping.set()

    def beat(self) -> None:
        """The process runs now."""
        with self._lock:
            now = self._clock()
            still_s = 0.0 if self._last is None else now - self._last
            self._last = now
            if still_s > STILL_S:
                self._calm_until = now + CALM_S
                log.warning("event=stood-still seconds=%.1f refusing_writes_s=%g", still_s, CALM_S)

    def check(self) -> None:
        """Return when the process did not stand still just now.

        Raises:
            Unavailable: it did. With `outcome_unknown`, for that may have been while etcd answered.
        """
        if self._last is None:
            return
        self.beat()  # whoever runs first after a standstill has to notice it
        if self._clock() < self._calm_until:
            raise Unavailable(
                "this controller stood still, and what it was asked to write before that is refused",
                outcome_unknown=True,
            )

    def _run(self) -> None:
        while not self._stopping.wait(BEAT_S):
            self.beat()
