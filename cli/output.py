"""What commands print: tables for people, JSON and YAML for programs, names for scripts.

yaml is imported for YAML only: start-up counts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as field_
from datetime import UTC, datetime
from shutil import get_terminal_size
from typing import Any

import click

from cli.colour import coloured, styles_work
from cli.table import Table
from cli.text import printable, shown
from cli.times import lasted

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: what stands above it, what stands in it, and the colour of what stands in it."""

    heading: str
    value: Callable[[Item], object]
    style: Callable[[str], str] = lambda text: ""
    wide: bool = False
    """Only in `-o wide`."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a kind of thing is printed.

    Args:
        singular: as in `polder pool`, and in `-o name`.
        plural: as in `/v1/pools`.
        key: the field that names one.
        of: the field that says what one is, where not all are of one kind.
        columns: what `list` shows.
        document: the fields that `apply` takes, which are those that `-o yaml` prints; all when empty.
        kinds: what a document may say it is of in place of `singular`, when the thing's own kind is that.
        labelled: whether one has labels.
        words: how fields are said to people, other than as they are.
        ordered: the fields that are lists in which the order counts, of parts with many fields.
    """

    singular: str
    plural: str
    key: str
    columns: tuple[Column, ...]
    document: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    labelled: bool = False
    ordered: tuple[str, ...] = ()
    of: str = ""
    words: Mapping[str, Callable[[Item], str]] = field_(default_factory=dict)

    def name(self, item: Item) -> str:
        """`pool/default`: what it is, and which."""
        kind = item.get(self.of, self.singular) if self.of else self.singular
        return f"{printable(kind)}/{printable(item.get(self.key, ''))}"

    def chosen(self, output: str, label_columns: Sequence[str]) -> list[Column]:
        """The columns of a table in that output, and one for each of these labels."""
        return seen(self.columns, output) + [label(key) for key in label_columns]

    def worded(self, item: Item) -> Item:
        """As it is shown to people."""
        return {**item, **{name: say(item) for name, say in self.words.items() if name in item}}

    def documented(self, item: Item) -> Item:
        """As `-o yaml` prints it: the document that `apply` takes, where there is one.

        What is empty or not set is said too: applied again it takes out what was put in since.
        """
        if not self.document:
            return item
        return {
            "kind": item["kind"] if item.get("kind") in self.kinds else self.singular,
            **{
                field: pruned(item[field]) if field in self.ordered else item[field]
                for field in self.document
                if field in item
            },
        }


def pruned(value: object) -> object:
    """The value without what is off, empty or not given in it."""
    if isinstance(value, dict):
        return {key: pruned(each) for key, each in value.items() if each not in (None, False, [])}
    return [pruned(each) for each in value] if isinstance(value, list) else value


def field(name: str, heading: str = "", *, wide: bool = False) -> Column:
    """The column of a field of that name."""
    return Column(heading or name.upper(), lambda item: item.get(name), wide=wide)


def label(key: str) -> Column:
    """The column of a label."""

    def value(item: Item) -> object:
        labels = item.get("labels")
        return labels.get(key) if isinstance(labels, dict) else None

    return Column(printable(key.upper()), value)


def age(heading: str, name: str) -> Column:
    """The column of the time since the one in that field."""
    return Column(heading, lambda item: lasted(item.get(name), datetime.now(UTC)))


def seen(columns: Iterable[Column], output: str) -> list[Column]:
    """Those of these columns that a table in that output has."""
    return [column for column in columns if output == "wide" or not column.wide]


def wide(column: Column) -> Column:
    """The same column, in `-o wide` only."""
    return replace(column, wide=True)


def print_json(value: object) -> None:
    """Print JSON; characters outside ASCII are escaped, and so harmless."""
    click.echo(json.dumps(value, indent=2))


def to_yaml(value: object) -> str:
    """The value as YAML, its fields in the order they are in; characters outside ASCII are escaped."""
    import yaml

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True  # what stands twice is written twice: `&id001` is nothing for people

    # An object of an answer is a dict of a class of its own.
    Plain.add_multi_representer(dict, Plain.represent_dict)
    return str(yaml.dump(value, Dumper=Plain, sort_keys=False, default_flow_style=False))


def print_yaml(values: Sequence[object]) -> None:
    """Print each as a document of its own."""
    click.echo("---\n".join(map(to_yaml, values)), nl=False)


def print_record(item: Item) -> None:
    """Print the fields of one object, one a line; those of an object inside it as `outer.inner`."""
    fields = dict(_flat(item))
    width = max(map(len, fields), default=0)
    for key, value in fields.items():
        click.echo(f"{printable(key):<{width}}  {shown(value)}")


def _flat(item: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for key, value in item.items():
        if isinstance(value, dict) and any(isinstance(each, dict) for each in value.values()):
            yield from ((f"{key}.{inner}", each) for inner, each in _flat(value))
        else:
            yield key, value


class Printed:
    """A table that is printed, some rows at a time.

    On a terminal it is fitted to its width and, unless NO_COLOR is set, in colour.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._table = Table(
            [column.heading for column in columns],
            [column.style for column in columns],
            coloured=coloured(),
            bold=styles_work(),
        )

    def print(self, items: Sequence[Item]) -> None:
        """Print a row for each, and the headings before the first of all."""
        rows = [[shown(column.value(item)) for column in self._columns] for item in items]
        # What is not a terminal has no width: a program that reads a table must not find it folded.
        width = get_terminal_size().columns if sys.stdout.isatty() else None
        for line in self._table.lines(rows, width):
            click.echo(line)


def print_table(items: Sequence[Item], columns: Sequence[Column]) -> None:
    """Print a table with these rows."""
    Printed(columns).print(items)
