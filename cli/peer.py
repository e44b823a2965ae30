"""`polder peer`: the routers that nodes open BGP sessions with."""

from __future__ import annotations

import click

from cli.change import add_create, add_set
from cli.noun import Noun, add_delete, add_get, add_list
from cli.output import Column, field
from cli.selection import OF_NODE
from cli.setting import Setting

SETTINGS = (
    Setting("address", "ADDRESS", "The router's address.", required=True),
    Setting("asn", "ASN", "The router's AS number.", click.INT, required=True),
    Setting(
        "node",
        "NAME",
        "The one node that opens the session.",
        default="every node",
        fixed=True,
        of="nodes",
    ),
    Setting("local_address", "ADDRESS", "The session's source.", default="what the kernel chooses"),
    Setting("hold_time_s", "SECONDS", "0 (no keepalives), or at least 3.", click.INT, default="90"),
    Setting(
        "graceful_restart_s",
        "SECONDS",
        "For how long the router keeps our routes when the session breaks; 0 is off.",
        click.INT,
        default="120",
    ),
)

PEER = Noun(
    "peer",
    "peers",
    "name",
    (
        field("name"),
        field("address"),
        field("asn"),
        Column("NODE", lambda item: item.get("node") or "(every node)"),
        field("local_address", "LOCAL ADDRESS", wide=True),
        field("hold_time_s", "HOLD S"),
        field("graceful_restart_s", "RESTART S"),
    ),
    document=("name", *(each.field for each in SETTINGS)),
    fixed=tuple(each.field for each in SETTINGS if each.fixed),
    used_by="polder bgp summary",
    example="tor-a",
)


@click.group()
def command() -> None:
    """Routers that nodes open BGP sessions with."""


add_create(
    command,
    PEER,
    SETTINGS,
    """Create a peer of one node or of every node.

    The speaker of that node, or of every node, opens the session.""",
    "polder peer create tor-b --address 192.0.2.2 --asn 64502",
    "polder peer create rack-7 --address 192.0.2.7 --asn 64507 --node node-1 --hold-time-s 9",
)
add_set(
    command,
    PEER,
    SETTINGS,
    """Change a peer: its sessions are opened anew.

    What is not given stays; an empty value ("") goes back to the default.""",
    "polder peer set tor-a --hold-time-s 30",
    'polder peer set tor-a --local-address 192.0.2.100 --hold-time-s ""',
)
add_get(command, PEER)
add_list(command, PEER, OF_NODE)
add_delete(command, PEER)
