"""Work that only one replica does: whoever holds the leased key of a duty does it.

The keys go with their holder's lease, some seconds after its death, and other replicas take them. Who holds
what is heard from a watch, so a controller that has no duty asks nothing; one that has some renews one lease
for all of them. Two holders at once are possible for a moment (a paused process), so a duty writes only what
it would be right for anybody to write: the election saves work, it does not guard the store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.news import News
from store import keys
from store.client import Absent, Delete, Put, Store, Unchanged
from store.errors import LeaseExpired, StoreError
from store.feed import Delete as Gone
from store.feed import Item
from store.feed import Put as Held

log = logging.getLogger(__name__)

TTL_S = 2
"""The least that etcd grants with its usual election timeout: a duty is to move within 5 s."""
PAUSE_S = 0.5
STOP_S = 1.5
LEAVE_S = 1.0
"""What is still being done after that is left to end by itself: somebody else may begin."""


class Duty(Protocol):
    """Something that one replica does for all."""

    def run(self) -> None:
        """Do it. Blocking, until `stop`."""
        ...

    def stop(self) -> None:
        """End `run`, from another thread. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class _Term:
    name: str
    duty: Duty
    worker: threading.Thread
    ours: Unchanged
    """True of the key while it is as we wrote it."""


class Election:
    """Campaigns for duties and does those it is elected for. `start` and `stop` once each.

    Args:
        store: where the keys are.
        identity: who we are, for people who look at the keys.
        duties: by name, what makes the duty, anew for each term.
        report: told when a term begins (True) and ends (False).
        pause_s: between renewals of the lease, and before a campaign that was lost is repeated.
    """

    def __init__(
        self,
        store: Store,
        identity: str,
        duties: Mapping[str, Callable[[], Duty]],
        report: Callable[[str, bool], None] = lambda name, leading: None,
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._store = store
        self._identity = identity
        self._duties = {keys.leader(name): (name, take_up) for name, take_up in duties.items()}
        self._report = report
        self._pause_s = pause_s
        self._news = News(store, [keys.LEADERS], self._hear)
        self._held: set[str] | None = None
        """The keys that somebody has, as far as was heard."""
        self._terms: dict[str, _Term] = {}
        """By their keys."""
        self._lease_id = 0
        self._cluster_id = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="election", daemon=True)

    def start(self) -> None:
        """Begin to campaign."""
        for name, _ in self._duties.values():
            self._report(name, False)
        self._news.start()
        self._thread.start()

    def stop(self) -> None:
        """End the terms, and leave the duties to others at once. Blocking, `STOP_S` at most.

        With the store away nothing can be left: the keys then end with their lease.
        """
        self._stopping.set()
        self._news.stop()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _hear(self, batch: Sequence[Item]) -> None:
        """Who holds a duty has changed; the first batch is all of them."""
        held = set(self._held or ())
        for item in batch:
            if isinstance(item, Held):
                held.add(item.key)
            elif isinstance(item, Gone):
                held.discard(item.key)
        self._held = held

    @property
    def _vacant(self) -> list[str]:
        """The keys that nobody has, as far as is known."""
        taken = self._held
        if taken is None:
            return []
        return [key for key in self._duties if key not in taken and key not in self._terms]

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
            except StoreError as fault:
                log.debug("event=no-election why=%r", str(fault))
                self._end(list(self._terms), None)
                self._lease_id = 0
            self._news.wait(self._pause_s if self._terms or self._vacant else None)
        self._end(list(self._terms), LEAVE_S)
        if self._lease_id:
            self._leave()

    def _turn(self) -> None:
        """Renew the lease, and stand for what nobody does. Raises StoreError: then no term is ours."""
        if self._terms:
            self._renew()
        for key in [key for key, term in self._terms.items() if not term.worker.is_alive()]:
            ours = self._terms[key].ours
            self._end([key], None)
            self._store.txn([ours], [Delete(key)])
        for key in self._vacant:
            if not self._stopping.is_set():
                self._campaign(key)
        if self._lease_id and not self._terms:
            self._leave()

    def _renew(self) -> None:
        self._store.keep_alive(self._lease_id)
        if self._store.cluster_id() != self._cluster_id:
            self._leave()
            raise LeaseExpired("a backup was restored, and may lack keys of the lease that it has")

    def _leave(self) -> None:
        """Give up the lease, and what is under it; with the store away it ends by itself."""
        lease_id, self._lease_id = self._lease_id, 0
        try:
            self._store.revoke(lease_id)
        except StoreError as fault:
            log.debug("event=lease-left why=%r", str(fault))

    def _campaign(self, key: str) -> None:
        name, take_up = self._duties[key]
        if not self._lease_id:
            self._lease_id = self._store.grant(TTL_S)
            self._cluster_id = self._store.cluster_id()
        result = self._store.txn([Absent(key)], [Put(key, self._identity.encode(), self._lease_id)])
        if not result.succeeded:
            return
        duty = take_up()
        worker = threading.Thread(target=duty.run, name=f"duty-{name}", daemon=True)
        self._terms[key] = _Term(name, duty, worker, Unchanged(key, result.revision))
        log.info("event=elected duty=%s", name)
        self._report(name, True)
        worker.start()

    def _end(self, ended: Iterable[str], patience_s: float | None) -> None:
        """End these terms, and wait for their workers, at most so long in all; None is for ever. Blocking."""
        until = None if patience_s is None else time.monotonic() + patience_s
        terms = [self._terms.pop(key) for key in ended]
        for term in terms:
            term.duty.stop()
        for term in terms:
            term.worker.join(None if until is None else max(0.0, until - time.monotonic()))
            self._report(term.name, False)
            log.info("event=term-over duty=%s", term.name)
