"""`polder peer`: the routers that nodes open BGP sessions with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from cli.change import add_create, add_set
from cli.drain import add_drain
from cli.group import Group
from cli.noun import Noun, add_delete, add_get, add_list
from cli.output import Column, field
from cli.selection import OF_NODE
from cli.setting import Labelling, Setting, Several, Switch

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
    Labelling("node_selector", "node-selector", "Only nodes with this label open a session"),
    Setting(
        "announces",
        "",
        "Whose prefixes it is told: the node's own, or all nodes' by an edge node.",
        click.Choice(["own", "all"]),
        default="own",
    ),
    Setting("local_asn", "ASN", "The AS number that the node shows.", click.INT, default="the node's"),
    Setting("local_address", "ADDRESS", "The session's source.", default="what the kernel chooses"),
    Setting("hold_time_s", "SECONDS", "0 (no keepalives), or at least 3.", click.INT, default="90"),
    Setting("keepalive_s", "SECONDS", "Between keepalives.", click.INT, default="a third of the hold time"),
    Setting(
        "graceful_restart_s",
        "SECONDS",
        "For how long the router keeps our routes when the session breaks; 0 is off.",
        click.INT,
        default="120",
    ),
    Setting(
        "password_secret",
        "NAME",
        "The file in each node's secrets directory that holds the session's password (TCP MD5).",
        default="no password",
    ),
    Switch("gtsm", "--gtsm/--no-gtsm", "Whether only packets that no router passed on are taken (RFC 5082)."),
    Setting("multihop_ttl", "TTL", "For a router that is on no link of the node.", click.INT),
    Switch("passive", "--passive/--active", "Whether the router opens the session."),
    Several("families", "--family", "FAMILY", "What the session carries: ipv4, ipv6"),
    Several("communities", "--community", "COMMUNITY", "A BGP community, sent with every prefix"),
    Setting("med", "NUMBER", "The multi-exit discriminator of every prefix.", click.INT),
    Setting("local_pref", "NUMBER", "For a router of the same AS.", click.INT),
    Setting(
        "as_path_prepend", "TIMES", "How often more the AS path has the node's AS.", click.INT, default="0"
    ),
    Setting("max_prefixes", "NUMBER", "More are never announced to it.", click.INT, default="10000"),
    Several("imports", "--import", "PREFIX", "What is taken from it: default-route, or a CIDR"),
)


def _nodes(item: Mapping[str, Any]) -> str:
    """Which nodes speak with it, in a word or two."""
    chosen = item.get("node_selector")
    if isinstance(chosen, Mapping) and chosen:
        return ",".join(f"{key}={value}" for key, value in chosen.items())
    return str(item.get("node") or "(every node)")


PEER = Noun(
    "peer",
    "peers",
    "name",
    (
        field("name"),
        field("address"),
        field("asn"),
        Column("NODE", _nodes),
        field("local_address", "LOCAL ADDRESS", wide=True),
        field("hold_time_s", "HOLD S"),
        field("graceful_restart_s", "RESTART S"),
        field("password_secret", "PASSWORD", wide=True),
        field("families", wide=True),
        field("communities", wide=True),
        field("imports", wide=True),
    ),
    document=("name", *(each.field for each in SETTINGS)),
    used_by="polder bgp summary",
    example="tor-a",
    foreseen=True,
)


@click.group(cls=Group)
def command() -> None:
    """Routers that nodes open BGP sessions with."""


add_create(
    command,
    PEER,
    SETTINGS,
    """Create a peer of one node, of nodes with some labels, or of every node.

    The speaker of each of them opens a session.""",
    "polder peer create tor-b --address 192.0.2.2 --asn 64502",
    "polder peer create rack-7 --address 192.0.2.7 --asn 64507 --node-selector rack=7 --hold-time-s 9",
    "polder peer create spine --address 192.0.2.9 --asn 64509 --node-selector role=edge --announces all",
    "polder peer create tor-c --address 192.0.2.3 --asn 64503 --password-secret tor-c --gtsm",
    "polder peer create tor-d --address 192.0.2.4 --asn 64504 --family ipv4 --family ipv6 --med 50",
)
add_set(
    command,
    PEER,
    SETTINGS,
    """Change a peer: its sessions are opened anew.

    What is not given stays; an empty value ("") goes back to the default.""",
    "polder peer set tor-a --hold-time-s 30",
    "polder peer set tor-a --community 64500:1 --dry-run",
    'polder peer set tor-a --local-address 192.0.2.100 --hold-time-s ""',
)
add_get(command, PEER)
add_list(command, PEER, OF_NODE)
add_delete(command, PEER)
add_drain(command, PEER)
