"""`polder bgp`: every session of every node, and every prefix they announce."""

from __future__ import annotations

from typing import Any

import click

from cli import bgp_session
from cli.bgp_check import check
from cli.completion import names_of
from cli.drain import DRAIN
from cli.example import examples
from cli.group import Group
from cli.output import Column, Form, age, field
from cli.rest import place
from cli.session import Session, takes_session
from cli.text import printable

STATES = ("IDLE", "CONNECT", "ACTIVE", "OPENSENT", "OPENCONFIRM", "ESTABLISHED")
GUARD = "outbound guard"


@click.group(cls=Group)
def command() -> None:
    """The BGP sessions and announced prefixes of all nodes."""


command.add_command(bgp_session.command, "session")


command.add_command(check)

of_node = click.option("--node", metavar="NAME", help="Only of this node.", shell_complete=names_of("nodes"))

ROUTES = Form("route", "routes", "prefix", (field("prefix"), field("node"), field("peers")))


@command.command(
    short_help="Show every session, its state and why.",
    epilog=examples("polder bgp summary", "polder bgp summary --peer tor-a --state IDLE"),
)
@of_node
@click.option("--peer", metavar="NAME", help="Only with this peer.", shell_complete=names_of("peers"))
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@takes_session
def summary(session: Session, node: str | None, peer: str | None, state: str | None) -> None:
    """Show every session: its state and since when, why, and how many prefixes it carries.

    A session whose speaker no longer reports is marked stale: what is shown is what it said last. One that
    there should be and no speaker has told of is IDLE.
    """
    listing = session.listing(place("bgp", "sessions"), node=node, peer=peer, state=state)
    session.print_list(listing, SESSIONS)
    if not session.for_people:
        return
    items = listing["items"]
    up = sum(1 for item in items if _up(item) and not item.get("stale"))
    click.echo(f"\n{up} of {len(items)} sessions established")
    drains = [f"{DRAIN.name(each)} ({each['stage']})" for each in session.listing(place("drains"))["items"]]
    if drains:
        click.echo(printable(f"drains: {', '.join(drains)}; see polder drain list"))


@command.command(
    short_help="Show every announced prefix, and to whom.",
    epilog=examples(
        "polder bgp routes",
        "polder bgp routes --node node-1 -o json",
        "polder bgp routes --peer tor-a --prefix 10.64.0.0/24",
    ),
)
@of_node
@click.option("--peer", metavar="NAME", help="Only what it is told of.", shell_complete=names_of("peers"))
@click.option("--prefix", metavar="CIDR", help="Only this prefix and those inside it.")
@takes_session
def routes(session: Session, node: str | None, peer: str | None, prefix: str | None) -> None:
    """Show every prefix that a node announces, and the peers it is announced to.

    A peer whose session is down has it again when that is up: polder bgp summary. Why an address is announced
    by nobody: polder trace, from any address outside of Polder to it.
    """
    found = session.listing(place("bgp", "routes"), node=node, peer=peer, prefix=prefix)
    session.print_list(found, ROUTES)


def _ways(item: dict[str, Any]) -> str:
    """Each peer with its next hop."""
    return ", ".join(f"{path['peer']} {path['next_hop']}{_state_of(path)}" for path in item.get("paths", ()))


def _state_of(path: dict[str, Any]) -> str:
    words = [word for word, said in (("stale", path.get("stale")), ("unused", not path.get("used"))) if said]
    return f" ({', '.join(words)})" if words else ""


IMPORTED = Form(
    "imported route",
    "imported routes",
    "prefix",
    (field("prefix"), field("node"), Column("VIA", _ways), field("reason")),
)


@command.command(
    short_help="Show every imported prefix, and by which ways.",
    epilog=examples("polder bgp imported", "polder bgp imported --node node-1 -o json"),
)
@of_node
@takes_session
def imported(session: Session, node: str | None) -> None:
    """Show every prefix that a node takes from its peers, by which of them, and why one is not used."""
    session.print_list(session.listing(place("bgp", "imported"), node=node), IMPORTED)


def _up(item: dict[str, Any]) -> bool:
    return item.get("state") == "ESTABLISHED"


def _reason(item: dict[str, Any]) -> str:
    """Why the session is as it is, and what of its prefixes is kept back."""
    kept, first = item.get("guarded"), item.get("guarded_why")
    guarded = f"{GUARD} keeps back {kept}, such as {first}" if kept else ""
    return "; ".join(each for each in (item.get("reason"), guarded) if each)


def _state(item: dict[str, Any]) -> str:
    return f"{item.get('state')}{' (stale)' if item.get('stale') else ''}"


def _state_style(text: str) -> str:
    if text.endswith("(stale)"):
        return "yellow"
    return "green" if text == "ESTABLISHED" else "red"


SESSIONS = Form(
    "session",
    "sessions",
    "peer",
    (
        field("node"),
        field("peer"),
        field("address"),
        field("asn", wide=True),
        Column("STATE", _state, _state_style),
        age("FOR", "since"),
        field("flaps"),
        field("restarts", wide=True),
        # Without a session nothing is announced, whatever waits to be.
        Column("PFX SENT", lambda item: item.get("advertised") if _up(item) else None),
        field("guarded", wide=True),
        Column("REASON", _reason, lambda text: "red" if GUARD in text else ""),
    ),
)
