"""What the REST commands share: where the server is, how to print, and the calls with their errors."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from cli.failure import Failure
from cli.link import Link
from cli.output import FORMATS, Form, label, print_json, print_record, print_table, print_yaml, to_yaml
from cli.problem import failure
from cli.rest import Answer, Json, call
from cli.server import DEFAULT_URL
from cli.target import Given, target
from cli.text import printable

PAGE = 500
"""Items asked for in one request of a list."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Session:
    """One command's way to the server and to standard output."""

    link: Link
    output: str

    def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        advice: Mapping[int, str] | None = None,
        query: Mapping[str, object] | None = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """Ask, and raise `Failure` for every answer but 2xx; `advice` says by status what to do next.

        `repeatable` says whether a POST may be sent again to another server when its answer was lost.
        """
        answer = call(self.link, method, path, body, query, repeatable=repeatable)
        if not answer.ok:
            raise failure(answer.status, answer.body, retry_after=answer.retry_after, advice=advice)
        return answer

    def item(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        advice: Mapping[int, str] | None = None,
        repeatable: bool | None = None,
    ) -> Json:
        """Like `request`, for an answer that is one object."""
        found = self.request(method, path, body, advice=advice, repeatable=repeatable).body
        if not isinstance(found, dict):
            raise Failure("the answer is not a JSON object", advice="check --server or POLDER_SERVER")
        return found

    def listing(self, path: str, **query: object) -> Json:
        """The whole list `{"items": [...], "revision": N}`, page by page, filtered by the query."""
        items: list[Json] = []
        page: Json = {}
        for page in self._pages(path, query):
            items += page["items"]
        return {**{key: value for key, value in page.items() if key != "next"}, "items": items}

    def page(self, path: str, **query: object) -> Json:
        """One answer that holds a list, with these parameters in the query."""
        page = self.request("GET", path, query=query).body
        items = page.get("items") if isinstance(page, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise Failure("the answer is not a list of items", advice="check --server or POLDER_SERVER")
        return dict(page)

    def _pages(self, path: str, query: Mapping[str, object]) -> Iterator[Json]:
        after = None
        while True:
            page = self.page(path, limit=PAGE, after=after, **query)
            yield page
            # A server that does not move on would be asked for ever.
            if page.get("next") in (None, after):
                return
            after = page["next"]

    def print_item(self, item: Json, form: Form | None = None) -> None:
        """Print one object as `-o` says: its fields line by line, JSON, YAML, or its name."""
        if self.output == "json":
            print_json(item)
        elif self.output == "yaml":
            print_yaml([form.documented(item) if form else item])
        elif self.output == "name" and form:
            click.echo(form.name(item))
        else:
            print_record(item)

    def print_list(self, listing: Json, form: Form, label_columns: Sequence[str] = ()) -> None:
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
            wide = self.output == "wide"
            columns = [column for column in form.columns if wide or not column.wide]
            print_table(items, columns + [label(key) for key in label_columns])

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


def output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-o`."""
    return click.option(
        "-o", "--output", type=click.Choice(FORMATS), help="What to print.  [default: table]"
    )(function)


def server_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--server`, `--ca`, `--context` and `-o`."""
    for option in (
        output_option,
        click.option(
            "--context", metavar="NAME", help="A context of the config file: see polder context list."
        ),
        click.option(
            "--ca",
            metavar="FILE",
            type=click.Path(),
            help="Trust the certificates of this file (PEM).  [default: $POLDER_CA, or the system's]",
        ),
        click.option(
            "--server",
            metavar="URL[,URL]",
            help=f"The controller, or several to try.  [default: $POLDER_SERVER, the context, {DEFAULT_URL}]",
        ),
    ):
        function = option(function)
    return function


def takes_session(function: Callable[Concatenate[Session, P], R]) -> Callable[..., R]:
    """Make a command take a `Session` first, from the options here or before the command's name."""

    @server_options
    @click.pass_context
    @functools.wraps(function)
    def run(
        click_context: click.Context,
        /,
        *args: Any,
        server: str | None,
        ca: str | None,
        context: str | None,
        output: str | None,
        **options: Any,
    ) -> R:
        found = target(given(click_context, server=server, ca=ca, context=context), os.environ)
        return function(Session(found.link(), chosen_output(click_context, output)), *args, **options)

    return run


def given(click_context: click.Context, **here: str | None) -> Given:
    """What the command line says of the server: after the command's name, else before it."""
    root = click_context.find_root().params
    return Given(**{name: value or root.get(name) or "" for name, value in here.items()})


def chosen_output(context: click.Context, output: str | None) -> str:
    """What `-o` says, here or before the command's name."""
    return output or context.find_root().params.get("output") or "table"
