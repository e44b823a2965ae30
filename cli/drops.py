"""`polder node drops`, `polder endpoint drops`: what was dropped lately, and why."""

from __future__ import annotations

import click

from cli.difference import ADVICE
from cli.example import examples
from cli.noun import Noun, name_argument
from cli.output import Column, age, field, print_table, seen
from cli.rest import Json
from cli.session import Session, takes_session
from cli.text import printable

AGO = age("AGO", "at")
COLUMNS = (
    AGO,
    field("endpoint"),
    field("purpose"),
    field("packets"),
    field("bytes"),
    field("reason"),
    field("match", wide=True),
)
PACKET_COLUMNS = (
    AGO,
    field("endpoint"),
    field("way"),
    field("purpose"),
    Column("FROM", lambda item: _end(item, "source")),
    Column("TO", lambda item: _end(item, "destination")),
    field("protocol"),
    field("reason"),
)


def add_drops(group: click.Group, noun: Noun) -> None:
    """Add `drops` to the group."""
    what = f"polder {noun.singular} drops {noun.example}"

    @group.command(
        short_help="Show what was dropped lately, and why.",
        epilog=examples(what, f"{what} -o wide"),
    )
    @name_argument(noun)
    @takes_session
    def drops(session: Session, name: str) -> None:
        """Show what was dropped lately, and why: the latest first.

        The agent of the node looks at the counters every ten seconds. Broadcast and multicast of hosts is
        left out. Of single packets some are shown: the switch samples what it drops, and what rules log.
        """
        session.refuse_names()
        found = session.item("GET", f"{noun.path(name)}/drops", advice={**noun.missing(), **ADVICE})
        if not session.for_people:
            session.print_item(found)
            return
        print_table(found["drops"], seen(COLUMNS, session.output))
        if found.get("packets"):
            click.echo()
            print_table(found["packets"], PACKET_COLUMNS)
        told = f"{len(found['drops'])} drops and {len(found.get('packets', []))} sampled packets"
        click.echo(printable(f"{told} since {found['since']}"))


def _end(item: Json, end: str) -> str | None:
    """An address, and the port behind it."""
    address, port = item.get(end), item.get(f"{end}_port")
    if address is None or port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
