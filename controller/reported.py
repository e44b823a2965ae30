"""The elected duty that makes events of what nodes say of themselves. Nodes may not write events: what they
report, they report for as long as it is so, and whoever has the duty tells what is new of it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from controller.events import Events
from controller.node_events import NodeEvents
from controller.session_events import SessionEvents
from store import keys
from store.client import Store
from store.errors import StoreError
from store.feed import DecodedItem, Delete, Feed, Put, decoded_batches
from store.model import Alive, Session

log = logging.getLogger(__name__)

RETRY_S = 0.5


class Reported:
    """Tells of sessions, and of what is amiss on nodes. One `run`, ended by `stop`."""

    def __init__(self, store: Store, clock: Callable[[], datetime], events: Events) -> None:
        self._feed = Feed(store, [keys.SESSIONS.prefix(), keys.ALIVE.prefix()])
        self._sessions = SessionEvents(clock, events)
        self._nodes = NodeEvents(store, events)
        self._stopping = threading.Event()

    def run(self) -> None:
        """Tell what happens. Blocking, until `stop`."""
        while not (self._recall() or self._stopping.wait(RETRY_S)):
            pass
        for batch in decoded_batches(self._feed):
            for item in batch:
                self._take(item)

    def stop(self) -> None:
        """End `run`. Idempotent."""
        self._stopping.set()
        self._feed.close()

    def _recall(self) -> bool:
        try:
            self._nodes.recall()
        except StoreError as fault:
            log.debug("event=cannot-recall why=%r", str(fault))
            return False
        return True

    def _take(self, item: DecodedItem) -> None:
        """Take what is new; not what a node, which writes below its own keys only, says of another."""
        match item:
            case Put(key=key, value=Session() as session):
                if key == keys.SESSIONS.key(session.node, session.peer):
                    self._sessions.take(key, session)
            case Put(key=key, value=Alive() as alive):
                if key == keys.ALIVE.key(alive.node, alive.program):
                    self._nodes.take(alive)
            case Delete(key=key):
                self._sessions.forget(key)
