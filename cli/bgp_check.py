"""`polder bgp check`: what routers really hold, compared with what was announced to them."""

from __future__ import annotations

from collections.abc import Iterator

import click

from cli.completion import names_of
from cli.example import examples
from cli.output import Column, Form, Item, age, field
from cli.rest import place
from cli.session import Session, takes_session
from cli.text import printable

COLUMNS = (
    field("node"),
    field("peer"),
    field("prefix"),
    Column("KIND", lambda item: item.get("kind"), lambda _: "red"),
    age("FOR", "since"),
    field("cause"),
)
DIFFERENCES = Form("difference", "differences", "prefix", COLUMNS)
VERIFIED = Form("session", "sessions", "peer", ())
NOBODY = "no router tells what it holds: see BMP in docs/routers.md"


@click.command(
    short_help="Compare what routers really hold with what was announced.",
    epilog=examples("polder bgp check", "polder bgp check --peer node-1-tor-a -o json"),
)
@click.option("--node", metavar="NAME", help="Only of this node.", shell_complete=names_of("nodes"))
@click.option("--peer", metavar="NAME", help="Only with this peer.", shell_complete=names_of("peers"))
@takes_session
def check(session: Session, node: str | None, peer: str | None) -> None:
    """Compare what routers hold, as they tell by BMP, with what was announced to them.

    A difference counts after some seconds. Exit code 1 when there is one.
    """
    listing = session.listing(place("bgp", "differences"), node=node, peer=peer)
    if session.for_people:
        _tell(session, listing["items"])
    else:
        session.print_list(listing, VERIFIED)
    if any(_count(item) for item in listing["items"]):
        raise click.exceptions.Exit(1)


def _tell(session: Session, items: list[Item]) -> None:
    shown = list(_differences(items))
    if shown:
        session.print_list({"items": shown}, DIFFERENCES)
        click.echo()
    for item in items:
        if item.get("unreadable"):
            click.echo(printable(f"{item['peer']} of {item['node']} is not compared: {item['unreadable']}"))
    count = sum(map(_count, items))
    more = f", {len(shown)} of them shown" if len(shown) < count else ""
    click.echo(f"{count} differences in {len(items)} sessions{more}" if items else NOBODY)


def _differences(items: list[Item]) -> Iterator[Item]:
    for item in items:
        for each in item.get("differences", ()):
            yield {"node": item.get("node"), "peer": item.get("peer"), **each}


def _count(item: Item) -> int:
    return int(item.get("missing", 0)) + int(item.get("unexpected", 0))
