"""What the REST commands share: where the server is, how to print, and the calls with their errors."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from cli.failure import Failure
from cli.output import Column, print_json, print_record, print_table
from cli.problem import failure
from cli.rest import Answer, Json, Link, ServerLink, call
from cli.server import DEFAULT_URL, parse_server

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
    ) -> Answer:
        """Ask, and raise `Failure` for every answer but 2xx; `advice` says by status what to do next."""
        answer = call(self.link, method, path, body, query)
        if not answer.ok:
            raise failure(answer.status, answer.body, retry_after=answer.retry_after, advice=advice)
        return answer

    def item(
        self, method: str, path: str, body: Json | None = None, *, advice: Mapping[int, str] | None = None
    ) -> Json:
        """Like `request`, for an answer that is one object."""
        found = self.request(method, path, body, advice=advice).body
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

    def print_item(self, item: Json) -> None:
        """Print one object: its fields line by line, or as JSON."""
        if self.output == "json":
            print_json(item)
        else:
            print_record(item)

    def print_list(self, listing: Json, columns: tuple[Column, ...]) -> None:
        """Print a list as a table of the columns, or as JSON with everything."""
        if self.output == "json":
            print_json(listing)
        else:
            print_table(listing["items"], columns)

    def print_done(self, word: str, **what: str) -> None:
        """Print that something was done to something: `print_done("deleted", pool="default")`."""
        if self.output == "json":
            print_json({word: what})
        else:
            click.echo(" ".join(f"{kind} {name}" for kind, name in what.items()) + f" {word}")


def output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-o`."""
    return click.option(
        "-o", "--output", type=click.Choice(["table", "json"]), help="What to print.  [default: table]"
    )(function)


def server_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--server`, `--ca` and `-o`."""
    server = click.option(
        "--server",
        metavar="URL",
        help=f"The controller.  [default: $POLDER_SERVER, or {DEFAULT_URL}]",
    )
    ca = click.option(
        "--ca",
        metavar="FILE",
        type=click.Path(),
        help="Trust the certificates of this file (PEM).  [default: the system's]",
    )
    return server(ca(output_option(function)))


def takes_session(function: Callable[Concatenate[Session, P], R]) -> Callable[..., R]:
    """Make a command take a `Session` first, from the options here or before the command's name."""

    @server_options
    @click.pass_context
    @functools.wraps(function)
    def run(
        context: click.Context,
        /,
        *args: Any,
        server: str | None,
        ca: str | None,
        output: str | None,
        **options: Any,
    ) -> R:
        root = context.find_root().params
        url = server or root.get("server") or os.environ.get("POLDER_SERVER") or DEFAULT_URL
        link = ServerLink(parse_server(url), os.environ.get("POLDER_TOKEN", ""), ca or root.get("ca") or "")
        return function(Session(link, chosen_output(context, output)), *args, **options)

    return run


def chosen_output(context: click.Context, output: str | None) -> str:
    """What `-o` says, here or before the command's name."""
    return output or context.find_root().params.get("output") or "table"
