"""What happened, written for people where every controller can tell it: kept for some hours, then gone.

An event is no state: nothing is decided by it, so a store that does not take it is no error of the caller,
and its log line stands in any case. Events that are written near each other share a lease.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from datetime import datetime

from controller.reading import put
from controller.turn import Turn
from store import keys
from store.client import Store
from store.errors import LeaseExpired, StoreError
from store.model import Event, Severity

log = logging.getLogger(__name__)

KEPT_S = 6 * 3600
SHARED_S = 600.0

LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.ALARM: logging.ERROR}


class Events:
    """Records events. Safe to call from many threads."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._turn = Turn()  # the lease is granted within it
        self._lease_id = 0
        self._granted = float("-inf")

    def record(
        self,
        severity: Severity,
        reason: str,
        noun: str,
        name: str,
        detail: str,
        *,
        node: str | None = None,
        tenant: str | None = None,
    ) -> None:
        """Log an event and store it. Blocking; a store that is away loses it.

        Args:
            reason: what kind of thing, for programs: `node-lost`.
            noun, name: what it is about: `node`, `node-1`.
            detail: one sentence for people.
        """
        log.log(LEVELS[severity], "event=%s %s=%s detail=%r", reason, noun, name, detail)
        now = self._clock()
        event = Event(
            id=f"{int(now.timestamp() * 1_000_000):016d}-{secrets.token_hex(4)}",
            at=now,
            severity=severity,
            reason=reason,
            noun=noun,
            name=name,
            detail=detail,
            node=node,
            tenant=tenant,
        )
        try:
            self._write(event)
        except StoreError as fault:
            log.warning("event=not-recorded reason=%s why=%r", reason, str(fault))

    def _write(self, event: Event) -> None:
        for last in (False, True):
            try:
                self._store.txn((), (put(keys.EVENTS, event, event.id, lease_id=self._lease()),))
            except LeaseExpired:  # somebody ended it, or the store was restored
                if last:
                    raise
                with self._turn:
                    self._granted = float("-inf")
            else:
                return

    def _lease(self) -> int:
        with self._turn:
            now = self._monotonic()
            if now - self._granted >= SHARED_S:
                self._lease_id, self._granted = self._store.grant(KEPT_S), now
            return self._lease_id
