"""`list --watch`: the list, and then each change as it comes, until Ctrl-C.

By long polls: each asks for what came after the revision of the answer before, so nothing is missed or told
twice, whichever controller answers. When none answers the watch waits and goes on; when the store has
forgotten that revision it reads the list again and tells what is different.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import click

from cli.failure import Exit, Failure
from cli.output import Column, Form, Item, Printed, to_yaml
from cli.problem import failure
from cli.rest import call, place
from cli.session import Session
from cli.text import printable

WAIT_S = 8
"""How long the server holds a poll back: less than what is waited for an answer while there are others."""
RETRY_S = 1.0
EXPIRED = 410

T = TypeVar("T")

COLOURS = {"added": "green", "changed": "yellow", "deleted": "red"}
CHANGE = Column("CHANGE", lambda change: change["change"], lambda text: COLOURS.get(text, ""))


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to an item: it is `there` from the start, `added`, `changed` or `deleted`."""

    word: str
    item: Item


def watch(session: Session, form: Form, query: Mapping[str, object], label_columns: tuple[str, ...]) -> None:
    """Print the list, and each change to it. Blocking: ends with Ctrl-C."""
    told = _teller(session, form, label_columns)
    try:
        for together in changes(session, form, query):
            told(together)
    except KeyboardInterrupt:
        return


def changes(session: Session, form: Form, query: Mapping[str, object]) -> Iterator[list[Change]]:
    """What is there, and then what happens to it, for ever: what is known at one time together.

    Raises:
        Failure: the list cannot be read, or the server refuses to have it watched.
    """
    path = place(form.plural)
    known: dict[str, Item] = {}
    listing = session.listing(path, **query)
    yield [*_differing(known, listing["items"], form, "there")]
    while True:
        yield from _following(session, path, query, listing["revision"], known, form)
        listing = _patiently(lambda: session.listing(path, **query))
        yield [*_differing(known, listing["items"], form, "added")]


def _following(
    session: Session, path: str, query: Mapping[str, object], since: int, known: dict[str, Item], form: Form
) -> Iterator[list[Change]]:
    """What came after a revision; ends when the store has forgotten it."""

    def poll() -> Item | None:
        given = {**query, "watch": "poll", "since": since, "wait_s": WAIT_S}
        answer = call(session.link, "GET", path, query=given)
        if answer.status == EXPIRED:
            return None
        if not answer.ok or not isinstance(answer.body, dict):
            raise failure(answer.status, answer.body, retry_after=answer.retry_after)
        return answer.body

    while (body := _patiently(poll)) is not None:
        since = body["revision"]
        yield [_taken(known, each["type"], each["item"], form) for each in body["items"]]


def _taken(known: dict[str, Item], kind: str, item: Item, form: Form) -> Change:
    """What an event of the server says of an item."""
    name = form.name(item)
    if kind == "delete":
        return Change("deleted", known.pop(name, item))
    word = "changed" if name in known else "added"
    known[name] = item
    return Change(word, item)


def _differing(known: dict[str, Item], items: list[Item], form: Form, new: str) -> Iterator[Change]:
    """What a list says that was not known; and what is gone."""
    now = {form.name(item): item for item in items}
    for name in [name for name in known if name not in now]:
        yield Change("deleted", known.pop(name))
    for name, item in now.items():
        if known.get(name) != item:
            yield Change("changed" if name in known else new, item)
        known[name] = item


def _patiently(ask: Callable[[], T]) -> T:
    """Ask until there is an answer; say once that there is none."""
    said = False
    while True:
        try:
            return ask()
        except Failure as fault:
            if fault.code is not Exit.UNAVAILABLE:
                raise
            if not said:
                click.echo(f"polder: {printable(fault.message)}; trying again", err=True)
            said = True
            time.sleep(RETRY_S)


def _teller(session: Session, form: Form, label_columns: tuple[str, ...]) -> Callable[[list[Change]], None]:
    def line(change: Change) -> str:
        noted = {"change": change.word, form.singular: change.item}
        if session.output == "json":
            return json.dumps(noted) + "\n"
        if session.output == "yaml":
            return f"---\n{to_yaml(noted)}"
        return f"{form.name(change.item)} {change.word}\n"

    if session.output in {"json", "yaml", "name"}:
        return lambda together: click.echo("".join(map(line, together)), nl=False)
    table = Printed([CHANGE, *map(_changed, form.chosen(session.output, label_columns))])

    def rows(together: list[Change]) -> None:
        if together:
            table.print([{"change": change.word, "item": change.item} for change in together])

    return rows


def _changed(column: Column) -> Column:
    """The column of what a change is of."""
    return replace(column, value=lambda change: column.value(change["item"]))
