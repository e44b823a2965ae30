"""`polder attach` and `polder detach`: put an endpoint where it is on this host, and take it out.

They speak to this host's agent over its unix socket, not to a controller: attaching works with every
controller down.
"""

from __future__ import annotations

from pathlib import Path

import click

from cli.completion import names_of
from cli.example import examples
from cli.link import SocketLink
from cli.name import Named
from cli.options import chosen_output, output_option
from cli.rest import Json, place
from cli.session import Session

DEFAULT_SOCKET = "/run/polder/agent.sock"
NETNS_DIR = "/run/netns"

socket_option = click.option(
    "--socket",
    type=click.Path(path_type=Path),
    default=DEFAULT_SOCKET,
    show_default=True,
    envvar="POLDER_AGENT_SOCKET",
    help="The agent's socket.",
)


@click.command(
    epilog=examples(
        "polder attach web-1 --netns web-1",
        "polder attach web-1 --netns /proc/4711/ns/net --ifname eth1",
        "polder attach vm-1 --port tap0",
        "polder attach db-1 --port eth3 --via 192.0.2.7",
    )
)
@click.argument("endpoint", type=Named("endpoint"), shell_complete=names_of("endpoints", "id"))
@click.option(
    "--netns",
    metavar="NAME|PATH",
    help=f"A container's namespace: a name below {NETNS_DIR}, or a path such as /proc/PID/ns/net.",
)
@click.option("--ifname", metavar="NAME", help="The interface's name in there.  [default: eth0]")
@click.option("--port", metavar="NAME", help="A virtual machine's tap, or a host's physical port.")
@click.option(
    "--via",
    metavar="ADDRESS",
    multiple=True,
    help="The neighbour behind the port, if several hosts are behind it; at most one of each family.",
)
@socket_option
@output_option
@click.pass_context
def attach(
    context: click.Context,
    endpoint: str,
    netns: str | None,
    ifname: str | None,
    port: str | None,
    via: tuple[str, ...],
    socket: Path,
    output: str | None,
) -> None:
    """Put an endpoint of this node where it is: into a namespace, on a port, or behind a neighbour."""
    if via and port is None:
        raise click.UsageError("--via is a neighbour behind a port of this node; give --port as well")
    if (netns is None) == (port is None):
        raise click.UsageError("give --netns or --port")
    if ifname is not None and netns is None:
        raise click.UsageError("--ifname is a name in a namespace; give --netns as well")
    session = Session(chosen_output(context, output), SocketLink(socket))
    inside: Json = {"netns": netns_path(netns), "ifname": ifname or "eth0"} if netns is not None else {}
    place_of: Json = {**inside, "port": port, "via": list(via)}
    body: Json = {"endpoint": endpoint, **{key: value for key, value in place_of.items() if value}}
    advice = {404: "see which endpoints there are, and on which node: polder endpoint list"}
    made = session.item("POST", place("attachments"), body, advice=advice)
    if session.output == "name":
        click.echo(f"endpoint/{endpoint}")
    else:
        session.print_item(made)


@click.command(epilog=examples("polder detach web-1"))
@click.argument("endpoint", type=Named("endpoint"), shell_complete=names_of("endpoints", "id"))
@socket_option
@output_option
@click.pass_context
def detach(context: click.Context, endpoint: str, socket: Path, output: str | None) -> None:
    """Take an endpoint out of its place. It keeps its address."""
    session = Session(chosen_output(context, output), SocketLink(socket))
    session.request("DELETE", place("attachments", endpoint), advice={404: "see polder endpoint list"})
    session.print_done("detached", endpoint=endpoint)


def netns_path(given: str) -> str:
    """The path of a namespace: that of `ip netns` for a bare name."""
    path = Path(given)
    return str(path.absolute()) if "/" in given else f"{NETNS_DIR}/{given}"
