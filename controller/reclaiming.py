"""The duty of reclaim: who is gone is looked at every few seconds, and what they held is taken back.

A term begins with a time in which nothing is taken: after an outage of the store every node's programs are
silent for some seconds, however long ago one of them was written down as lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from controller.events import Events
from controller.ipam.committer import Committer
from controller.ipam.ending import Ending
from controller.ipam.gone import Gone, RollCall
from controller.ipam.reclaim import Reclaimer
from controller.metrics import Metrics
from controller.put_off import PutOff
from store.client import Store
from store.errors import StoreError
from store.model import Severity

log = logging.getLogger(__name__)

PERIOD_S = 5.0
SETTLE_S = 45.0
"""More than the lease of a program and the time that it may take to reach the store again."""

SWEEP_S = 300.0

NAMED = 5


class Reclaiming:
    """Takes back what nobody holds. One `run`, ended by `stop`."""

    def __init__(
        self,
        store: Store,
        reclaimer: Reclaimer,
        clock: Callable[[], datetime],
        events: Events,
        metrics: Metrics,
        committers: Sequence[Committer] = (),
        *,
        guard: Callable[[], None] = lambda: None,
        period_s: float = PERIOD_S,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._roll = RollCall(store, clock, events)
        self._reclaimer = reclaimer
        self._events = events
        self._metrics = metrics
        self._committers = committers
        self._guard = guard
        self._period_s = period_s
        self._settle_s = settle_s
        self._sweep_at = 0.0
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look again and again. Blocking, until `stop`. Then the committers that were given are closed."""
        try:
            self._look()
        finally:
            for committer in self._committers:
                committer.close()

    def stop(self) -> None:
        """End `run` after the node that is under way. Idempotent."""
        self._stopping.set()

    def _look(self) -> None:
        settled_at = time.monotonic() + self._settle_s
        put_off = PutOff(log, "reclaim-put-off")
        while not self._stopping.is_set():
            try:
                self._guard()
                gone = self._roll.call()
                if time.monotonic() >= settled_at:
                    self.reclaim(gone)
                    self._sweep()
                put_off.over()
            except StoreError as fault:
                put_off.because(fault)
                settled_at = time.monotonic() + self._settle_s
            self._stopping.wait(self._period_s)

    def reclaim(self, gone: dict[str, Gone]) -> None:
        """Take back what each of these nodes held."""
        for each, ended in self._reclaimer.reclaim_all(gone):
            self._tell(each, ended)

    def _sweep(self) -> None:
        """Free and remove what stands for nothing, every few minutes: all of the store is looked at."""
        if time.monotonic() < self._sweep_at:
            return
        for address in self._reclaimer.free_orphans():
            self._metrics.reclaimed("no-endpoint", 1)
            detail = f"{address.address} was assigned to {address.holder}, which does not exist"
            self._events.record(
                Severity.WARNING, "reclaimed", "address", str(address.address), detail, node=address.node
            )
        for key in self._reclaimer.remove_leftovers():
            log.warning("event=leftover-removed key=%s", key)
        self._sweep_at = time.monotonic() + SWEEP_S

    def _tell(self, gone: Gone, ended: list[Ending]) -> None:
        name = gone.name
        self._metrics.reclaimed("node-gone", sum(len(each.addresses) for each in ended))
        named = ", ".join(f"{each.id} ({', '.join(each.addresses)})" for each in ended[:NAMED])
        more = f" and {len(ended) - NAMED} more" if len(ended) > NAMED else ""
        since = f"{gone.lost.value.since:%Y-%m-%d %H:%M:%S} UTC"
        detail = f"endpoints of node {name} ended, because it is gone since {since}: {named}{more}"
        self._events.record(Severity.WARNING, "reclaimed", "node", name, detail, node=name)
