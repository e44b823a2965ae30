"""The hubs of one controller, made as they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import TypeVar

from controller.waiting import wait
from controller.watching.hub import Hub
from controller.watching.topic import Topic
from store.client import Store
from store.errors import Unavailable

MAX_WATCHERS = 2000
THREADS = 4
PATIENCE_S = 10.0
"""How long a call may wait for its turn."""


STOPPING = "the controller is stopping"

T = TypeVar("T")


class Hubs:
    """A hub for each topic that somebody watches. Safe to call from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._hubs: dict[str, Hub] = {}
        self._closed = False
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="watch")
        self.places = threading.Semaphore(MAX_WATCHERS)
        """One for each watcher."""

    def of(self, topic: Topic) -> Hub:
        """The hub of a topic."""
        with self._lock:
            return self._hubs.setdefault(topic.kind.template, Hub(self._store, topic, closed=self._closed))

    def read(self, call: Callable[[Store], T]) -> T:
        """What a call reads from the store, in one of few threads however many ask. Raises `Unavailable`.

        One whose turn does not come in time is not made at all.
        """
        with self._lock:
            if self._closed:
                raise Unavailable(STOPPING)
            reading = self._threads.submit(call, self._store)
        try:
            return wait(reading, PATIENCE_S)
        except TimeoutError:
            if reading.cancel():
                raise Unavailable("others wait for the store already") from None
            return wait(reading)  # it has begun: a long list takes its time
        except CancelledError:
            raise Unavailable(STOPPING) from None

    def close(self) -> None:
        """End every watch; those that are asked for later end at once."""
        with self._lock:
            self._closed = True
            hubs = list(self._hubs.values())
        for hub in hubs:
            hub.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
