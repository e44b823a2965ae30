"""`polder address` and `polder block`: who has which part of a pool. Read only."""

from __future__ import annotations

import click

from cli.example import examples
from cli.group import Group
from cli.name import AddressName
from cli.noun import Noun, add_get, add_list, name_argument
from cli.output import Column, Form, age, field
from cli.rest import Json, place
from cli.selection import OF_NODE, OF_POOL, OF_TENANT, in_state
from cli.session import Session, takes_session
from cli.text import printable

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
        field("service", wide=True),
        field("node"),
        field("tenant"),
        age("FOR", "since"),
        field("by", wide=True),
        field("request", wide=True),
    ),
    example="10.64.0.1",
    named=AddressName("address"),
)

BLOCK = Form("block", "blocks", "cidr", (field("cidr"), field("pool"), field("node")))


@click.group(cls=Group)
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
    if not session.for_people:
        session.print_item(found, ADDRESS)
        return
    for sentence in found.get("sentences", ()):
        click.echo(printable(sentence))


@command.command(
    short_help="Compare what is stored with what the nodes really hold.",
    epilog=examples("polder address check", "polder address check -o json"),
)
@takes_session
def check(session: Session) -> None:
    """Compare what is stored with its rules, and with what the nodes really hold. Changes nothing.

    What changes meanwhile may look wrong: what is found twice is. Exit code 1 when something is found.
    """
    session.refuse_names()
    found = session.item("GET", place("addresses:check"))
    if not session.for_people:
        session.print_item(found)
    else:
        _tell(found)
    if found.get("findings"):
        raise click.exceptions.Exit(1)


def _tell(found: Json) -> None:
    for each in found["findings"]:
        click.echo(printable(f"{each['severity']}: {each['detail']}"))
        for name in ("cause", "cure"):
            click.echo(printable(f"  {name}: {each[name]}"))
        click.echo(printable(f"  keys: {' '.join(each['keys'])}"))
    silent = f"; not heard of: {', '.join(found['unheard'])}" if found["unheard"] else ""
    counted = (
        f"{found['endpoints']} endpoints, {found['addresses']} addresses, {len(found['heard'])} nodes heard"
    )
    click.echo(printable(f"{len(found['findings'])} findings in {counted}{silent}"))


@click.group(cls=Group)
def block() -> None:
    """Parts of pools that nodes have claimed."""


add_list(block, BLOCK, OF_POOL, OF_NODE)
