"""`polder peer`: the routers that nodes open BGP sessions with."""

from __future__ import annotations

import click

from cli.change import Filled, OrEmpty, add_set
from cli.noun import Noun, add_delete, add_get, add_list, name_argument
from cli.output import Column, field
from cli.session import Session, takes_session

PEER = Noun(
    "peer",
    "peers",
    "name",
    (
        field("name"),
        field("address"),
        field("asn"),
        Column("NODE", lambda item: item.get("node") or "(every node)"),
        field("local_address", "LOCAL ADDRESS"),
        field("hold_time_s", "HOLD S"),
        field("graceful_restart_s", "RESTART S"),
    ),
    used_by="polder bgp summary",
)


@click.group()
def command() -> None:
    """Routers that nodes open BGP sessions with."""


@command.command(short_help="Create a peer of one node or of every node.")
@name_argument(PEER)
@click.option("--address", metavar="ADDRESS", required=True, help="The router's address.")
@click.option("--asn", metavar="ASN", required=True, type=int, help="The router's AS number.")
@click.option("--node", metavar="NAME", help="The one node that opens the session.  [default: every node]")
@click.option(
    "--local-address", metavar="ADDRESS", help="The session's source.  [default: what the kernel chooses]"
)
@click.option(
    "--hold-time-s", metavar="SECONDS", type=int, help="0 (no keepalives), or at least 3.  [default: 90]"
)
@click.option(
    "--graceful-restart-s",
    metavar="SECONDS",
    type=int,
    help="For how long the router keeps our routes when the session breaks; 0 is off.  [default: 120]",
)
@takes_session
def create(
    session: Session,
    name: str,
    address: str,
    asn: int,
    node: str | None,
    local_address: str | None,
    hold_time_s: int | None,
    graceful_restart_s: int | None,
) -> None:
    """Create a peer: the speaker of its node, or of every node, opens the session."""
    body = {
        "name": name,
        "address": address,
        "asn": asn,
        "node": node,
        "local_address": local_address,
        "hold_time_s": hold_time_s,
        "graceful_restart_s": graceful_restart_s,
    }
    PEER.create(session, body)


add_set(
    command,
    PEER,
    click.option("--address", metavar="ADDRESS", type=Filled(), help="The router's address."),
    click.option("--asn", metavar="ASN", type=int, help="The router's AS number."),
    click.option(
        "--local-address", metavar="ADDRESS", type=OrEmpty(click.STRING), help="The session's source."
    ),
    click.option(
        "--hold-time-s", metavar="SECONDS", type=OrEmpty(click.INT), help="0 (no keepalives), or at least 3."
    ),
    click.option(
        "--graceful-restart-s",
        metavar="SECONDS",
        type=OrEmpty(click.INT),
        help="For how long the router keeps our routes when the session breaks; 0 is off.",
    ),
    text="""Change a peer: its sessions are opened anew.

    What is not given stays; an empty value ("") goes back to the default.""",
)

add_get(command, PEER)
add_list(command, PEER)
add_delete(command, PEER)
