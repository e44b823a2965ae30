"""`polder bgp session`: one session with its history, as people read it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from cli.completion import names_of
from cli.example import examples
from cli.failure import Exit, Failure
from cli.name import Named
from cli.output import Column, Form, field, print_record, print_table
from cli.rest import Json, place
from cli.session import Session, takes_session
from cli.text import printable
from cli.times import lasted

SHOWN_NODES = 5

SESSION = Form("session", "sessions", "peer", ())
TRANSITIONS = (
    Column("AT", lambda item: _instant(item.get("at"))),
    Column(
        "STATE",
        lambda item: item.get("state"),
        lambda text: "green" if text == "ESTABLISHED" else "red" if text == "IDLE" else "",
    ),
    field("reason"),
)


@click.command(
    short_help="Show one session with its history.",
    epilog=examples("polder bgp session tor-a", "polder bgp session tor-a --node node-1 -o json"),
)
@click.argument("peer", type=Named("peer"), shell_complete=names_of("peers"))
@click.option(
    "--node",
    metavar="NAME",
    help="Of this node; needed where several have one.",
    shell_complete=names_of("nodes"),
)
@takes_session
def command(session: Session, peer: str, node: str | None) -> None:
    """Show one session: its state and since when, what was negotiated, what it carries, and its history.

    The last transitions are kept, the newest at the end. A reason that comes again while the session is down
    is told once.
    """
    advice = {404: "see which sessions there are: polder bgp summary"}
    of = node or _node_of(session, peer)
    found = session.item("GET", place("bgp", "sessions", of, peer), advice=advice)
    if not session.for_people:
        session.print_item(found, SESSION)
        return
    print_record(dict(_facts(found, datetime.now(UTC))))
    if transitions := found.get("transitions"):
        click.echo()
        print_table(transitions, TRANSITIONS)


def _node_of(session: Session, peer: str) -> str:
    """The node that has a session with the peer. Raises `Failure` when none has, or several have."""
    items = session.listing(place("bgp", "sessions"), peer=peer)["items"]
    nodes = [str(item.get("node")) for item in items]
    if len(nodes) == 1:
        return nodes[0]
    if not nodes:
        raise Failure(
            f"there is no session with a peer {peer!r}",
            code=Exit.NOT_FOUND,
            advice="see which sessions there are: polder bgp summary",
        )
    more = f" and {len(nodes) - SHOWN_NODES} more" if len(nodes) > SHOWN_NODES else ""
    raise Failure(
        f"{len(nodes)} nodes have a session with {peer}: {', '.join(nodes[:SHOWN_NODES])}{more}",
        code=Exit.USAGE,
        advice="name one: --node NODE",
    )


def _facts(item: Json, now: datetime) -> Iterator[tuple[str, object]]:
    """What stands above the history, one line each."""
    local = f", from {item['local_address']}" if item.get("local_address") else ""
    stale = " (stale: its speaker does not report)" if item.get("stale") else ""
    yield "session", f"{item.get('node')} with {item.get('peer')}"
    yield "router", f"{item.get('address')}, AS {item.get('asn')}{local}"
    since = f" for {lasted(item['since'], now)}" if item.get("since") else ""
    yield "state", f"{item.get('state')}{since}{stale}"
    yield "reason", item.get("reason")
    yield "negotiated", _negotiated(item)
    up = item.get("state") == "ESTABLISHED"
    yield "advertised", f"{item.get('advertised')} prefixes" if up else None
    if item.get("guarded"):
        yield "guarded", f"{item['guarded']} prefixes kept back, such as {item.get('guarded_why')}"
    yield "flaps", item.get("flaps")
    yield "ExaBGP replaced", f"{item.get('restarts')} times by the watchdog"


def _negotiated(item: Json) -> str:
    hold_time_s = item.get("hold_time_s")
    if hold_time_s is None:
        return ""
    timer = f"hold time {hold_time_s} s" if hold_time_s else "no hold time"
    return ", ".join([*map(str, item.get("families", ())), timer])


def _instant(text: Any) -> str:
    """A time to the second, in UTC."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return printable(text)
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
