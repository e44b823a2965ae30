"""The duty of tidying: what requests left behind goes, found again and again by looking at all of it.

Endpoints that were to be made together by somebody who died in the middle are ended, and blocks that hold
no address any more go back to their pools.
"""

from __future__ import annotations

import logging

from controller.ipam.giveback import EmptyBlocks
from controller.ipam.together import Together

log = logging.getLogger(__name__)

PERIOD_S = 20.0


class Tidying:
    """Tidies up at each `look`."""

    def __init__(self, together: Together, empty: EmptyBlocks) -> None:
        self._together = together
        self._empty = empty

    def look(self) -> None:
        """Do what is to be done now."""
        self._together.undo_overdue()
        for block in self._empty.give_back():
            log.info("event=given-back block=%s pool=%s node=%s", block.cidr, block.pool, block.node)
