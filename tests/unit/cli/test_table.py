"""Tables on terminals of any width: what is folded, and what never is."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.table import Style, Table

HEADINGS = ("ID", "ADDRESSES", "LABELS")
ADDRESS = "2001:db8:7:1234:5678:9abc:def0:1"
ROWS = (("web-1", f"10.64.0.1,{ADDRESS}", "app=web,tier=front"), ("b", "10.64.0.2", "-"))


PLAIN: list[Style] = [lambda _: ""] * 3


def lines(width: int | None, rows: tuple[tuple[str, ...], ...] = ROWS) -> list[str]:
    return list(Table(HEADINGS, PLAIN).lines(rows, width))


def test_what_fits_is_the_plain_table() -> None:
    assert lines(80) == lines(None)


def test_cells_are_folded_behind_commas() -> None:
    assert lines(51) == [
        "ID     ADDRESSES                         LABELS",
        "web-1  10.64.0.1,                        app=web,",
        f"       {ADDRESS}  tier=front",
        "b      10.64.0.2                         -",
    ]


def test_columns_move_closer_before_a_table_is_none() -> None:
    least = len("web-1") + len(ADDRESS) + len("tier=front")
    assert lines(least + 1)[0].split() == ["ID", "web-1"]
    assert lines(least + 2) == [
        "ID    ADDRESSES                        LABELS",
        "web-1 10.64.0.1,                       app=web,",
        f"      {ADDRESS} tier=front",
        "b     10.64.0.2                        -",
    ]


def test_a_column_grows_with_the_rows_that_come() -> None:
    table = Table(("CHANGE", "ID"), PLAIN[:2])
    assert list(table.lines([("there", "a")], 20)) == ["CHANGE  ID", "there   a"]
    assert list(table.lines([("added", "b,c")], 20)) == ["added   b,c"]
    assert list(table.lines([("added", "a,long-long-er")], 20)) == ["added   a,", "        long-long-er"]
    assert list(table.lines([("there", "very-long-indeed")], 20)) == [
        "",
        "CHANGE  there",
        "ID      very-long-indeed",
    ]


def test_what_cannot_stand_side_by_side_stands_one_below_the_other() -> None:
    assert lines(40) == [
        "ID         web-1",
        f"ADDRESSES  10.64.0.1,{ADDRESS}",
        "LABELS     app=web,tier=front",
        "",
        "ID         b",
        "ADDRESSES  10.64.0.2",
        "LABELS     -",
    ]
    assert lines(5, ()) == ["ID  ADDRESSES  LABELS"]


def test_each_line_of_a_cell_has_its_colour() -> None:
    styles: list[Style] = [*PLAIN[:2], lambda text: "green" if text != "-" else ""]
    coloured = list(Table(HEADINGS, styles, coloured=True, bold=True).lines(ROWS, 51))
    assert [click.unstyle(line) for line in coloured] == lines(51)
    assert coloured[1].endswith(click.style("app=web,", fg="green"))
    assert coloured[2].endswith(click.style("tier=front", fg="green"))
    assert coloured[3].endswith("-")


CELL = st.lists(st.text("ab:.", min_size=1, max_size=12), max_size=4).map(",".join)


@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=4), st.integers(1, 90))
def test_no_piece_is_ever_cut(rows: list[tuple[str, str, str]], width: int) -> None:
    printed = lines(width, tuple(rows))
    pieces = {piece for row in rows for cell in row for piece in cell.split(",") if piece}
    words = {word for line in printed for word in line.replace(",", " ").split()}
    assert pieces <= words
    if printed and printed[0].startswith("ID") and "LABELS" in printed[0] and rows:
        assert max(map(len, printed)) <= width


@pytest.mark.parametrize("text", ["", ",", " ", "a,,b", "\u540d,\u540d"])
def test_odd_cells(text: str) -> None:
    for width in (1, 20, 90):
        assert lines(width, ((text, text, text),))
