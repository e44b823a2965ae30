"""One watcher's queue: filled by the thread of a hub, emptied by the request."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from enum import StrEnum

from controller.waiting import wait
from controller.watching.change import Change, Place, Told
from store.model import Value

MAX_QUEUED = 10_000
"""Changes that a watcher may be behind before it is cut off."""

Wanted = Callable[[Value], bool]


class End(StrEnum):
    """Why there is nothing more to come."""

    EXPIRED = "expired"
    """What came after the place is no longer known: list again."""
    SLOW = "slow"
    """The watcher takes less than happens: go on from the last place."""
    CLOSING = "closing"
    """The controller stops, or has served long enough: go on from the last place."""


class Subscription:
    """What one watcher has not been told yet. `tell` and `end` are for any thread, `take` for one.

    Args:
        place: what comes behind it is told.
        wanted: which things are told of. One that no longer is wanted is told as deleted.
    """

    def __init__(self, place: Place, wanted: Wanted) -> None:
        self._wanted = wanted
        self._lock = threading.Lock()
        self._queue: deque[Told] = deque()
        self._waiting: Future[None] | None = None
        self._end: End | None = None
        self.place = place
        """Behind what was put into the queue."""
        self.taken = place
        """Behind what was taken from it."""

    @property
    def ended(self) -> End | None:
        """Why nothing more is put into the queue."""
        return self._end

    def tell(self, changes: Sequence[Change]) -> None:
        """Queue what is wanted of these changes and is behind the place."""
        with self._lock:
            for change in changes:
                if self._end is None and change.place > self.place:
                    self._tell(change)
            self._wake()

    def end(self, why: End) -> None:
        """Nothing more is to come. The first reason counts."""
        with self._lock:
            self._end = self._end or why
            self._wake()

    def take(self, timeout_s: float) -> list[Told]:
        """All that is queued, as soon as there is something; empty after the timeout, and at the end."""
        with self._lock:
            if not self._queue and self._end is None and timeout_s > 0:
                self._waiting = Future()
            waiting = self._waiting
        if waiting is not None:
            with suppress(TimeoutError):
                wait(waiting, timeout_s)
        with self._lock:
            self._waiting = None
            told = list(self._queue)
            self._queue.clear()
            self.taken = self.place
            return told

    def _tell(self, change: Change) -> None:
        if change.lost or len(self._queue) >= MAX_QUEUED:
            self._end = End.EXPIRED if change.lost else End.SLOW
            return
        self.place = change.place
        before, after = change.before, change.after
        if after is not None and self._wanted(after.value):
            self._queue.append(Told(change.place, "put", after.text))
        elif before is not None and self._wanted(before.value):
            self._queue.append(Told(change.place, "delete", before.text))

    def _wake(self) -> None:
        if self._waiting is not None and (self._queue or self._end):
            with suppress(InvalidStateError):
                self._waiting.set_result(None)
