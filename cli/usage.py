"""`polder pool show`: a pool's blocks as a bar for each node, and when the pool will be full.

Each block is drawn by itself while every block still gets some cells; else a node's blocks share one bar,
whose length says how many they are. A state that has one address has one cell at least: a bar that hides
the last free address, or the only used one, would lie.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cli.colour import styled
from cli.rest import Json
from cli.text import shown
from cli.times import lasted

UNLIMITED = 100
"""The width of what is not a terminal."""
LEAST_PERCENT = 0.01
UNREADABLE = 10**12
FEWEST_CELLS = 4
MOST_CELLS = 16
"""Of one block."""


@dataclass(frozen=True, slots=True)
class State:
    """What addresses are, and how they are drawn."""

    field: str
    word: str
    cell: str
    ascii_cell: str
    colour: str


STATES = (
    State("assigned", "used", "█", "#", "green"),
    State("cooling", "cooling", "▓", "~", "yellow"),
    State("reserved", "reserved", "▒", "x", "blue"),
    State("free", "free", "░", ".", "bright_black"),
)
"""In the order of a bar."""

Counts = Mapping[str, Any]


def lines(pool: Json, usage: Json, now: datetime) -> Iterator[str]:
    """What is printed of a pool and its usage."""
    blocks = usage["blocks"]
    yield f"pool {shown(pool['name'])}  {shown(pool['cidr'])}, blocks of /{pool['block_prefixlen']}, " + (
        f"announced by {pool['advertise']}" + (", disabled" if pool.get("disabled") else "")
    )
    counted = ", ".join(f"{_number(usage[state.field])} {state.word}" for state in STATES)
    share = f"{_share(usage)} of those that can be assigned are used"
    yield f"{_number(usage['size'])} addresses: {counted} ({share})"
    unclaimed = _number(blocks["total"] - blocks["claimed"])
    yield f"{_number(blocks['total'])} blocks: {blocks['claimed']} claimed, {unclaimed} not"
    if usage["nodes"]:
        yield ""
        yield from _nodes(usage["nodes"])
    yield ""
    yield _forecast(usage["forecast"], now)


def cells(counts: Counts, length: int) -> list[int]:
    """How many of a bar's cells each of `STATES` gets: their shares, and one at least for what there is."""
    numbers = [int(counts[state.field]) for state in STATES]
    present = sum(number > 0 for number in numbers)
    total = sum(numbers)
    if total == 0 or length < present:
        return [0] * len(numbers)
    given = [1 if number else 0 for number in numbers]
    while sum(given) < length:
        # the one that is farthest below its share
        lack = [number * length / total - cell for number, cell in zip(numbers, given, strict=True)]
        given[lack.index(max(lack))] += 1
    return given


def bar(counts: Counts, length: int, *, ascii_only: bool) -> str:
    """One bar of `length` cells, coloured where colours are taken."""
    return "".join(
        styled((state.ascii_cell if ascii_only else state.cell) * number, state.colour)
        for state, number in zip(STATES, cells(counts, length), strict=True)
        if number
    )


def _nodes(nodes: Sequence[Json]) -> Iterator[str]:
    names = [shown(node["node"]) for node in nodes]
    wide = max(len("NODE"), *map(len, names))
    numbers = [[str(_sum(node, state.field)) for state in STATES] for node in nodes]
    heads = [state.word.upper() for state in STATES]
    widths = [
        max(len(head), *map(len, column))
        for head, column in zip(heads, zip(*numbers, strict=True), strict=True)
    ]
    left = wide + sum(widths) + 2 * (len(widths) + 1)
    ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
    draw = _drawing(nodes, max(FEWEST_CELLS * 4, _width() - left), ascii_only=ascii_only)
    yield f"{'NODE':<{wide}}  " + "  ".join(
        f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)
    )
    for name, row, node in zip(names, numbers, nodes, strict=True):
        counts = "  ".join(f"{number:>{width}}" for number, width in zip(row, widths, strict=True))
        yield f"{name:<{wide}}  {counts}  {draw(node)}"
    yield ""
    yield "  ".join(
        f"{styled(state.ascii_cell if ascii_only else state.cell, state.colour)} {state.word}"
        for state in STATES
    )


def _drawing(nodes: Sequence[Json], width: int, *, ascii_only: bool) -> Any:
    most = max(len(node["blocks"]) for node in nodes)
    each = min(MOST_CELLS, (width + 1) // most - 1)

    def one_by_one(node: Json) -> str:
        return " ".join(bar(block, each, ascii_only=ascii_only) for block in node["blocks"])

    def together(node: Json) -> str:
        counts = {state.field: _sum(node, state.field) for state in STATES}
        return bar(counts, max(FEWEST_CELLS, width * len(node["blocks"]) // most), ascii_only=ascii_only)

    return one_by_one if each >= FEWEST_CELLS else together


def _sum(node: Json, field: str) -> int:
    return sum(int(block[field]) for block in node["blocks"])


def _share(usage: Json) -> str:
    used, assignable = usage["assigned"] + usage["cooling"], usage["assignable"]
    percent = 100 * used / assignable if assignable else 100.0
    if 0 < percent < LEAST_PERCENT:
        return f"under {LEAST_PERCENT} %"
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1g} %"


def _number(count: int) -> str:
    """Whole, or `1.8e+19` where nobody would read the digits."""
    return f"{count:.2g}" if count >= UNREADABLE else str(count)


def _forecast(forecast: Json, now: datetime) -> str:
    why = shown(forecast.get("why"))
    at = forecast.get("exhausted_at")
    if not at:
        return f"exhaustion: not foreseen; {why}"
    left = lasted(now.isoformat(), datetime.fromisoformat(at))
    rate = forecast.get("rate_per_hour")
    when = datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    if rate is None:
        return f"exhaustion: now; {why}"
    return f"exhaustion: in {left}, {when}, at {rate:g} more addresses an hour; {why}"


def _width() -> int:
    return shutil.get_terminal_size((UNLIMITED, 24)).columns if sys.stdout.isatty() else UNLIMITED
