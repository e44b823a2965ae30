"""Wakes who waits when something below some prefixes of the store changes, so that nobody looks in vain."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from controller.following import Following
from store.client import Store
from store.feed import Feed, Item

log = logging.getLogger(__name__)

RELIST_S = 1.0
"""What was not told is found out so late: watches of etcd 3.4 can lose events, and one on a member that hangs
tells nothing. A request that is not answered in time goes to the next member, and the watch after it."""


class News:
    """Follows some prefixes in a thread of its own. `start` and `stop` once each; one thread waits.

    Args:
        store: where to listen.
        prefixes: what the keys begin with.
        hear: told each batch of the feed, in that thread, before the one that waits is woken.
    """

    def __init__(
        self,
        store: Store,
        prefixes: Sequence[str],
        hear: Callable[[Sequence[Item]], None],
    ) -> None:
        self._following = Following()
        self._feed = self._following.begin(Feed(store, prefixes, relist_s=RELIST_S))
        self._hear = hear
        self._came = threading.Event()
        self._thread = threading.Thread(target=self._run, name="news", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more, and wake who waits, now and ever after. Idempotent."""
        self._following.end()
        self._came.set()

    def wait(self, timeout_s: float | None) -> None:
        """Until something came since the last wait, or the time is over. Blocking; None is for ever."""
        self._came.wait(timeout_s)
        if not self._following.ended.is_set():
            self._came.clear()

    def _run(self) -> None:
        self._following.run(self._listen, lambda fault: log.warning("event=no-news why=%r", str(fault)))

    def _listen(self) -> None:
        for batch in self._feed.batches():
            self._hear(batch)
            self._came.set()
