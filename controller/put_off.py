"""That a duty is put off is logged once for each reason, and not at each look: that may be for hours."""

from __future__ import annotations

import logging

from store.errors import StoreError


class PutOff:
    """What is said of one duty. For one thread.

    Args:
        log: where it is said.
        event: what is said, before the reason.
    """

    def __init__(self, log: logging.Logger, event: str) -> None:
        self._log = log
        self._event = event
        self._why = ""

    def because(self, fault: StoreError) -> None:
        """It is put off now."""
        before, self._why = self._why, str(fault)
        if self._why != before:
            self._log.warning("event=%s why=%r", self._event, self._why)

    def over(self) -> None:
        """It is done now."""
        self._why = ""
