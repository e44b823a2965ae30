"""What a program of a node knows of the store: a feed in a thread of its own, collected in a view.

With the store away, what was known stays: nothing is flushed because nobody answers. The same while the
store is a restored backup that is not believed yet (`agents.belief`): it is older than what the node holds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from agents.belief import Belief
from intent.mtu import Mtus
from intent.snapshot import Snapshot, View
from store.client import Store
from store.feed import DecodedItem, Delete, Feed, InSync, LeftOut, Put, decoded_batches
from store.model import Value


class Knowledge:
    """The snapshot of one node. `snapshot` and `wait_for` may be called from any thread.

    Args:
        store: the store.
        node: the node's name.
        on_change: called from the feed's thread when the snapshot, or what is believed, has changed; only
            marks something dirty.
        belief: whether what the store says counts.
        prefixes: what it listens to.
        without: what of that the snapshot lacks.
    """

    def __init__(
        self,
        store: Store,
        node: str,
        on_change: Callable[[], None],
        belief: Belief,
        prefixes: Sequence[str],
        without: Collection[type[Value]] = (),
    ) -> None:
        self._feed = Feed(store, prefixes)
        self._view = View(node)
        self._without = without
        self._on_change = on_change
        self._store = store
        self._in_sync = False
        self._told: Snapshot | None = None
        self._belief = belief
        self._revision = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is known stays."""
        self._feed.close()
        self._thread.join(timeout=2)

    def snapshot(self) -> Snapshot | None:
        """What is known; None as long as the store has not been read whole once, and can be believed."""
        with self._changed:
            return self._told

    def measure(self, mtus: Mtus) -> None:
        """Take what the kernel says of this node's links. The snapshot has it at once."""
        with self._changed:
            self._view.measure(mtus)
            if self._told is not None and self._is_believed(whole=False):
                self._told = self._view.snapshot

    @property
    def waits_for(self) -> str:
        """The nonce of a restored store that is not completed yet; empty when what is read is believed."""
        with self._changed:
            return self._belief.waits_for

    @property
    def believes(self) -> str:
        """The nonce of the store that the snapshot is of; empty while there is none, or it is doubted."""
        with self._changed:
            return self._belief.nonce if self._told is not None else ""

    @property
    def connected(self) -> bool:
        """Whether the store answered when it was last heard of."""
        return self._feed.connected

    def wait_for(self, told: Callable[[Snapshot], bool], timeout_s: float) -> bool:
        """Wait until the snapshot satisfies `told`; false when that takes longer than `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._told is not None and told(self._told), timeout_s)

    def _run(self) -> None:
        for batch in decoded_batches(self._feed, self._without):
            with self._changed:
                told, believed = self._told, (self._belief.waits_for, self._belief.nonce)
                for item in batch:
                    self._take(item)
                if self._in_sync and self._is_believed(whole=isinstance(batch[-1], InSync)):
                    self._told = self._view.snapshot
                if self._belief.wants_whole:
                    self._feed.relist()
                same = self._told is told and (self._belief.waits_for, self._belief.nonce) == believed
                if not same:
                    self._changed.notify_all()
            if self._in_sync and not same:
                self._on_change()

    def _is_believed(self, *, whole: bool) -> bool:
        cluster_id = self._store.cluster_id()
        return self._belief.look(self._view.snapshot, cluster_id, self._revision, whole=whole)

    def _take(self, item: DecodedItem) -> None:
        match item:
            case Put(key=key, value=value, mod_revision=revision):
                self._view.put(key, value)
            case Delete(key=key, mod_revision=revision):
                self._view.delete(key)
            case InSync(revision=revision):
                self._in_sync = True
            case LeftOut(mod_revision=revision):
                pass
        self._revision = revision
