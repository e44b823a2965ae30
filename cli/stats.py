"""`polder endpoint stats`: what an endpoint sent and got, and what of it was dropped."""

from __future__ import annotations

import click

from cli.example import examples
from cli.noun import Noun, name_argument
from cli.output import Item, field, print_table
from cli.rest import Json
from cli.session import Session, takes_session

COLUMNS = (field("way", "WHAT"), field("packets"), field("bytes"), field("purpose"), field("reason"))
ADVICE = {
    404: "see which there are, and which are attached: polder endpoint list",
    503: "see whether it is attached, and its node's agent up: polder endpoint get ID; polder node list",
}


def add_stats(group: click.Group, noun: Noun) -> None:
    """Add `stats` to the group."""

    @group.command(
        short_help="Show what an endpoint sent and got, and what was dropped.",
        epilog=examples("polder endpoint stats web-1", "polder endpoint stats web-1 -o json"),
    )
    @name_argument(noun)
    @takes_session
    def stats(session: Session, name: str) -> None:
        """Show what an endpoint sent and got, and what of it was dropped for what it is.

        Its node counts it by the flows of the switch, since these were made. What is counted at the
        port has what was dropped as well.
        """
        session.refuse_names()
        found = session.item("GET", f"{noun.path(name)}/stats", advice={**noun.missing(), **ADVICE})
        if session.for_people:
            print_table(_rows(found), COLUMNS)
        else:
            session.print_item(found)


def _rows(found: Json) -> list[Item]:
    rows = [{"way": way, **found[way]} for way in ("sent", "received")]
    rows += [{**each, "way": f"{each.get('way') or ''} dropped".strip()} for each in found["dropped"]]
    port = found.get("port")
    if port:
        rows += [{"way": f"{way} at the port", **port[way]} for way in ("sent", "received")]
        rows += [
            {"way": f"{way} dropped at the port", "packets": port[f"{way}_dropped"]}
            for way in ("sent", "received")
        ]
    return rows
