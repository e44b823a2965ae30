"""The priorities of levels: a level that comes or goes moves no other, as long as there is room. Pure.

A program that restarts finds them in the flows that its predecessor left, so that these stay, and go on
counting.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from openflow.flow import Conjunction, Flow, SetField
from openflow.tables import WHY

TOP = 60_000
"""The priority of the first level; each next one is lower."""
STRIDE = 64
"""How much lower, where nothing was before: levels that come later find room between."""


Had = Mapping[int, int]
"""The priority that each rule of a table had, by its number."""


def priorities(levels: Sequence[Sequence[int]], before: Had) -> list[int]:
    """A priority for each level, falling. As many as possible keep the one they had.

    Args:
        levels: the numbers of the rules of each, fewer than `TOP` levels.
        before: what they had.
    """
    had = [next((before[rule] for rule in level if rule in before), None) for level in levels]
    return _filled(had, _longest_falling(had)) or _fresh(len(levels))


def had_in(flows: Iterable[Flow]) -> Mapping[int, Had]:
    """What the rules of each table have in these flows, by the table's id."""
    found: dict[int, dict[int, int]] = defaultdict(dict)
    for flow in flows:
        for rule in _rules_of(flow):
            found[flow.table_id][rule] = flow.priority
    return found


def _rules_of(flow: Flow) -> Iterator[int]:
    """The numbers of the rules that a flow is a part of."""
    for action in flow.actions:
        if isinstance(action, Conjunction):
            yield action.conj_id
        elif isinstance(action, SetField) and action.field == WHY and isinstance(action.value, int):
            yield action.value


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
