"""What a command found or did, printed as `-o` says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import click

from cli.output import (
    Form,
    Item,
    print_json,
    print_record,
    print_table,
    print_yaml,
    to_yaml,
)
from cli.text import printable


@dataclass(frozen=True, slots=True)
class Printer:
    """A command's way to standard output."""

    output: str
    """One of `cli.options.FORMATS`."""

    @property
    def for_people(self) -> bool:
        """Whether it is tables and sentences, in place of what programs read."""
        return self.output in {"table", "wide"}

    def print_item(self, item: Item, form: Form | None = None) -> None:
        """Print one object as `-o` says: its fields line by line, JSON, YAML, or its name."""
        if self.output == "json":
            print_json(item)
        elif self.output == "yaml":
            print_yaml([form.documented(item) if form else item])
        elif self.output == "name" and form:
            click.echo(form.name(item))
        else:
            print_record(form.worded(item) if form else item)

    def print_list(self, listing: Item, form: Form, label_columns: Sequence[str] = ()) -> None:
        """Print a list as `-o` says: a table, JSON with everything, YAML documents, or names.

        `label_columns` are labels that get a column of their own in a table.
        """
        items = listing["items"]
        if self.output == "json":
            print_json(listing)
        elif self.output == "yaml":
            print_yaml([form.documented(item) for item in items])
        elif self.output == "name":
            click.echo("".join(f"{form.name(item)}\n" for item in items), nl=False)
        else:
            print_table(items, form.chosen(self.output, label_columns))

    @contextmanager
    def each_done(self, *, several: bool) -> Iterator[Callable[..., None]]:
        """`print_done` for one thing after the other; where `several` are meant, programs get one document.

        That is printed at the end, also when it ends with a failure: what was done is never left unsaid.
        """
        done: list[object] = []

        def tell(word: str, **what: str) -> None:
            done.append({word: what})

        if not several or self.output not in {"json", "yaml"}:
            yield self.print_done
            return
        try:
            yield tell
        finally:
            print_json({"items": done}) if self.output == "json" else print_yaml(done)

    def refuse_names(self) -> None:
        """Refuse `-o name`, where what is printed has no name. Raises `click.UsageError`."""
        if self.output == "name":
            raise click.UsageError("-o name is not for this: what it prints has no name; give -o json")

    def print_done(self, word: str, **what: str) -> None:
        """Print that something was done to something: `print_done("deleted", pool="default")`."""
        if self.output == "json":
            print_json({word: what})
        elif self.output == "yaml":
            click.echo(to_yaml({word: what}), nl=False)
        elif self.output == "name":
            click.echo("\n".join(f"{kind}/{printable(name)}" for kind, name in what.items()))
        else:
            click.echo(" ".join(f"{kind} {printable(name)}" for kind, name in what.items()) + f" {word}")
