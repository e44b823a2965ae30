"""The priorities of levels: a level that comes or goes moves no other, as long as there is room. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

TOP = 60_000
"""The priority of the first level; each next one is lower."""
STRIDE = 64
"""How much lower, where nothing was before: levels that come later find room between."""


def priorities(levels: Sequence[Sequence[str]], before: Mapping[str, int]) -> list[int]:
    """A priority for each level, falling. As many as possible keep the one they had.

    Args:
        levels: the names of the rules of each, fewer than `TOP` levels.
        before: the priority that a rule had.
    """
    had = [next((before[name] for name in level if name in before), None) for level in levels]
    return _filled(had, _longest_falling(had)) or _fresh(len(levels))


def _fresh(count: int) -> list[int]:
    stride = min(STRIDE, TOP // (count + 1))
    return [TOP - place * stride for place in range(count)]


def _longest_falling(values: Sequence[int | None]) -> list[int]:
    """The places of the longest sequence of values that falls."""
    ends: list[int] = []
    lowest: list[int] = []
    back: dict[int, int | None] = {}
    for place, value in enumerate(values):
        if value is not None:
            length = bisect_left(lowest, -value)
            back[place] = ends[length - 1] if length else None
            ends[length:] = [place, *ends[length + 1 :]]
            lowest[length:] = [-value, *lowest[length + 1 :]]
    found: list[int] = []
    at = ends[-1] if ends else None
    while at is not None:
        found.append(at)
        at = back[at]
    return found[::-1]


def _filled(values: Sequence[int | None], kept: Sequence[int]) -> list[int]:
    """Those that are kept, and what lies evenly between them; nothing when there is no room."""
    made: list[int] = []
    for end in (*kept, len(values)):
        low = (values[end] or 0) if end < len(values) else 0
        high, missing = made[-1] if made else TOP + STRIDE, end - len(made)
        step = min(STRIDE, (high - low) // (missing + 1))
        if missing and not step:
            return []
        made += [high - step * (place + 1) for place in range(missing)]
        if end < len(values):
            made.append(low)
    return made
