"""Rows of text as a table as wide as the terminal, or one field a line where that is too narrow.

A cell is folded behind a comma or a blank, never inside a key, a name or an address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import click

from cli.text import columns_of

GAPS = (2, 1)
"""The blanks between two columns: the first of these with which they fit."""
PIECE = re.compile(r"[^, ]*(?:[, ]+|$)")
"""Text up to where a line may end."""

Style = Callable[[str], str]
"""The colour of a whole cell by what stands in it; nothing when it has none."""

Paint = Callable[[str], str]


class Table:
    """A table of which more rows may come: a column grows when it has to, and stays so.

    Args:
        headings: what stands above each column.
        styles: the style of each column.
        coloured: whether colours are taken.
        bold: whether its headings are bold.
    """

    def __init__(
        self, headings: Sequence[str], styles: Sequence[Style], *, coloured: bool = False, bold: bool = False
    ) -> None:
        self._headings = headings
        self._styles = styles
        self._coloured = coloured
        self._bold = bold
        self._least = [0] * len(headings)
        self._whole = [0] * len(headings)
        self._began = False

    def lines(self, rows: Sequence[Sequence[str]], width: int | None = None) -> Iterator[str]:
        """The lines of these rows, below the headings where they are the first.

        They are for a terminal of so many columns; without a `width` nothing is folded.
        """
        first, self._began = not self._began, True
        self._grow([self._headings, *rows])
        gap, widths = self._fit(width)
        if widths is None and rows:
            yield from self._records(rows, first=first)
            return
        widths = widths or self._whole
        if first:
            strong = [lambda text: click.style(text, bold=True) if self._bold and text else text]
            yield from _folded(self._headings, widths, gap, strong * len(widths))
        for row in rows:
            yield from _folded(row, widths, gap, self._paints(row))

    def _grow(self, rows: Sequence[Sequence[str]]) -> None:
        for number, column in enumerate(zip(*rows, strict=True)):
            self._least[number] = max(
                self._least[number], *(columns_of(piece) for cell in column for piece in _pieces(cell))
            )
            self._whole[number] = max(self._whole[number], *map(columns_of, column))

    def _fit(self, width: int | None) -> tuple[int, list[int] | None]:
        """The gap, and how wide each column is; None where not even the longest pieces have room."""
        if width is None:
            return GAPS[0], self._whole
        for gap in GAPS:
            if widths := _widths(self._least, self._whole, width - gap * (len(self._headings) - 1)):
                return gap, widths
        return GAPS[0], None

    def _paints(self, row: Sequence[str]) -> list[Paint]:
        return [
            _painter(style(cell) if self._coloured else "")
            for style, cell in zip(self._styles, row, strict=True)
        ]

    def _records(self, rows: Sequence[Sequence[str]], *, first: bool) -> Iterator[str]:
        """One field a line, and a blank line between one row and the next."""
        width = max(map(columns_of, self._headings))
        for number, row in enumerate(rows):
            if number or not first:
                yield ""
            for heading, cell, paint in zip(self._headings, row, self._paints(row), strict=True):
                yield _line([heading, cell], [width, 0], GAPS[0], [str, paint])


def _painter(colour: str) -> Paint:
    return lambda text: click.style(text, fg=colour) if colour and text else text


def _widths(least: Sequence[int], whole: Sequence[int], room: int) -> list[int] | None:
    """How wide each column is; None where not even the longest pieces have room beside each other."""
    widths = list(least)
    room -= sum(least)
    if room < 0:
        return None
    # Those that need least get it first, so that as few as possible are folded.
    order = sorted(range(len(widths)), key=lambda index: whole[index] - least[index])
    for left, index in zip(range(len(order), 0, -1), order, strict=True):
        more = min(whole[index] - least[index], room // left)
        widths[index] += more
        room -= more
    return widths


def _pieces(text: str) -> list[str]:
    return [piece.rstrip() for piece in PIECE.findall(text) if piece] or [""]


def _folded(cells: Sequence[str], widths: Sequence[int], gap: int, paints: Sequence[Paint]) -> Iterator[str]:
    """The lines of one row."""
    stacks = [list(_wrapped(cell, width)) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, stacks))):
        yield _line([stack[number] if number < len(stack) else "" for stack in stacks], widths, gap, paints)


def _wrapped(text: str, width: int) -> Iterator[str]:
    line = ""
    for piece in filter(None, PIECE.findall(text)):
        if line and columns_of((line + piece).rstrip()) > width:
            yield line.rstrip()
            line = ""
        line += piece
    yield line.rstrip()


def _line(cells: Sequence[str], widths: Sequence[int], gap: int, paints: Sequence[Paint]) -> str:
    last = max((number for number, cell in enumerate(cells) if cell), default=0)
    parts = []
    for number, cell in enumerate(cells[: last + 1]):
        blanks = "" if number == last else " " * (widths[number] - columns_of(cell) + gap)
        parts.append(paints[number](cell) + blanks)
    return "".join(parts)
