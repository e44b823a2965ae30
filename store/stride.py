"""Where a page of keys probably ends, so that etcd need not look further.

etcd 3.4 walks its index to the end of the range that is asked for, whatever the limit: 500 of 100,000 keys
take 30 ms for 1 ms of work, and writes wait meanwhile. So a page is asked for in ranges that are narrow at
first: as wide as so many keys were apart last time, then wider. A wrong guess costs a request, never a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from store.client import KeyValue

WIDTH_BYTES = 32
"""The part of a key behind its prefix that counts as its place."""

LAST = (1 << WIDTH_BYTES * 8) - 1
FEW = 100
"""Fewer keys say nothing of how far keys are apart, and are quickly read."""

WIDEN = 4
ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class _Stride:
    first: int
    """The place of the first key that was seen."""
    gap: int
    """How far two keys are apart."""


class Strides:
    """What was learnt of each prefix that has many keys. Safe to call from many threads."""

    def __init__(self) -> None:
        self._known: dict[str, _Stride] = {}

    def ends(self, prefix: str, after: str, limit: int, whole: bytes) -> Iterator[bytes]:
        """The ends of the ranges to ask for, each behind the one before; the last is `whole`."""
        known = self._known.get(prefix) if limit else None
        if known is not None and after.startswith(prefix if after else ""):
            stem = prefix.encode()
            place = max(_place(stem, after), known.first)
            step = known.gap * limit * 5 // 4 + 1
            for _ in range(ATTEMPTS):
                place += step
                step *= WIDEN
                end = stem + min(place, LAST).to_bytes(WIDTH_BYTES)
                if not stem < end < whole:  # the end of all keys is written as \0
                    break
                yield end
        yield whole

    def learn(self, prefix: str, items: Sequence[KeyValue]) -> None:
        """Take note of neighbours: keys that were read in one go."""
        if len(items) < FEW:
            return
        stem = prefix.encode()
        low, high = _place(stem, items[0].key), _place(stem, items[-1].key)
        known = self._known.get(prefix)
        first = min(low, known.first) if known else low
        self._known[prefix] = _Stride(first, (high - low) // len(items))


def _place(stem: bytes, key: str) -> int:
    return int.from_bytes(key.encode()[len(stem) :][:WIDTH_BYTES].ljust(WIDTH_BYTES, b"\0"))
