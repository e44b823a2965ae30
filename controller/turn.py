"""A lock around reads and writes of the store that nobody waits for much longer than the store may take.

While etcd hangs, whoever holds the lock learns it after some seconds. Those behind would each wait so
long in turn, the hundredth for minutes; they give up together instead.
"""

from __future__ import annotations

import threading

from controller.waiting import aside
from store.errors import Unavailable

PATIENCE_S = 5.0


class Turn:
    """A context manager: one thread at a time. Entering raises `Unavailable` when it takes too long."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._lock = threading.Lock()
        self._patience_s = patience_s

    def __enter__(self) -> None:
        if self._lock.acquire(blocking=False):
            return
        if not aside(self._lock.acquire, True, self._patience_s):
            raise Unavailable("others wait for the store already")

    def __exit__(self, *_: object) -> None:
        self._lock.release()
