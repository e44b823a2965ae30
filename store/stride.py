"""Where a page of keys probably ends, so that etcd need not look further.

etcd 3.4 walks its index to the end of the range that is asked for, whatever the limit: 500 of 100,000 keys
take 30 ms for 1 ms of work, and writes wait meanwhile. So a page is asked for in ranges that are narrow at
first: as wide as so many keys were apart last time, then wider. A wrong guess costs a request, never a key.

How far keys are apart is counted in the bytes that they are made of: between the `9` and the `a` of a
hexadecimal id no key can be.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from store.client import KeyValue

WIDTH_BYTES = 32
"""The part of a key behind its prefix that counts as its place."""

FEW = 100
"""Fewer keys say nothing of how far keys are apart, and are quickly read."""

WIDEN = 4
ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class _Stride:
    alphabet: bytes
    """The bytes that keys are made of, in order: the digits of their places."""
    first: str
    """The first key that was seen."""
    gap: int
    """How far two keys are apart."""

    def place(self, stem: bytes, key: str) -> int:
        """Where a key is; one that has other bytes is near."""
        base, place = len(self.alphabet), 0
        for each in key.encode()[len(stem) :][:WIDTH_BYTES].ljust(WIDTH_BYTES, self.alphabet[:1]):
            place = place * base + bisect_left(self.alphabet, each)
        return place

    def key(self, stem: bytes, place: int) -> bytes:
        """The key at a place; the last that there can be, when it is beyond."""
        base, digits = len(self.alphabet), bytearray(WIDTH_BYTES)
        place = min(place, base**WIDTH_BYTES - 1)
        for index in reversed(range(WIDTH_BYTES)):
            place, digit = divmod(place, base)
            digits[index] = self.alphabet[digit]
        return stem + digits


class Strides:
    """What was learnt of each prefix that has many keys. Safe to call from many threads."""

    def __init__(self) -> None:
        self._known: dict[str, _Stride] = {}

    def ends(self, prefix: str, after: str, limit: int, whole: bytes) -> Iterator[bytes]:
        """The ends of the ranges to ask for, each behind the one before; the last is `whole`."""
        known = self._known.get(prefix) if limit else None
        if known is not None and after.startswith(prefix if after else ""):
            stem = prefix.encode()
            before = max(stem, after.encode())
            place = known.place(stem, max(after, known.first))
            step = known.gap * limit * 5 // 4 + 1
            for _ in range(ATTEMPTS):
                place += step
                step *= WIDEN
                end = known.key(stem, place)
                if not before < end < whole:  # the end of all keys is written as \0
                    break
                yield end
                before = end
        yield whole

    def learn(self, prefix: str, items: Sequence[KeyValue]) -> None:
        """Take note of neighbours: keys that were read in one go."""
        if len(items) < FEW:
            return
        stem, known = prefix.encode(), self._known.get(prefix)
        tails = [item.key.encode()[len(stem) :][:WIDTH_BYTES] for item in items]
        alphabet = bytes(sorted(set().union(known.alphabet if known else b"", *tails)))
        first = min(items[0].key, known.first) if known else items[0].key
        stride = _Stride(alphabet, first, 0)
        apart = stride.place(stem, items[-1].key) - stride.place(stem, items[0].key)
        self._known[prefix] = replace(stride, gap=apart // len(items))
