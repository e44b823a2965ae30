"""Keys that say that a program lives: under a lease that a thread keeps alive, written again when it ended.

With the store away longer than the lease lasts, the keys are gone: that is their meaning. They come
back with the store. A key that another program put in the meantime is written over: who lives is right.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from store.client import Put, Store
from store.errors import LeaseExpired, StoreError, Unavailable

log = logging.getLogger(__name__)

RETRY_S = 0.5
BEATS_PER_TTL = 3


class Heartbeat:
    """A thread that keeps some keys under a lease. `start` and `stop` are for one thread, once each.

    Args:
        store: where the keys live.
        ttl_s: seconds after the end of this program until the keys are gone, at least 3.
        puts: the keys and values; their `lease_id` is set here.
    """

    def __init__(self, store: Store, ttl_s: int, puts: Sequence[Put]) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._puts = self._written = tuple(puts)
        self._lease_id = 0
        self._failing = False
        self._ended = threading.Event()
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin. The keys are there soon, and not later than the store is."""
        self._thread.start()

    def say(self, puts: Sequence[Put]) -> None:
        """Have the keys hold this, soon; returns at once. From any thread."""
        if (wanted := tuple(puts)) != self._puts:
            self._puts = wanted
            self._due.set()

    def stop(self) -> None:
        """End. The keys go at once, if the store answers, else after the rest of the lease.

        Blocking: until the request in flight has ended. Idempotent.
        """
        self._ended.set()
        self._due.set()
        if self._thread.is_alive():
            self._thread.join()
        lease_id, self._lease_id = self._lease_id, 0
        if lease_id:
            try:
                self._store.revoke(lease_id)
            except Unavailable as fault:
                log.warning("lease left to expire lease=%x why=%s", lease_id, fault)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._due.wait(self._beat())
            self._due.clear()  # whatever was said before this is said by the next beat

    def _beat(self) -> float:
        """Renew the lease, or get a new one. Returns the seconds until it is time again."""
        try:
            if not self._lease_id:
                self._establish()
            else:
                self._store.keep_alive(self._lease_id)
                if self._written != self._puts:
                    self._write(self._lease_id)
        except LeaseExpired:
            log.warning("lease expired lease=%x", self._lease_id)
            self._lease_id = 0
            return 0.0
        except StoreError as fault:
            if not self._failing:
                log.warning("lease not renewed lease=%x why=%s", self._lease_id, fault)
            self._failing = True
            return min(RETRY_S, self._ttl_s / BEATS_PER_TTL)
        self._failing = False
        return self._ttl_s / BEATS_PER_TTL

    def _establish(self) -> None:
        # The lease counts as ours only when the keys are under it: else they are put again.
        lease_id = self._store.grant(self._ttl_s)
        self._write(lease_id)
        self._lease_id = lease_id

    def _write(self, lease_id: int) -> None:
        puts = self._puts
        self._store.txn([], [put._replace(lease_id=lease_id) for put in puts])
        self._written = puts
