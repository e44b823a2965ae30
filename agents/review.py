"""What a device holds, read in parts beside its changes, compared with what is believed of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

from agents.driver import Reading

K = TypeVar("K")
V = TypeVar("V")

SLICE_S = 0.02
"""What is taken in at a time takes so long, and one part more: an event waits no longer for it."""


class Otherwise(NamedTuple, Generic[K, V]):
    """Where a device is not as believed."""

    believed: Mapping[K, V]
    """Without what was not expected."""
    found: Mapping[K, V]
    """Without what is missing."""


class Review(Generic[K, V]):
    """One reading. What was changed since it was begun is not judged: the reading may be older or newer.

    Args:
        reading: begun after the last change that `believed` has.
        believed: what is believed of the device.
        clock: seconds, monotonic.
    """

    def __init__(
        self, reading: Reading[K, V], believed: Mapping[K, V], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reading = reading
        self._clock = clock
        self._awaited = dict(believed)
        self._believed: dict[K, V] = {}
        self._found: dict[K, V] = {}
        self._changed: set[K] = set()
        self.waits = True
        """Whether there is nothing to take in now."""
        self.again = False
        """Whether something may have happened after the moment that is read."""

    def changed(self, keys: Iterable[K]) -> None:
        """Know of entries that were put or deleted."""
        self._changed.update(keys)

    def take(self) -> bool:
        """Take in parts for `SLICE_S`; whether the last one is taken. Raises `Unreadable`."""
        until = self._clock() + SLICE_S
        while (part := self._reading.part()) is not None:
            self._compare(part)
            self.waits = not part
            if self.waits or self._clock() >= until:
                return False
        self._believed |= self._awaited
        return True

    @property
    def otherwise(self) -> Otherwise[K, V]:
        """What was found to be otherwise, when all is taken in."""
        believed, found = (
            {key: value for key, value in each.items() if key not in self._changed}
            for each in (self._believed, self._found)
        )
        return Otherwise(believed, found)

    def _compare(self, part: Mapping[K, V]) -> None:
        for key, found in part.items():
            awaited = self._awaited.pop(key, None)
            if awaited is found or awaited == found:
                continue
            self._found[key] = found
            if awaited is not None:
                self._believed[key] = awaited
