"""What the REST commands share: where the server is, how to print, and the calls with their errors."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from cli.failure import Failure
from cli.link import Link
from cli.options import chosen_output, given, server_options
from cli.printer import Printer
from cli.problem import failure
from cli.rest import Answer, Json, Object, call
from cli.target import Given, target

PAGE = 500
"""Items asked for in one request of a list."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Session(Printer):
    """One command's way to the server and to standard output."""

    output: str
    link: Link

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
        query: Mapping[str, object] | None = None,
        repeatable: bool | None = None,
    ) -> Json:
        """Like `request`, for an answer that is one object."""
        found = self.request(method, path, body, advice=advice, query=query, repeatable=repeatable).body
        if not isinstance(found, dict):
            raise Failure("the answer is not a JSON object", advice="check --server or POLDER_SERVER")
        return found

    def listing(self, path: str, **query: object) -> Json:
        """The whole list `{"items": [...], "revision": N}`, page by page, filtered by the query."""
        for last in (False, False, True):
            try:
                pages = list(self._pages(path, query))
            except Failure as fault:
                # While many pages are read the store may forget their revision (410): begin again.
                if last or fault.status != 410:
                    raise
                continue
            kept = {key: value for key, value in pages[-1].items() if key != "next"}
            return Object({**kept, "items": [item for page in pages for item in page["items"]]})
        raise AssertionError("not reached")

    def page(self, path: str, **query: object) -> Json:
        """One answer that holds a list, with these parameters in the query."""
        page = self.request("GET", path, query=query).body
        items = page.get("items") if isinstance(page, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise Failure("the answer is not a list of items", advice="check --server or POLDER_SERVER")
        return dict(page)

    def _pages(self, path: str, query: Mapping[str, object]) -> Iterator[Json]:
        cursor = None
        while True:
            page = self.page(path, limit=PAGE, cursor=cursor, **query)
            yield page
            # A server that does not move on would be asked for ever.
            if page.get("next") in (None, cursor):
                return
            cursor = page["next"]


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
        said = given(click_context, server=server, ca=ca, context=context)
        found = target(Given(**said), os.environ)
        return function(Session(chosen_output(click_context, output), found.link()), *args, **options)

    return run
