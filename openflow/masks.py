"""A range of 16-bit numbers as the fewest masked values that cover it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from openflow.flow import MatchValue

BITS = 16


def masked(first: int, last: int) -> Iterator[MatchValue | None]:
    """The values, each a number or `number/mask`; None is every number.

    Args:
        first: 0 to `last`.
        last: at most 65535.
    """
    while first <= last:
        size = first & -first or 1 << BITS  # the largest part that may begin here
        while first + size - 1 > last:
            size >>= 1
        if size == 1 << BITS:
            yield None
        elif size == 1:
            yield first
        else:
            yield f"{first:#x}/{(1 << BITS) - size:#x}"
        first += size
