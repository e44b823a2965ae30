"""`polder node drops`: what a node's switch has dropped lately, and why."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.difference import ADVICE
from cli.example import examples
from cli.noun import Noun, name_argument
from cli.output import Column, field, print_table
from cli.session import Session, takes_session
from cli.text import printable
from cli.times import lasted

COLUMNS = (
    Column("AGO", lambda item: lasted(item.get("at"), datetime.now(UTC))),
    field("endpoint"),
    field("purpose"),
    field("packets"),
    field("bytes"),
    field("reason"),
    field("match", wide=True),
)


def add_drops(group: click.Group, noun: Noun) -> None:
    """Add `drops` to the group."""

    @group.command(
        short_help="Show what a node's switch has dropped lately, and why.",
        epilog=examples("polder node drops node-1", "polder node drops node-1 -o wide"),
    )
    @name_argument(noun)
    @takes_session
    def drops(session: Session, name: str) -> None:
        """Show what a node's switch has dropped lately, and why: the latest first.

        Its agent looks at the counters every ten seconds. Broadcast and multicast of hosts is left out.
        """
        found = session.item("GET", f"{noun.path(name)}/drops", advice={**noun.missing(), **ADVICE})
        if session.output not in {"table", "wide"}:
            session.print_item(found)
            return
        print_table(found["drops"], [each for each in COLUMNS if session.output == "wide" or not each.wide])
        click.echo(printable(f"{len(found['drops'])} since {found['since']}"))
