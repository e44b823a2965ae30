"""The duty of tidying: what requests left behind goes, found again and again by looking at all of it.

Endpoints that were to be made together by somebody who died in the middle are ended, and blocks that hold
no address any more go back to their pools.
"""

from __future__ import annotations

import logging
import threading

from controller.ipam.giveback import EmptyBlocks
from controller.ipam.together import Together
from store.errors import StoreError

log = logging.getLogger(__name__)

PERIOD_S = 20.0


class Tidying:
    """Tidies up. One `run`, ended by `stop`."""

    def __init__(self, together: Together, empty: EmptyBlocks, *, period_s: float = PERIOD_S) -> None:
        self._together = together
        self._empty = empty
        self._period_s = period_s
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look again and again. Blocking, until `stop`."""
        while not self._stopping.is_set():
            try:
                self.look()
            except StoreError as fault:
                log.warning("event=tidying-put-off why=%r", str(fault))
            self._stopping.wait(self._period_s)

    def stop(self) -> None:
        """End `run` after the look that is under way. Idempotent."""
        self._stopping.set()

    def look(self) -> None:
        """Do what is to be done now."""
        self._together.undo_overdue()
        for block in self._empty.give_back():
            log.info("event=given-back block=%s pool=%s node=%s", block.cidr, block.pool, block.node)
