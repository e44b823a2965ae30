"""Rows of text as a table as wide as the terminal, or one field a line where that is too narrow.

A cell is folded behind a comma or a blank, never inside a key, a name or an address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import click

from cli.text import columns_of

GAP = 2
PIECE = re.compile(r"[^, ]*(?:[, ]+|$)")
"""Text up to where a line may end."""

Style = Callable[[str], str]
"""The colour of a whole cell by what stands in it; nothing when it has none."""


def plain(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table in which nothing is folded."""
    widths = [max(map(columns_of, column)) for column in zip(*rows, strict=True)]
    return (_line(row, widths) for row in rows)


def fitted(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    styles: Sequence[Style],
    *,
    coloured: bool,
    bold: bool,
) -> Iterator[str]:
    """The lines for a terminal of so many columns, its headings `bold`."""
    widths = _widths([headings, *rows], width - GAP * (len(headings) - 1))
    if widths is None and not rows:
        yield from plain([headings])
        return
    if widths is None:
        yield from _records(headings, rows, styles, coloured=coloured)
        return
    strong = [lambda text: click.style(text, bold=True) if bold and text else text] * len(headings)
    yield from _folded(headings, widths, strong)
    for row in rows:
        colours = [style(cell) if coloured else "" for style, cell in zip(styles, row, strict=True)]
        yield from _folded(row, widths, [_painter(colour) for colour in colours])


def _painter(colour: str) -> Callable[[str], str]:
    return lambda text: click.style(text, fg=colour) if colour and text else text


def _widths(rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """How wide each column is; None where not even the longest pieces have room beside each other."""
    columns = list(zip(*rows, strict=True))
    least = [max(columns_of(piece) for cell in column for piece in _pieces(cell)) for column in columns]
    whole = [max(map(columns_of, column)) for column in columns]
    room -= sum(least)
    if room < 0:
        return None
    # Those that need least get it first, so that as few as possible are folded.
    order = sorted(range(len(columns)), key=lambda index: whole[index] - least[index])
    for left, index in zip(range(len(order), 0, -1), order, strict=True):
        more = min(whole[index] - least[index], room // left)
        least[index] += more
        room -= more
    return least


def _pieces(text: str) -> list[str]:
    return [piece.rstrip() for piece in PIECE.findall(text) if piece] or [""]


def _folded(
    cells: Sequence[str], widths: Sequence[int], paint: Sequence[Callable[[str], str]]
) -> Iterator[str]:
    """The lines of one row."""
    stacks = [list(_wrapped(cell, width)) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, stacks))):
        yield _line([stack[number] if number < len(stack) else "" for stack in stacks], widths, paint)


def _wrapped(text: str, width: int) -> Iterator[str]:
    line = ""
    for piece in filter(None, PIECE.findall(text)):
        if line and columns_of((line + piece).rstrip()) > width:
            yield line.rstrip()
            line = ""
        line += piece
    yield line.rstrip()


def _line(
    cells: Sequence[str], widths: Sequence[int], paint: Sequence[Callable[[str], str]] | None = None
) -> str:
    last = max((number for number, cell in enumerate(cells) if cell), default=0)
    parts = []
    for number, cell in enumerate(cells[: last + 1]):
        blanks = "" if number == last else " " * (widths[number] - columns_of(cell) + GAP)
        parts.append((paint[number](cell) if paint else cell) + blanks)
    return "".join(parts)


def _records(
    headings: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[Style], *, coloured: bool
) -> Iterator[str]:
    """One field a line, and a blank line between one row and the next."""
    width = max(map(columns_of, headings), default=0)
    for number, row in enumerate(rows):
        if number:
            yield ""
        for heading, cell, style in zip(headings, row, styles, strict=True):
            paint = _painter(style(cell) if coloured else "")
            yield _line([heading, cell], [width, 0], [str, paint])
