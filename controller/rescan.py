"""Every value of a kind, looked at again and again: what has not changed is not decoded again.

For duties that look every few seconds: to decode a thousand nodes takes Python's lock from requests for as
long as one of them takes.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from controller.reading import Found, decodable, scan_all
from store.client import KeyValue, Store
from store.keys import Kind
from store.model import Value

V = TypeVar("V", bound=Value)


class Rescan(Generic[V]):
    """Reads all of a kind at each look. One thread at a time."""

    def __init__(self, store: Store, kind: Kind[V]) -> None:
        self._store = store
        self._kind = kind
        self._known: dict[KeyValue, Found[V] | None] = {}
        """By what is stored, revision included; None for what does not decode."""

    def look(self) -> list[Found[V]]:
        """What there is now. A value that does not decode is left out, and logged the first time."""
        items = scan_all(self._store, self._kind.prefix())
        new = [item for item in items if item not in self._known]
        decoded = {found.key: found for found in decodable(self._kind, new)}
        known = self._known
        self._known = {item: known[item] if item in known else decoded.get(item.key) for item in items}
        return [found for found in self._known.values() if found is not None]
