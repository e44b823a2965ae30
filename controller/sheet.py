"""Keys of many kinds, read together and decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from controller import trail
from controller.reading import Found
from store.client import Store
from store.codec import decode
from store.keys import Kind
from store.model import Value

V = TypeVar("V", bound=Value)


class Sheet:
    """What stands at some keys. Not of one revision: what is written on the strength of it compares."""

    def __init__(self, store: Store, wanted: Iterable[str]) -> None:
        """Blocking: one request for some hundred keys."""
        self._items = store.get_many(list(dict.fromkeys(wanted)))
        self._found: dict[str, Found[Any]] = {}
        if (request := trail.current()) is not None:
            for item in self._items.values():
                request.saw(item)

    def has(self, key: str) -> bool:
        """Whether there is anything."""
        return key in self._items

    def find(self, kind: Kind[V], *parts: object) -> Found[V] | None:
        """What stands at one of the keys. Raises `Corrupt`."""
        key = kind.key(*parts)
        item = self._items.get(key)
        if item is None:
            return None
        if key not in self._found:
            self._found[key] = Found(decode(kind.model, item.value, key=key), key, item.mod_revision)
        return self._found[key]
