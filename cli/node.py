"""`polder node`: the hosts that run workloads."""

from __future__ import annotations

from typing import Any

import click

from cli.change import add_create, add_set
from cli.collector import Collector
from cli.difference import add_diff
from cli.drain import add_drain
from cli.drops import add_drops
from cli.example import examples
from cli.group import Group
from cli.noun import Noun, add_delete, add_get, add_list, name_argument
from cli.output import Column, field
from cli.qos import parse_uplink
from cli.session import Session, takes_session
from cli.setting import Labelling, Setting, Several, Switch

SETTINGS = (
    Setting("asn", "ASN", "The AS number its sessions are opened with.", click.INT, required=True),
    Setting("router_id", "IPV4", "The BGP identifier.", default="the session's own address"),
    Setting(
        "mtu_bytes",
        "BYTES",
        "The MTU of endpoints that are created or moved here from now on.",
        click.INT,
        default="their uplink's",
    ),
    Labelling(),
    Setting(
        "reclaim_after_s",
        "SECONDS",
        "For how long none of its programs lives until its endpoints end; 0 is never.",
        click.INT,
        default="86400",
    ),
    Several(
        "next_hops",
        "--next-hop",
        "ADDRESS",
        "How routers reach it, for prefixes that are not of their session's family; one of each family",
    ),
    Setting(
        "direct",
        "SEGMENT",
        "A segment it shares with other nodes: those that say the same send to each other's next hops.",
        default="none: by the routers",
    ),
    Several(
        "uplinks",
        "--uplink",
        "IFNAME=RATE",
        "An interface by which its traffic leaves, and how much the way behind it takes: eth0=10G",
        parse_uplink,
    ),
    Setting(
        "export",
        "PROTOCOL,COLLECTOR",
        "Where its switch tells of sampled packets: ipfix or sflow, an address, a port, and one in how many.",
        Collector(),
        default="nowhere",
    ),
    Switch(
        "edge", "--edge/--no-edge", "Whether it may announce for all nodes, to peers that are told of all."
    ),
)


def _program(name: str) -> Column:
    """Whether a program of the node is alive: `up`, `down`, or nothing when it was never asked."""

    def state(item: dict[str, Any]) -> object:
        programs = item.get("programs")
        program = programs.get(name) if isinstance(programs, dict) else None
        if not isinstance(program, dict):
            return None
        return "up" if program.get("alive") else "down"

    return Column(name.upper(), state, lambda text: {"up": "green", "down": "red"}.get(text, ""))


def _amiss(item: dict[str, Any]) -> object:
    """What the node's programs found that people have to mend."""
    programs = item.get("programs")
    of_each = programs.values() if isinstance(programs, dict) else ()
    found = (one for each in of_each if isinstance(each, dict) for one in each.get("amiss", ()))
    return "; ".join(f"{one.get('reason')}: {one.get('detail')}" for one in found if isinstance(one, dict))


NODE = Noun(
    "node",
    "nodes",
    "name",
    (
        field("name"),
        field("asn"),
        _program("agent"),
        _program("speaker"),
        field("router_id", "ROUTER ID", wide=True),
        field("mtu_bytes", "MTU", wide=True),
        field("reclaim_after_s", "RECLAIM AFTER S", wide=True),
        field("next_hops", "NEXT HOPS", wide=True),
        field("edge", wide=True),
        field("direct", wide=True),
        field("uplinks", wide=True),
        field("export", wide=True),
        field("labels"),
        Column("AMISS", _amiss, lambda _: "red", wide=True),
    ),
    document=("name", *(each.field for each in SETTINGS)),
    labelled=True,
    used_by="polder endpoint list --node NAME; polder peer list --node NAME; polder token list",
    example="node-1",
    foreseen=True,
)


@click.group(cls=Group)
def command() -> None:
    """Hosts that run workloads."""


add_create(
    command,
    NODE,
    SETTINGS,
    """Register a host.

    Its agent and speaker start to work when they find it.""",
    "polder node create node-7 --asn 64517",
    "polder node create node-8 --asn 64518 --mtu-bytes 9000 --label rack=7",
)
add_set(
    command,
    NODE,
    SETTINGS,
    """Change a node.

    What is not given stays; an empty value ("") goes back to the default. A new AS number or BGP identifier
    opens the node's sessions anew.""",
    "polder node set node-1 --label rack=8 --no-label old",
    "polder node set edge-1 --edge --next-hop 192.0.2.11",
    "polder node set node-1 --direct rack-7 --next-hop 192.0.2.11",
    "polder node set node-1 --export ipfix,192.0.2.9,4739,1000",
    "polder node set node-1 --uplink eth0=10G --uplink eth1=10G",
    'polder node set node-1 --mtu-bytes 9000 --router-id ""',
)
add_get(command, NODE)
add_list(command, NODE)
add_delete(command, NODE)
add_drain(command, NODE)
add_diff(command, NODE)
add_drops(command, NODE)


@command.command(
    "join-token",
    epilog=examples("polder node join-token node-1", "polder node join-token node-1 --ttl-s 86400"),
)
@name_argument(NODE)
@click.option(
    "--ttl-s", metavar="SECONDS", type=int, default=3600, show_default=True, help="For how long it is good."
)
@takes_session
def join_token(session: Session, name: str, ttl_s: int) -> None:
    """Make a token with which a host joins as this node, once.

    One that the node had before is good no more. On the host: `polder agent join TOKEN --controller URL`.
    """
    made = session.item("POST", f"{NODE.path(name)}:join-token", {"ttl_s": ttl_s}, advice=NODE.missing())
    if session.output == "name":
        click.echo(NODE.name({NODE.key: name}))
    elif session.output in ("json", "yaml"):
        session.print_item(made)
    else:
        click.echo(made["token"])
