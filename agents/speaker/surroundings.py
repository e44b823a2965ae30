"""What an edge node knows of all nodes: a second feed, in a thread of its own, while the node is an edge.

Like `agents.knowledge` it keeps what was known while the store is away. Whether the store may be believed is
decided there: what is read here counts when it is of the same store.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from intent.cluster import ClusterView, Member, watched
from store.client import Store
from store.errors import PermissionDenied
from store.feed import DecodedItem, Delete, Feed, InSync, Put, decoded_batches
from store.model import Cluster

log = logging.getLogger(__name__)

RETRY_S = 5.0
"""Between two tries when etcd does not grant the rights of an edge: they follow the node's record."""


class Surroundings:
    """The nodes of the cluster. `members` and `stop` may be called from any thread.

    Args:
        store: the store.
        on_change: called from the feed's thread after each change; only marks something dirty.
        believes: the nonce of the store that is believed; empty while none is, or it has none.
    """

    def __init__(self, store: Store, on_change: Callable[[], None], believes: Callable[[], str]) -> None:
        self._store = store
        self._on_change = on_change
        self._believes = believes
        self._lock = threading.Lock()
        self._read: tuple[Cluster | None, Mapping[str, Member]] | None = None
        self._told: Mapping[str, Member] | None = None
        self._feed = Feed(store, watched())
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="surroundings", daemon=True)
        self._thread.start()

    def members(self) -> Mapping[str, Member] | None:
        """Every node by name, as the store that is believed had it last; None while it was not read whole."""
        with self._lock:
            if self._read is not None and self._is_believed(self._read[0]):
                self._told = self._read[1]
            return self._told

    def _is_believed(self, cluster: Cluster | None) -> bool:
        """Whether what was read is of the store that the other feed believes, and no backup of it."""
        if cluster is None:
            return not self._believes()
        return cluster.nonce == self._believes() and cluster.id == self._store.cluster_id().partition(".")[0]

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._feed.close()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except PermissionDenied as fault:
                log.warning("event=edge-refused why=%r; retried in %g s", str(fault), RETRY_S)
                self._stopping.wait(RETRY_S)
                self._feed = Feed(self._store, watched())

    def _follow(self) -> None:
        view, in_sync = ClusterView(), False
        for batch in decoded_batches(self._feed):
            for item in batch:
                in_sync |= isinstance(item, InSync)
                _take(view, item)
            if in_sync:
                with self._lock:
                    self._read = view.cluster, view.members
                self._on_change()


def _take(view: ClusterView, item: DecodedItem) -> None:
    match item:
        case Put(key=key, value=value):
            view.put(key, value)
        case Delete(key=key):
            view.delete(key)
