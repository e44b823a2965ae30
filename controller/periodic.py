"""A duty that looks at all of it again and again, and does what is to be done then."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from controller.put_off import PutOff
from store.errors import StoreError

log = logging.getLogger(__name__)


class Periodic:
    """Looks in turns. One `run`, ended by `stop`.

    Args:
        name: of the duty, for the log.
        look: does what is to be done now; a store that is away is no fault of it.
        period_s: between two looks.
    """

    def __init__(self, name: str, look: Callable[[], None], period_s: float) -> None:
        self._name = name
        self._look = look
        self._period_s = period_s
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look again and again. Blocking, until `stop`."""
        put_off = PutOff(log, f"put-off duty={self._name}")
        while not self._stopping.is_set():
            try:
                self._look()
                put_off.over()
            except StoreError as fault:
                put_off.because(fault)
            self._stopping.wait(self._period_s)

    def stop(self) -> None:
        """End `run` after the look that is under way. Idempotent."""
        self._stopping.set()
