"""`polder node diff`: what a node holds compared with what it should."""

from __future__ import annotations

import click

from cli.example import examples
from cli.noun import Noun, name_argument
from cli.output import Column, field, print_table
from cli.rest import Json
from cli.session import Session, takes_session
from cli.text import printable

COLUMNS = (
    field("held", "WHAT"),
    Column("IS", lambda item: item.get("kind"), lambda _: "red"),
    field("key"),
    field("wanted"),
    field("found"),
    field("reason"),
)
ADVICE = {503: "see whether the node's agent is up: polder node list"}


def add_diff(group: click.Group, noun: Noun) -> None:
    """Add `diff` to the group."""

    @group.command(
        short_help="Compare what a node holds with what it should.",
        epilog=examples("polder node diff node-1", "polder node diff node-1 -o json"),
    )
    @name_argument(noun)
    @takes_session
    def diff(session: Session, name: str) -> None:
        """Compare what a node holds with what it should: ports, rules, neighbours, routes and flows.

        The node's agent reads it now. What it repairs at once is not seen. Exit code 1 when there is a
        difference.
        """
        session.refuse_names()
        found = session.item("GET", f"{noun.path(name)}/diff", advice={**noun.missing(), **ADVICE})
        if session.for_people:
            _tell(name, found)
        else:
            session.print_item(found)
        if found["unlike"]:
            raise click.exceptions.Exit(1)


def _tell(name: str, found: Json) -> None:
    if found["unlike"]:
        print_table(found["unlike"], COLUMNS)
        click.echo()
    held = ", ".join(f"{each['found']} of {each['wanted']} {each['held']}" for each in found["counts"])
    count = len(found["unlike"]) + found["more"]
    more = f", {len(found['unlike'])} of them shown" if found["more"] else ""
    click.echo(printable(f"node {name} holds {held}: {count} differences{more}"))
