"""The protocol of a driver: the small piece that reads and writes one kind of state of one device.

A driver touches only what carries its ownership mark, and doing a thing twice is doing it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Protocol, TypeVar

from agents.delta import Delta

K = TypeVar("K")
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class Outcome(Enum):
    """How an `apply` ended, and so what the caller does next."""

    DONE = "done"
    """All of it is true now."""
    RETRY = "retry"
    """The device did not take it now (away, busy). Read again and apply again after a pause."""
    RESYNC = "resync"
    """What is there is not what was believed. Read again and apply again at once."""
    REJECTED = "rejected"
    """Some of it will never be taken as it is; the rest is true. Logged; tried again at the next resync."""


class Unreadable(Exception):
    """The device cannot be read now. Nothing is known; keep what was believed and try again after a pause."""


class Reading(Protocol[K, V_co]):
    """A device as it was at one moment since this was begun, read while it goes on being changed."""

    def part(self) -> Mapping[K, V_co] | None:
        """Some more of it. Empty when there is nothing yet, None at the end. Raises `Unreadable`."""
        ...


class Driver(Protocol[K, V]):
    """Reads and writes one kind of state."""

    def read(self) -> Mapping[K, V]:
        """What is there and carries our mark. Raises `Unreadable` when the device is away."""
        ...

    def apply(self, change: Delta[K, V]) -> Outcome:
        """Make the change true. Idempotent."""
        ...
