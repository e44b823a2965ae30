"""Work that only one replica does: whoever holds the leased key of a duty does it.

The key goes with its holder's lease, some seconds after its death, and another replica takes it. Two
holders at once are possible for a moment (a paused process), so a duty writes only what it would be right
for anybody to write: the election saves work, it does not guard the store.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from store import keys
from store.client import Absent, Put, Store
from store.errors import LeaseExpired, StoreError

log = logging.getLogger(__name__)

TTL_S = 2
"""The least that etcd grants with its usual election timeout: a duty is to move within 5 s."""
PAUSE_S = 0.5
STOP_S = 1.5


class Duty(Protocol):
    """Something that one replica does for all."""

    def run(self) -> None:
        """Do it. Blocking, until `stop`."""
        ...

    def stop(self) -> None:
        """End `run`, from another thread. Idempotent."""
        ...


class Election:
    """Campaigns for one duty and does it while elected. `start` and `stop` once each.

    Args:
        store: where the key is.
        name: the duty.
        identity: who we are, for people who look at the key.
        take_up: makes the duty, anew for each term.
        report: told when a term begins (True) and ends (False).
        pause_s: between looks at a key that somebody else has, and between renewals of the lease.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        identity: str,
        take_up: Callable[[], Duty],
        report: Callable[[bool], None] = lambda leading: None,
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._store = store
        self._name = name
        self._identity = identity
        self._take_up = take_up
        self._report = report
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"election-{name}", daemon=True)

    def start(self) -> None:
        """Begin to campaign."""
        self._report(False)
        self._thread.start()

    def resign(self) -> None:
        """Begin to leave the duty to others; `stop` waits for the end."""
        self._stopping.set()

    def stop(self) -> None:
        """End the term, if there is one, and leave the duty to others at once. Blocking, `STOP_S` at most.

        With the store away nothing can be left: the key then ends with its lease.
        """
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                lease_id = self._campaign()
                if lease_id:
                    self._term(lease_id)
            except StoreError as fault:
                log.debug("event=no-election duty=%s why=%r", self._name, str(fault))
            self._stopping.wait(self._pause_s)

    def _campaign(self) -> int:
        """The lease that holds the key; 0 when somebody else has it."""
        key = keys.leader(self._name)
        if self._store.get(key) is not None:
            return 0
        lease_id = self._store.grant(TTL_S)
        won = self._store.txn([Absent(key)], [Put(key, self._identity.encode(), lease_id)]).succeeded
        if not won:
            self._store.revoke(lease_id)
        return lease_id if won else 0

    def _term(self, lease_id: int) -> None:
        duty = self._take_up()
        worker = threading.Thread(target=duty.run, name=f"duty-{self._name}", daemon=True)
        log.info("event=elected duty=%s", self._name)
        self._report(True)
        worker.start()
        try:
            self._hold(lease_id, worker)
        finally:
            duty.stop()
            worker.join()
            self._report(False)
            log.info("event=term-over duty=%s", self._name)
        self._store.revoke(lease_id)

    def _hold(self, lease_id: int, worker: threading.Thread) -> None:
        """Renew the lease until we stop, the worker ends, or the lease is lost."""
        while worker.is_alive() and not self._stopping.wait(self._pause_s):
            try:
                self._store.keep_alive(lease_id)
            except LeaseExpired:
                return
