"""Counting the addresses that a pool never assigns, by arithmetic: a pool may have 2^64 of them."""

from __future__ import annotations

from bisect import bisect_right

from controller.ipam import blocks
from store.model import IPAddress, IPNetwork, Pool

Span = tuple[int, int]
"""First and last address, as numbers."""


class Reserved:
    """The addresses of one pool that are never assigned: its reserved ranges, its first and its last."""

    def __init__(self, pool: Pool) -> None:
        self._spans = _merged(_spans(pool))
        self._firsts = [first for first, _ in self._spans]

    def __contains__(self, address: IPAddress) -> bool:
        index = bisect_right(self._firsts, int(address)) - 1
        return index >= 0 and int(address) <= self._spans[index][1]

    def count(self, within: IPNetwork) -> int:
        """How many of them are in a part of the pool."""
        low, high = int(within.network_address), int(within.broadcast_address)
        return sum(max(0, min(last, high) - max(first, low) + 1) for first, last in self._spans)


def _spans(pool: Pool) -> list[Span]:
    ranges = [(int(each.network_address), int(each.broadcast_address)) for each in pool.reserved]
    ends = (pool.cidr.network_address, pool.cidr.broadcast_address)
    return ranges + [(int(end), int(end)) for end in ends if blocks.is_reserved(pool, end)]


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
