"""`polder node`: the hosts that run workloads."""

from __future__ import annotations

from typing import Any

import click

from cli.change import OrEmpty, add_set, labels_options
from cli.labels import labels_option
from cli.noun import Noun, add_delete, add_get, add_list, name_argument
from cli.output import Column, field
from cli.session import Session, takes_session


def _program(name: str) -> Column:
    """Whether a program of the node is alive: `up`, `down`, or nothing when it was never asked."""

    def state(item: dict[str, Any]) -> object:
        programs = item.get("programs")
        program = programs.get(name) if isinstance(programs, dict) else None
        if not isinstance(program, dict):
            return None
        return "up" if program.get("alive") else "down"

    return Column(name.upper(), state, lambda text: {"up": "green", "down": "red"}.get(text, ""))


NODE = Noun(
    "node",
    "nodes",
    "name",
    (
        field("name"),
        field("asn"),
        field("router_id", "ROUTER ID"),
        field("mtu_bytes", "MTU"),
        _program("agent"),
        _program("speaker"),
        field("labels"),
    ),
    used_by="polder endpoint list",
)


@click.group()
def command() -> None:
    """Hosts that run workloads."""


@command.command(short_help="Register a host.")
@name_argument(NODE)
@click.option(
    "--asn", metavar="ASN", required=True, type=int, help="The AS number its sessions are opened with."
)
@click.option(
    "--router-id",
    metavar="IPV4",
    help="The BGP identifier.  [default: the session's own address]",
)
@click.option("--mtu-bytes", metavar="BYTES", type=int, help="The MTU its endpoints get.  [default: 1500]")
@labels_option
@takes_session
def create(
    session: Session,
    name: str,
    asn: int,
    router_id: str | None,
    mtu_bytes: int | None,
    labels: dict[str, str] | None,
) -> None:
    """Create a node: its agent and speaker start to work when they find it."""
    body = {"name": name, "asn": asn, "router_id": router_id, "mtu_bytes": mtu_bytes, "labels": labels}
    NODE.create(session, body)


add_set(
    command,
    NODE,
    click.option("--asn", metavar="ASN", type=int, help="The AS number its sessions are opened with."),
    click.option("--router-id", metavar="IPV4", type=OrEmpty(click.STRING), help="The BGP identifier."),
    click.option(
        "--mtu-bytes",
        metavar="BYTES",
        type=OrEmpty(click.INT),
        help="The MTU of endpoints that are created or moved here from now on.",
    ),
    labels_options,
    text="""Change a node.

    What is not given stays; an empty value ("") takes out what is optional. A new AS number or BGP identifier
    opens the node's sessions anew.""",
)

add_get(command, NODE)
add_list(command, NODE)
add_delete(command, NODE)
