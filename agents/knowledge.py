"""What a program of a node knows of the store: a feed in a thread of its own, collected in a view.

With the store away, what was known stays: nothing is flushed because nobody answers.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from intent.snapshot import Snapshot, View, watched
from store.client import Store
from store.feed import DecodedItem, Delete, Feed, InSync, Put, decoded_batches

log = logging.getLogger(__name__)


class Knowledge:
    """The snapshot of one node. `snapshot` and `wait_for` may be called from any thread.

    Args:
        store: the store.
        node: the node's name.
        on_change: called from the feed's thread after each change; only marks something dirty.
    """

    def __init__(self, store: Store, node: str, on_change: Callable[[], None]) -> None:
        self._feed = Feed(store, watched(node))
        self._view = View(node)
        self._on_change = on_change
        self._in_sync = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is known stays."""
        self._feed.close()
        self._thread.join(timeout=2)

    def snapshot(self) -> Snapshot | None:
        """What is known; None as long as the store has not been read whole once."""
        with self._changed:
            return self._view.snapshot if self._in_sync else None

    def wait_for(self, told: Callable[[Snapshot], bool], timeout_s: float) -> bool:
        """Wait until the snapshot satisfies `told`; false when that takes longer than `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._in_sync and told(self._view.snapshot), timeout_s)

    def _run(self) -> None:
        for batch in decoded_batches(self._feed):
            with self._changed:
                for item in batch:
                    self._take(item)
                in_sync = self._in_sync
                self._changed.notify_all()
            if in_sync:
                self._on_change()

    def _take(self, item: DecodedItem) -> None:
        match item:
            case Put(key=key, value=value):
                self._view.put(key, value)
            case Delete(key=key):
                self._view.delete(key)
            case InSync():
                self._in_sync = True
