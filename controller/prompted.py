"""A duty that looks when something has changed, and leaves the store alone in between."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from controller.following import Following
from controller.put_off import PutOff
from store.client import Store
from store.errors import StoreError
from store.lasting import lasting

log = logging.getLogger(__name__)

RELOOK_S = 60.0
"""Seconds after which it looks though nothing was told: watches of etcd 3.4 can lose events."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """When what a look has found is not so any more."""

    revision: int
    """Of the store, before the look read anything else."""
    prefixes: tuple[str, ...]
    """Of the keys that were read, or would have been."""
    again_s: float = RELOOK_S
    """Seconds after which it can be otherwise by itself, or by what is not watched."""


class Prompted:
    """Looks when it is prompted. One `run`, ended by `stop`.

    Args:
        name: of the duty, for the log.
        store: what is watched.
        look: does what is to be done now; a store that is away is no fault of it.
        rest_s: at least between two looks.
    """

    def __init__(self, name: str, store: Store, look: Callable[[], Outlook], rest_s: float) -> None:
        self._name = name
        self._store = store
        self._look = look
        self._rest_s = rest_s
        self._watches = Following()

    def run(self) -> None:
        """Look, now and as things change. Blocking, until `stop`."""
        put_off = PutOff(log, f"put-off duty={self._name}")
        while not self._watches.ended.is_set():
            found = None
            try:
                found = self._look()
                put_off.over()
            except StoreError as fault:
                put_off.because(fault)
            if not self._watches.ended.wait(self._rest_s) and found is not None:
                self._await_change(found)

    def stop(self) -> None:
        """End `run` after the look that is under way. Idempotent."""
        self._watches.end()

    def _await_change(self, found: Outlook) -> None:
        """Wait for one, or until it is time. What came since the look began is told first."""
        if found.again_s <= self._rest_s:
            return
        try:
            opened = self._store.watch(found.prefixes, start_revision=found.revision + 1)
            with lasting(self._watches.begin(opened), found.again_s - self._rest_s) as watch:
                next(iter(watch), None)
        except StoreError as fault:
            log.debug("event=watch-lost duty=%s why=%r", self._name, str(fault))
