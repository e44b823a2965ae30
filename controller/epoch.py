"""Whether the store is the one that it was: the cluster it is of is the one that it says it is of.

etcd may give a restored backup a new cluster id, which it tells with every answer, while the backup holds the
old one; where it does not, its revision goes back, which whoever was there sees. Then nothing may be assigned
or freed until the backup is completed, which is told by a new nonce. So the committer asks before each
transaction and after it: one that reached the restored store unseen is answered as failed, and what it wrote
is completed like the rest.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable

from controller.reading import Found, put, read
from store import keys
from store.client import Absent, Store
from store.errors import Restored
from store.model import Cluster

LOOK_S = 1.0
"""How old the answer may be: somebody else may have seen the restore."""

NOT_COMPLETED = "0"
"""The id of no cluster: a store that says it is of this one is not to be believed."""


class Epoch:
    """What is known of the store's cluster. Safe to call from many threads."""

    def __init__(self, store: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known = ""
        """The cluster id at the last look."""
        self._believed = False
        self._looked = float("-inf")
        self._waits_for: str | None = None
        self._nonces: set[str] = set()
        """Those that were ever read: a store that became another and has a new one is completed already."""

    def check(self, *, anew: bool = False) -> None:
        """Return when the store is the one that it says it is.

        Args:
            anew: what was read a moment ago does not count.

        Raises:
            Restored: it is a backup that is not completed yet.
            Unavailable: the store does not answer.
        """
        fresh = not anew and self._monotonic() - self._looked < LOOK_S
        if not (fresh and self._believed and self._store.cluster_id() == self._known):
            self._look()

    @property
    def doubted(self) -> str | None:
        """The nonce of a store whose restore was seen here, and that need not tell it itself."""
        with self._lock:
            return self._waits_for

    def _look(self) -> None:
        looked = self._monotonic()
        says = self._stored().value
        actual = self._store.cluster_id()  # of the answer just now
        with self._lock:
            if self._known not in {"", actual} and says.nonce in self._nonces:
                self._waits_for = says.nonce
            elif says.nonce != self._waits_for:
                self._waits_for = None
            self._known, self._looked = actual, looked
            self._nonces.add(says.nonce)
            self._believed = self._waits_for is None and says.id == etcd_id(actual)
            if not self._believed:
                raise Restored(
                    "a backup was restored; what nodes hold is being adopted: see polder restore status"
                )

    def _stored(self) -> Found[Cluster]:
        while (found := read(self._store, keys.CLUSTER)) is None:
            mark = put(keys.CLUSTER, fresh_cluster(self._store))
            self._store.txn((Absent(mark.key),), (mark,))
        return found


def cluster_of(store: Store) -> str:
    """The id that a store says while it is completed: that of the cluster that gave the last answer."""
    return etcd_id(store.cluster_id())


def etcd_id(cluster_id: str) -> str:
    """The id that etcd tells, of one of `Store.cluster_id`."""
    return cluster_id.partition(".")[0]


def fresh_cluster(store: Store, heard: Iterable[str] = ()) -> Cluster:
    """What a store says that is completed now, with what the nodes that were heard hold."""
    return Cluster(id=cluster_of(store), nonce=secrets.token_hex(8), heard=tuple(heard))


def asked_anew(cluster: Cluster) -> Cluster:
    """What a store says that is not completed, so that each node says anew what it holds."""
    return cluster.model_copy(update={"id": NOT_COMPLETED, "nonce": secrets.token_hex(8)})
