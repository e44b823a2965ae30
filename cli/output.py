"""What commands print: tables for people, JSON for programs.

The only place that imports rich, and that for tables only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from cli.text import printable, shown

UNLIMITED_COLUMNS = 10_000
"""The width of what is not a terminal: a program that reads a table must not find it folded."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: what stands above it, what stands in it, and the colour of what stands in it."""

    heading: str
    value: Callable[[dict[str, Any]], object]
    style: Callable[[str], str] = lambda text: ""


def field(name: str, heading: str = "") -> Column:
    """The column of a field of that name."""
    return Column(heading or name.upper(), lambda item: item.get(name))


def print_json(value: object) -> None:
    """Print JSON; characters outside ASCII are escaped, and so harmless."""
    click.echo(json.dumps(value, indent=2))


def print_record(item: dict[str, Any]) -> None:
    """Print the fields of one object, one a line; those of an object inside it as `outer.inner`."""
    fields = dict(_flat(item))
    width = max(map(len, fields), default=0)
    for key, value in fields.items():
        click.echo(f"{printable(key):<{width}}  {shown(value)}")


def _flat(item: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for key, value in item.items():
        if isinstance(value, dict) and any(isinstance(each, dict) for each in value.values()):
            yield from ((f"{key}.{inner}", each) for inner, each in _flat(value))
        else:
            yield key, value


def print_table(items: Sequence[dict[str, Any]], columns: Sequence[Column]) -> None:
    """Print a table. In colour on a terminal, unless NO_COLOR is set (rich sees to that)."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column.heading, overflow="fold")
    for item in items:
        texts = [(column, shown(column.value(item))) for column in columns]
        # Text, not str: a label such as "[red]" is no markup.
        table.add_row(*(Text(text, style=column.style(text)) for column, text in texts))
    if sys.stdout.isatty():
        Console(highlight=False, emoji=False).print(table)
        return
    console = Console(width=UNLIMITED_COLUMNS, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
