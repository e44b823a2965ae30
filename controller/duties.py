"""The duties of the controllers, each done by one replica. Here: ending endpoints that nodes have taken down.

An endpoint that is being released ends when its node's agent removes the attachment key. The elected
replica lists the releasing ones, then watches attachments go; whoever marks an endpoint looks himself whether
one is left. It lists again every five minutes, so that a lost event delays and never leaks. No record is
watched: an assignment would be told to somebody who has nothing to do with it.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from controller import direct, draining, moves, withdrawing
from controller.compiling import Compiling
from controller.direct import Segments
from controller.draining import Draining
from controller.election import Duty, Election
from controller.ipam.committer import Committer
from controller.ipam.giveback import EmptyBlocks
from controller.ipam.reclaim import COMMITTERS, Reclaimer
from controller.ipam.release import Releaser
from controller.ipam.together import Together
from controller.moves import Moves
from controller.parts import Parts
from controller.periodic import Periodic
from controller.prompted import Prompted
from controller.reading import read, scan
from controller.reclaiming import Reclaiming
from controller.reported import Reported
from controller.restoring import Restoring
from controller.withdrawing import Withdrawals
from store import keys
from store.client import Change, Removed, Store, Watch
from store.errors import Corrupt, StoreError
from store.lasting import lasting
from store.model import EndpointState

log = logging.getLogger(__name__)

RELEASING = b'"state":"releasing"'

RELEASE = "release"
RECLAIM = "reclaim"
TIDY = "tidy"
RESTORE = "restore"
DRAIN = "drain"
MOVE = "move"
SEGMENT = "segment"
WITHDRAW = "withdraw"
SESSIONS = "sessions"
POLICIES = "policies"
RELIST_S = 300.0
"""All endpoints are read for it: of 100,000 etcd sends 33 MB."""
RETRY_S = 0.5
TIDY_S = 20.0
"""Between two looks at what is left behind: at all of it."""
AT_ONCE = 16
"""Endpoints that are ended at a time: their transactions are shared."""


class Duties:
    """The duties of one controller. `start` and `stop` once each."""

    def __init__(self, store: Store, parts: Parts) -> None:
        identity = f"{socket.gethostname()}:{os.getpid()}"
        duties: dict[str, Callable[[], Duty]] = {
            RELEASE: lambda: Finaliser(store, parts.releaser),
            RECLAIM: lambda: reclaiming(store, parts),
            TIDY: lambda: _tidying(store, parts),
            DRAIN: lambda: Prompted(
                DRAIN, store, Draining(store, parts.clock, parts.events).look, draining.PERIOD_S
            ),
            MOVE: lambda: Prompted(MOVE, store, Moves(store, parts.events).look, moves.REST_S),
            SEGMENT: lambda: Prompted(SEGMENT, store, Segments(store).look, direct.REST_S),
            WITHDRAW: lambda: Prompted(
                WITHDRAW,
                store,
                Withdrawals(store, parts.committer, parts.clock).look,
                withdrawing.REST_S,
            ),
            SESSIONS: lambda: Reported(store, parts.clock, parts.events),
            POLICIES: lambda: Compiling(store, POLICIES, identity, parts.epoch.check),
            RESTORE: lambda: Restoring(store, parts.epoch, parts.clock, parts.events),
        }
        self._election = Election(store, identity, duties, parts.metrics.leads)

    def start(self) -> None:
        """Begin to campaign for each duty."""
        self._election.start()

    def stop(self) -> None:
        """Hand the duties over to other controllers. Blocking, some seconds at most."""
        self._election.stop()


def _tidying(store: Store, parts: Parts) -> Periodic:
    """What requests left behind goes: endpoints that somebody died making together, and empty blocks."""
    together = Together(store, parts.committer, parts.clock)
    empty = EmptyBlocks(store, parts.committer)

    def look() -> None:
        together.undo_overdue()
        for block in empty.give_back():
            log.info("event=given-back block=%s pool=%s node=%s", block.cidr, block.pool, block.node)

    return Periodic(TIDY, look, TIDY_S)


def reclaiming(store: Store, parts: Parts) -> Reclaiming:
    """A term of the duty of reclaim. Its committers are its own: no request waits behind what it frees."""
    guard = parts.epoch.check
    committers = [Committer(store, observe=parts.metrics.committed, guard=guard) for _ in range(COMMITTERS)]
    reclaimer = Reclaimer(store, committers, parts.clock)
    return Reclaiming(store, reclaimer, parts.clock, parts.events, parts.metrics, committers, guard=guard)


class Finaliser:
    """Ends releasing endpoints. One `run`, ended by `stop`."""

    def __init__(self, store: Store, releaser: Releaser, *, relist_s: float = RELIST_S) -> None:
        self._store = store
        self._releaser = releaser
        self._relist_s = relist_s
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._watch: Watch | None = None

    def run(self) -> None:
        """End what can be ended, now and as it becomes possible. Blocking, until `stop`."""
        while not self._stopping.is_set():
            try:
                self._follow()
            except StoreError as fault:
                log.debug("event=watch-lost duty=%s why=%r", RELEASE, str(fault))
                self._stopping.wait(RETRY_S)

    def stop(self) -> None:
        """End `run`. Idempotent."""
        self._stopping.set()
        self._close_watch()

    def _follow(self) -> None:
        """List, then watch until the watch breaks or it is time to list again."""
        listing = scan(self._store, keys.ENDPOINTS, mark=RELEASING)
        releasing = [each.id for each in listing.values if each.state is EndpointState.RELEASING]
        with ThreadPoolExecutor(AT_ONCE, "finaliser") as pool:
            self._end_all(pool, releasing)
            self._watch_from(listing.revision + 1, pool)

    def _watch_from(self, revision: int, pool: ThreadPoolExecutor) -> None:
        with lasting(self._open_watch(revision), self._relist_s) as watch:
            for changes in watch:
                self._end_all(pool, [name for change in changes if (name := _meant(change))])

    def _end_all(self, pool: ThreadPoolExecutor, endpoints: Sequence[str]) -> None:
        """End those that can be ended. Blocking. Raises what the store does."""
        for start in range(0, len(endpoints), AT_ONCE):
            for done in [pool.submit(self._end, each) for each in endpoints[start : start + AT_ONCE]]:
                done.result()

    def _end(self, endpoint_id: str) -> None:
        try:
            found = read(self._store, keys.ENDPOINTS, endpoint_id)
        except Corrupt as fault:
            log.error("event=corrupt-value key=%s why=%r", fault.key, str(fault))
            return
        if self._stopping.is_set() or found is None or found.value.state is not EndpointState.RELEASING:
            return
        if self._releaser.finalise(found):
            log.info("event=released endpoint=%s node=%s", endpoint_id, found.value.node)

    def _open_watch(self, revision: int) -> Watch:
        with self._lock:
            # The attachments of all nodes have only the prefix of everything nodes own in common.
            watch = self._watch = self._store.watch(
                (), start_revision=revision, removals=(keys.ATTACHMENTS.prefix(),)
            )
        if self._stopping.is_set():
            watch.close()
        return watch

    def _close_watch(self) -> None:
        with self._lock:
            if self._watch is not None:
                self._watch.close()


def _meant(change: Change) -> str | None:
    """The endpoint that may end because of a change: an attachment of it went."""
    attachment = keys.ATTACHMENTS.parts(change.key) if isinstance(change, Removed) else None
    return attachment[1] if attachment else None
