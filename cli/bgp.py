"""`polder bgp`: every session of every node, in one table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from cli.output import Column, field
from cli.rest import place
from cli.session import Session, takes_session


@click.group()
def command() -> None:
    """The BGP sessions of all nodes."""


@command.command()
@takes_session
def summary(session: Session) -> None:
    """Show every session: its state and since when, why, and how many prefixes it carries.

    A session whose speaker no longer reports is marked stale: what is shown is what it said last.
    """
    listing = session.page(place("bgp", "sessions"))
    session.print_list(listing, columns(datetime.now(UTC)))
    if session.output == "json":
        return
    items = listing["items"]
    up = sum(1 for item in items if item.get("state") == "ESTABLISHED" and not item.get("stale"))
    click.echo(f"\n{up} of {len(items)} sessions established")


def columns(now: datetime) -> tuple[Column, ...]:
    """The columns of the table, as of `now`."""
    return (
        field("node"),
        field("peer"),
        field("address"),
        field("asn"),
        Column("STATE", _state, _state_style),
        Column("FOR", lambda item: lasted(item.get("since"), now)),
        field("advertised"),
        field("reason"),
    )


def _state(item: dict[str, Any]) -> str:
    return f"{item.get('state')}{' (stale)' if item.get('stale') else ''}"


def _state_style(text: str) -> str:
    if text.endswith("(stale)"):
        return "yellow"
    return "green" if text == "ESTABLISHED" else "red"


def lasted(since: object, now: datetime) -> str:
    """The time from `since` (RFC 3339) until now in its two largest units; empty without a `since`."""
    try:
        then = datetime.fromisoformat(str(since))
    except ValueError:
        return ""
    if then.tzinfo is None:
        return ""
    seconds = max(0, int((now - then).total_seconds()))
    for unit, name, lower, lower_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= unit:
            return f"{seconds // unit}{name}{seconds % unit // lower:02}{lower_name}"
    return f"{seconds}s"
