"""The duty of release: endpoints that their nodes have taken down end.

An endpoint that is being released ends when its node's agent removes the attachment key. The elected
replica lists the releasing ones, then watches attachments go; whoever marks an endpoint looks himself whether
one is left. It lists again every five minutes, so that a lost event delays and never leaks. No record is
watched: an assignment would be told to somebody who has nothing to do with it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from controller.following import Following
from controller.ipam.release import Releaser
from controller.reading import read, scan
from store import keys
from store.client import Change, Removed, Store
from store.errors import Corrupt
from store.lasting import lasting
from store.model import EndpointState

log = logging.getLogger(__name__)

RELEASING = b'"state":"releasing"'
RELIST_S = 300.0
"""All endpoints are read for it: of 100,000 etcd sends 33 MB."""
ATTEMPTS, AGAIN_S = 5, 0.1
"""Of one that could end and lost a race. Others wait meanwhile; after that it is found by the next list."""
AT_ONCE = 16
"""Endpoints that are ended at a time: their transactions are shared."""


class Finaliser:
    """Ends releasing endpoints. One `run`, ended by `stop`."""

    def __init__(self, store: Store, releaser: Releaser, *, relist_s: float = RELIST_S) -> None:
        self._store = store
        self._releaser = releaser
        self._relist_s = relist_s
        self._watches = Following()

    def run(self) -> None:
        """End what can be ended, now and as it becomes possible. Blocking, until `stop`."""
        self._watches.run(
            self._follow, lambda fault: log.debug("event=watch-lost duty=release why=%r", str(fault))
        )

    def stop(self) -> None:
        """End `run`. Idempotent."""
        self._watches.end()

    def _follow(self) -> None:
        """List, then watch until the watch breaks or it is time to list again."""
        listing = scan(self._store, keys.ENDPOINTS, mark=RELEASING)
        releasing = [each.id for each in listing.values if each.state is EndpointState.RELEASING]
        with ThreadPoolExecutor(AT_ONCE, "finaliser") as pool:
            self._end_all(pool, releasing)
            self._watch_from(listing.revision + 1, pool)

    def _watch_from(self, revision: int, pool: ThreadPoolExecutor) -> None:
        # The attachments of all nodes have only the prefix of everything nodes own in common.
        opened = self._store.watch((), start_revision=revision, removals=(keys.ATTACHMENTS.prefix(),))
        with lasting(self._watches.begin(opened), self._relist_s) as watch:
            for changes in watch:
                self._end_all(pool, [name for change in changes if (name := _meant(change))])

    def _end_all(self, pool: ThreadPoolExecutor, endpoints: Sequence[str]) -> None:
        """End those that can be ended. Blocking. Raises what the store does."""
        for start in range(0, len(endpoints), AT_ONCE):
            for done in [pool.submit(self._end, each) for each in endpoints[start : start + AT_ONCE]]:
                done.result()

    def _end(self, endpoint_id: str) -> None:
        for _ in range(ATTEMPTS):
            try:
                found = read(self._store, keys.ENDPOINTS, endpoint_id)
            except Corrupt as fault:
                log.error("event=corrupt-value key=%s why=%r", fault.key, str(fault))
                return
            if found is None or found.value.state is not EndpointState.RELEASING:
                return
            if self._watches.ended.is_set():
                return
            if self._releaser.finalise(found):
                log.info("event=released endpoint=%s node=%s", endpoint_id, found.value.node)
                return
            if not self._releaser.can_end(found):
                return  # that its node lets go of it will be told
            self._watches.ended.wait(AGAIN_S)


def _meant(change: Change) -> str | None:
    """The endpoint that may end because of a change: an attachment of it went."""
    attachment = keys.ATTACHMENTS.parts(change.key) if isinstance(change, Removed) else None
    return attachment[1] if attachment else None
