"""What the comparison needs of the store, but for the prefixes: a feed in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from store import keys
from store.client import Store
from store.feed import DecodedItem, Delete, Feed, Put, decoded_batches
from store.model import IPAddress, Peer, Session, Value, Verified


@dataclass(frozen=True, slots=True)
class Known:
    """The values as of one moment, by key."""

    peers: Mapping[str, Peer]
    sessions: Mapping[str, Session]
    verified: Mapping[str, Verified]


class Knowledge:
    """Keeps what is known. `start` and `stop` once each; the rest from any thread."""

    def __init__(self, store: Store) -> None:
        prefixes = [kind.prefix() for kind in (keys.PEERS, keys.SESSIONS, keys.VERIFIED)]
        self._feed = Feed(store, prefixes)
        self._values: dict[str, Value] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="monitoring-feed", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is known stays. Idempotent."""
        self._feed.close()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def now(self) -> Known:
        """What is known now."""
        with self._lock:
            values = list(self._values.items())
        return Known(
            peers={key: value for key, value in values if isinstance(value, Peer)},
            sessions={key: value for key, value in values if isinstance(value, Session)},
            verified={key: value for key, value in values if isinstance(value, Verified)},
        )

    def is_peer(self, address: IPAddress) -> bool:
        """Whether some peer has this address."""
        return any(peer.address == address for peer in self.now().peers.values())

    def _run(self) -> None:
        for batch in decoded_batches(self._feed):
            with self._lock:
                for item in batch:
                    self._take(item)

    def _take(self, item: DecodedItem) -> None:
        match item:
            case Put(key=key, value=value):
                self._values[key] = value
            case Delete(key=key):
                self._values.pop(key, None)
