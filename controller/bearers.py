"""The tokens that are stored, as this controller knows them: a feed in a thread of its own.

No request reads the store to find out who asks. A token that is created, rotated or deleted on any
controller is known here as soon as the watch brings it, some milliseconds later. With etcd away what was
known goes on being valid until it expires.
"""

from __future__ import annotations

import threading

from store import keys
from store.client import Store
from store.feed import DecodedItem, Delete, Feed, InSync, Put, decoded_batches
from store.model import Token

RELIST_S = 30.0
"""Seconds between lists: a watch can lose an event, and a deleted token must not live on for long."""

SETTLE_S = 1.0


class Bearers:
    """The stored tokens by name. `start` and `stop` once each; the rest from any thread."""

    def __init__(self, store: Store) -> None:
        self._feed = Feed(store, (keys.TOKENS.prefix(),), relist_s=RELIST_S)
        self._tokens: dict[str, Token] = {}
        self._in_sync = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="tokens", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is known stays. Idempotent."""
        self._feed.close()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    @property
    def in_sync(self) -> bool:
        """Whether the store was read whole once: before that a token that is not known may exist."""
        return self._in_sync

    def find(self, name: str) -> Token | None:
        """What is known of the token of this name."""
        return self._tokens.get(name)

    def settle(self, name: str, token: Token | None) -> None:
        """Wait until this is known of a name, None for no such token: what was written is good here at once.

        Blocking: `SETTLE_S` at most, as the write is done whether or not the feed has brought it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._tokens.get(name) == token, SETTLE_S)

    def _run(self) -> None:
        for batch in decoded_batches(self._feed):
            with self._changed:
                for item in batch:
                    self._take(item)
                self._changed.notify_all()

    def _take(self, item: DecodedItem) -> None:
        match item:
            case Put(value=Token() as token):
                self._tokens[token.name] = token
            case Delete(key=key) if (parts := keys.TOKENS.parts(key)) is not None:
                self._tokens.pop(parts[0], None)
            case InSync():
                self._in_sync = True
