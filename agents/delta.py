"""Desired minus actual: what has to be put and what has to be deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Delta(Generic[K, V]):
    """A change of a mapping. `delete` holds the actual values, so that a driver knows what it removes."""

    put: Mapping[K, V]
    delete: Mapping[K, V]

    def __bool__(self) -> bool:
        return bool(self.put or self.delete)


def delta(desired: Mapping[K, V], actual: Mapping[K, V]) -> Delta[K, V]:
    """What turns `actual` into `desired`; empty when they are equal."""
    return Delta(puts(desired, actual), deletes(desired, actual))


def puts(desired: Mapping[K, V], actual: Mapping[K, V]) -> dict[K, V]:
    """What `actual` lacks, or has otherwise."""
    return {key: value for key, value in desired.items() if _differs(actual.get(key), value)}


def deletes(desired: Mapping[K, V], actual: Mapping[K, V]) -> dict[K, V]:
    """What `actual` has too much."""
    return {key: value for key, value in actual.items() if key not in desired}


def _differs(have: V | None, wanted: V) -> bool:
    """Identity first: what is desired was mostly made once, applied, and is desired still."""
    return have is not wanted and have != wanted
