"""The duty of the controllers: ending endpoints that their nodes have taken down.

An endpoint that is being released ends when its node's agent removes the attachment key. The elected
replica lists the releasing ones, then watches: a record that becomes releasing, an attachment that goes.
It lists again every minute, so that a lost event delays and never leaks.
"""

from __future__ import annotations

import logging
import os
import socket
import threading

from controller.election import Election
from controller.ipam.release import Releaser
from controller.reading import read, scan
from controller.services import Services
from store import keys
from store.client import Change, Changed, Store, Watch
from store.errors import Compacted, Corrupt, Unavailable
from store.model import EndpointState

log = logging.getLogger(__name__)

RELEASING = b'"state":"releasing"'

RELEASE = "release"
RELIST_S = 60.0
RETRY_S = 0.5


class Duties:
    """The elections of one controller. `start` and `stop` once each."""

    def __init__(self, store: Store, parts: Services) -> None:
        identity = f"{socket.gethostname()}:{os.getpid()}"
        self._release = Election(
            store,
            RELEASE,
            identity,
            lambda: Finaliser(store, parts.releaser),
            lambda leading: parts.metrics.leads(RELEASE, leading),
        )

    def start(self) -> None:
        """Begin to campaign for each duty."""
        self._release.start()

    def stop(self) -> None:
        """Hand the duties over to other controllers. Blocking, some seconds at most."""
        self._release.stop()


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
            except (Unavailable, Compacted) as fault:
                log.debug("event=watch-lost duty=%s why=%r", RELEASE, str(fault))
                self._stopping.wait(RETRY_S)

    def stop(self) -> None:
        """End `run`. Idempotent."""
        self._stopping.set()
        self._close_watch()

    def _follow(self) -> None:
        """List, then watch until the watch breaks or it is time to list again."""
        listing = scan(self._store, keys.ENDPOINTS)
        for endpoint in listing.values:
            if endpoint.state is EndpointState.RELEASING:
                self._end(endpoint.id)
        watch = self._open_watch(listing.revision + 1)
        relist = threading.Timer(self._relist_s, watch.close)
        relist.daemon = True
        relist.start()
        try:
            for changes in watch:
                for change in changes:
                    self._look_at(change)
        finally:
            relist.cancel()
            watch.close()

    def _look_at(self, change: Change) -> None:
        if isinstance(change, Changed):
            # Most writes are of endpoints that nobody deletes: each is passed by without a read of the store.
            if RELEASING in change.item.value and (record := keys.ENDPOINTS.parts(change.item.key)):
                self._end(record[0])
        elif (attachment := keys.ATTACHMENTS.parts(change.key)) is not None:
            self._end(attachment[1])

    def _end(self, endpoint_id: str) -> None:
        try:
            found = read(self._store, keys.ENDPOINTS, endpoint_id)
        except Corrupt as fault:
            log.error("event=corrupt-value key=%s why=%r", fault.key, str(fault))
            return
        if found is None or found.value.state is not EndpointState.RELEASING:
            return
        if self._releaser.finalise(found):
            log.info("event=released endpoint=%s node=%s", endpoint_id, found.value.node)

    def _open_watch(self, revision: int) -> Watch:
        with self._lock:
            # The attachments of all nodes have only the prefix of everything nodes own in common.
            prefixes = (keys.ENDPOINTS.prefix(), keys.ATTACHMENTS.prefix())
            watch = self._watch = self._store.watch(prefixes, start_revision=revision)
        if self._stopping.is_set():
            watch.close()
        return watch

    def _close_watch(self) -> None:
        with self._lock:
            if self._watch is not None:
                self._watch.close()
