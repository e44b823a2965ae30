"""`polder address` and `polder block`: who has which part of a pool. Read only."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.example import examples
from cli.noun import Noun, add_get, add_list, name_argument
from cli.output import Column, Form, field
from cli.selection import OF_NODE, OF_POOL, OF_TENANT, in_state
from cli.session import Session, takes_session
from cli.text import printable
from cli.times import lasted

ADDRESS = Noun(
    "address",
    "addresses",
    "address",
    (
        field("address"),
        Column(
            "STATE",
            lambda item: item.get("state"),
            lambda text: {"assigned": "green", "cooldown": "yellow"}.get(text, ""),
        ),
        field("pool"),
        field("endpoint"),
        field("node"),
        field("tenant"),
        Column("FOR", lambda item: lasted(item.get("since"), datetime.now(UTC))),
        field("by", wide=True),
        field("request", wide=True),
    ),
    watched=False,
    example="10.64.0.1",
)

BLOCK = Form("block", "blocks", "cidr", (field("cidr"), field("pool"), field("node")))


@click.group()
def command() -> None:
    """Addresses of pools, and who has them."""


add_get(command, ADDRESS)
add_list(
    command,
    ADDRESS,
    OF_POOL,
    OF_NODE,
    OF_TENANT,
    in_state("assigned", "cooldown"),
    text="Show the addresses that are not free.",
)


@command.command(
    short_help="Say whose an address is, and why it is not free.",
    epilog=examples("polder address explain 10.64.0.1", "polder address explain 10.64.0.1 -o json"),
)
@name_argument(ADDRESS)
@takes_session
def explain(session: Session, name: str) -> None:
    """Say whose an address is since when, by which request, why it is not free, and what frees it."""
    advice = {404: "see which pools there are: polder pool list"}
    found = session.item("GET", ADDRESS.path(name), advice=advice)
    if session.output not in {"table", "wide"}:
        session.print_item(found, ADDRESS)
        return
    for sentence in found.get("sentences", ()):
        click.echo(printable(sentence))


@click.group()
def block() -> None:
    """Parts of pools that nodes have claimed."""


add_list(block, BLOCK, OF_POOL, OF_NODE)
