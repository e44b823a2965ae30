"""Values that this controller has in the store for as long as it lives: each only where no other has one.

Two controllers may hear the same router. Who writes first keeps the key until its lease ends or it lets go;
the other one then finds the key free.
"""

from __future__ import annotations

from collections.abc import Callable

from controller.reading import put
from store import keys
from store.client import Absent, Compare, Delete, Put, Store, Unchanged
from store.errors import LeaseExpired
from store.model import Verified

TTL_S = 15
RENEW_S = 5.0


class Claims:
    """The claimed keys. One thread at a time. What writes may raise what the store does."""

    def __init__(self, store: Store, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._lease_id = 0
        self._renewed = float("-inf")
        self._mine: dict[str, tuple[bytes, int]] = {}
        """The value and revision of each key that is ours."""
        self._doubted: set[str] = set()
        """The keys of which a transaction was sent whose answer did not come."""

    def has(self, key: str) -> bool:
        """Whether the key is this controller's."""
        return key in self._mine and key not in self._doubted

    def may_have(self, key: str) -> bool:
        """Likewise, or it is not known."""
        return key in self._mine or key in self._doubted

    def renew(self) -> None:
        """Keep what is claimed. To be called more often than every `TTL_S`."""
        if not self._lease_id or self._monotonic() - self._renewed < RENEW_S:
            return
        try:
            self._store.keep_alive(self._lease_id)
        except LeaseExpired:
            self._forget()
        else:
            self._renewed = self._monotonic()

    def say(self, value: Verified) -> bool:
        """Write a value, unless it is there. False when the key is another controller's."""
        if not self._lease_id:
            self._lease_id, self._renewed = self._store.grant(TTL_S), self._monotonic()
        key = keys.VERIFIED.key(value.node, value.peer)
        written = put(keys.VERIFIED, value, value.node, value.peer, lease_id=self._lease_id)
        if key in self._doubted:
            self._learn(key)
        mine = self._mine.get(key)
        if mine is not None and mine[0] == written.value:
            return True
        revision = self._apply(key, Absent(key) if mine is None else Unchanged(key, mine[1]), written)
        if revision:
            self._mine[key] = written.value, revision
        return bool(revision)

    def drop_but(self, kept: set[str]) -> None:
        """Let go of the keys that are not among these."""
        for key in (self._mine.keys() | self._doubted) - kept:
            if key in self._doubted:
                self._learn(key)
            if key in self._mine and self._apply(key, Unchanged(key, self._mine[key][1]), Delete(key)):
                del self._mine[key]

    def release(self) -> None:
        """Let go of all."""
        lease_id = self._lease_id
        self._forget()
        if lease_id:
            self._store.revoke(lease_id)

    def _apply(self, key: str, compare: Compare, op: Put | Delete) -> int:
        """The revision at which it was done; 0 when the key is not as it was."""
        self._doubted.add(key)
        try:
            answer = self._store.txn((compare,), (op,))
        except LeaseExpired:
            self._forget()
            raise
        if not answer.succeeded:
            self._learn(key)
            return 0
        self._doubted.discard(key)
        return answer.revision

    def _learn(self, key: str) -> None:
        """Look whose the key is: ours is what is under our lease."""
        item = self._store.get(key)
        self._mine.pop(key, None)
        if item is not None and item.lease_id == self._lease_id:
            self._mine[key] = item.value, item.mod_revision
        self._doubted.discard(key)

    def _forget(self) -> None:
        self._lease_id = 0
        self._mine.clear()
        self._doubted.clear()
