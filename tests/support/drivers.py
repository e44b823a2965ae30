"""Real drivers over a dictionary: a device that is read, changed, changed behind our back, and away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from agents.delta import Delta
from agents.driver import Outcome, Reading, Unreadable

K = TypeVar("K")
V = TypeVar("V")

DEVICES = ("rules", "neighbours", "routes", "shares", "meters", "flows")
"""What the pass of a node agent has a driver for, beside the plug, in the order of going up."""


class DictDriver(Generic[K, V]):
    """Holds what was applied. `refuse` are keys it never takes; `journal` is every change in order.

    A journal shared by several drivers shows the order across them.
    """

    def __init__(
        self,
        held: Mapping[K, V] | None = None,
        *,
        name: str = "",
        journal: list[tuple[str, str, K]] | None = None,
    ) -> None:
        self.held: dict[K, V] = dict(held or {})
        self.name = name
        self.journal: list[tuple[str, str, K]] = journal if journal is not None else []
        self.away = False
        self.refuse: set[K] = set()
        self.reads = 0
        self.begun = 0

    def read(self) -> Mapping[K, V]:
        if self.away:
            raise Unreadable(f"{self.name} is away")
        self.reads += 1
        return dict(self.held)

    def begin(self) -> Reading[K, V] | None:
        """Begin to read what is held now, an entry at a time."""
        if self.away:
            return None
        self.begun += 1
        return EntryByEntry(self)

    def apply(self, change: Delta[K, V]) -> Outcome:
        if self.away:
            return Outcome.RETRY
        taken = {key: value for key, value in change.put.items() if key not in self.refuse}
        self.held.update(taken)
        self.journal += [("put", self.name, key) for key in taken]
        for key in change.delete:
            self.held.pop(key, None)
            self.journal.append(("delete", self.name, key))
        return Outcome.DONE if len(taken) == len(change.put) else Outcome.REJECTED


class EntryByEntry(Generic[K, V]):
    """What a device held when this was made; before each entry, and before the end, there is nothing yet."""

    def __init__(self, device: DictDriver[K, V]) -> None:
        self._device = device
        self._left = [*device.held.items()]
        self._there = True

    def part(self) -> Mapping[K, V] | None:
        if self._device.away:
            raise Unreadable(f"{self._device.name} is away")
        self._there = not self._there
        if not self._there:
            return {}
        return dict([self._left.pop()]) if self._left else None
