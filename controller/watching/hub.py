"""One watch of the store for all watchers of a noun.

It runs while somebody watches, in a thread of its own; each change is read and rendered once. The last
changes are kept, so that a watcher who comes back goes on from them. One who asks for older ones makes the
watch of the store begin there again: the others leave out what they were told, as each knows its place.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence

from controller.watching.change import Change, Place
from controller.watching.subscription import End, Subscription, Wanted
from controller.watching.topic import Topic
from store import keys
from store.client import Change as Stored
from store.client import Store, Watch, revision_of
from store.errors import Compacted, StoreError, Unavailable

log = logging.getLogger(__name__)

KEPT = 4096
RETRY_S = 0.5
LINGER_S = 30.0
"""The watch of the store stays so long when nobody watches: those who poll are back soon."""


class Hub:
    """The watchers of one topic. Safe to call from many threads."""

    def __init__(self, store: Store, topic: Topic, *, closed: bool) -> None:
        self._closed = closed
        self._store = store
        self._topic = topic
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()
        self._kept: deque[Change] = deque()
        self._floor = 0  # every change behind this revision, up to `_reached`, is in `_kept`
        self._reached = 0
        self._watch: Watch | None = None
        self._cluster_id = ""
        self._run = 0  # which run of the thread counts; 0 is none
        self._runs = 0
        self._left = 0.0
        self._wake = threading.Event()

    def subscribe(self, place: Place, wanted: Wanted) -> Subscription:
        """Begin to be told what comes behind a place."""
        made = Subscription(place, wanted)
        with self._lock:
            if self._closed:
                made.end(End.CLOSING)
                return made
            if not self._run:
                self._start(place)
            elif place.next_revision <= self._floor:
                self._begin_at(place)
            else:
                made.tell([change for change in self._kept if change.place > place])
            self._subscriptions.add(made)
        return made

    def leave(self, subscription: Subscription) -> None:
        """End a subscription. Some time after the last one the watch of the store ends. Idempotent."""
        subscription.end(End.CLOSING)
        with self._lock:
            self._subscriptions.discard(subscription)
            self._left = time.monotonic()

    def close(self) -> None:
        """End every subscription, now and later."""
        with self._lock:
            self._closed = True
            for each in self._subscriptions:
                each.end(End.CLOSING)
            self._subscriptions.clear()
            self._stop()

    def _start(self, place: Place) -> None:
        self._runs += 1
        self._run = self._runs
        self._begin_at(place)
        name = f"watch-{self._topic.kind.model.__name__.lower()}"
        threading.Thread(target=self._follow, args=(self._run,), name=name, daemon=True).start()

    def _stop(self) -> None:
        self._run = 0
        self._interrupt()

    def _begin_at(self, place: Place) -> None:
        self._kept.clear()
        self._floor = self._reached = place.next_revision - 1
        self._interrupt()

    def _interrupt(self) -> None:
        self._wake.set()
        if self._watch is not None:
            self._watch.close()
            self._watch = None  # what it has brought already does not count either

    def _follow(self, run: int) -> None:
        while (watch := self._open(run)) is not None:
            try:
                self._look()
                for changes in watch:
                    self._take(watch, changes)
            except Compacted as fault:
                self._expire(run, fault.compact_revision)
            except StoreError as fault:
                log.warning("event=watch-lost kind=%s why=%r", self._topic.kind.template, str(fault))
                self._wake.wait(RETRY_S)
            finally:
                watch.close()

    def _open(self, run: int) -> Watch | None:
        """The next watch of the store; None when this run is over."""
        while True:
            with self._lock:
                if run != self._run:
                    return None
                self._wake.clear()
                try:
                    self._watch = self._topic.watch(self._store, self._reached + 1)
                except Unavailable:
                    pass
                else:
                    return self._watch
            self._wake.wait(RETRY_S)

    def _look(self) -> None:
        """Find out whether a backup was restored since the last look: then nobody's place means anything.

        Asked behind the watch: when one is restored later, the watch ends.
        """
        revision = revision_now(self._store)
        before, self._cluster_id = self._cluster_id, self._store.cluster_id()
        if before in {"", self._cluster_id}:
            return
        with self._lock:
            for each in self._subscriptions:
                each.end(End.EXPIRED)
            self._begin_at(Place(revision))

    def _take(self, watch: Watch, stored: Sequence[Stored]) -> None:
        """Read, keep and tell what one answer of the store brought: whole revisions."""
        changes = self._topic.changes(self._store, stored)
        with self._lock:
            if watch is not self._watch:  # another place to begin at was asked for meanwhile
                return
            if not self._subscriptions and time.monotonic() - self._left > LINGER_S:
                self._stop()
                return
            self._reached = max(self._reached, revision_of(stored[-1]))
            self._kept.extend(changes)
            while len(self._kept) > KEPT:
                self._floor = self._kept.popleft().place.revision
            for each in self._subscriptions:
                each.tell(changes)

    def _expire(self, run: int, compacted: int) -> None:
        with self._lock:
            if run != self._run:
                return
            self._kept.clear()
            self._floor = self._reached = max(self._reached, compacted)
            for each in self._subscriptions:
                if each.place.next_revision <= compacted:
                    each.end(End.EXPIRED)


def revision_now(store: Store) -> int:
    """The revision of the store. Raises what that does."""
    return store.range(keys.CLUSTER.key()).revision  # of few keys: etcd 3.4 walks over all that a range has
