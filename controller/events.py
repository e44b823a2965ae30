"""What happened, written for people where every controller can tell it: kept for some hours, then gone.

An event is no state: nothing is decided by it, so a store that does not take it is no error of the caller,
and its log line stands in any case. Events that are written near each other share a lease.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from datetime import datetime

from controller.reading import put
from controller.turn import Turn
from store import keys
from store.client import Absent, Store
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
        now = self._clock()
        _log(severity, reason, noun, name, detail)
        self._store_it(
            Event(
                id=_id(now, secrets.token_hex(4)),
                at=now,
                severity=severity,
                reason=reason,
                noun=noun,
                name=name,
                detail=detail,
                node=node,
                tenant=tenant,
            )
        )

    def record_at(
        self, at: datetime, severity: Severity, reason: str, noun: str, name: str, detail: str, *, node: str
    ) -> None:
        """Log and store an event of a known time, once: whoever records the same again does nothing."""
        same = hashlib.sha256(f"{reason} {noun} {name}".encode()).hexdigest()[:8]
        event = Event(
            id=_id(at, same),
            at=at,
            severity=severity,
            reason=reason,
            noun=noun,
            name=name,
            detail=detail,
            node=node,
        )
        if self._store_it(event):
            _log(severity, reason, noun, name, detail)

    def _store_it(self, event: Event) -> bool:
        """Whether it was stored just now."""
        try:
            return self._write(event)
        except StoreError as fault:
            log.warning("event=not-recorded reason=%s why=%r", event.reason, str(fault))
            return False

    def _write(self, event: Event) -> bool:
        new = Absent(keys.EVENTS.key(event.id))
        for last in (False, True):
            try:
                written = self._store.txn(
                    (new,), (put(keys.EVENTS, event, event.id, lease_id=self._lease()),)
                )
            except LeaseExpired:  # somebody ended it, or the store was restored
                if last:
                    raise
                with self._turn:
                    self._granted = float("-inf")
            else:
                return written.succeeded
        return False

    def _lease(self) -> int:
        with self._turn:
            now = self._monotonic()
            if now - self._granted >= SHARED_S:
                self._lease_id, self._granted = self._store.grant(KEPT_S), now
            return self._lease_id


def _id(at: datetime, rest: str) -> str:
    return f"{int(at.timestamp() * 1_000_000):016d}-{rest}"


def _log(severity: Severity, reason: str, noun: str, name: str, detail: str) -> None:
    log.log(LEVELS[severity], "event=%s %s=%s detail=%r", reason, noun, name, detail)
