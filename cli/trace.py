"""`polder trace`: the way of a packet, step by step."""

from __future__ import annotations

import click

from cli.completion import names_of
from cli.example import examples
from cli.name import Named
from cli.output import Column, field, print_table, seen
from cli.rest import Json, place
from cli.session import Session, takes_session
from cli.text import printable

STYLES = {"stops": "red", "arrives": "green", "unknown": "yellow"}
COLUMNS = (
    field("node"),
    field("at"),
    Column("VERDICT", lambda item: item.get("verdict"), lambda text: STYLES.get(text, "")),
    field("what"),
    field("purpose"),
    field("reason"),
    field("evidence", wide=True),
)
ADVICE = {422: "see which endpoints there are: polder endpoint list"}


@click.command(
    short_help="Say which way a packet takes, and where and why it stops.",
    epilog=examples(
        "polder trace web-1 web-2",
        "polder trace web-1 10.64.0.99 --proto tcp --port 80 -o wide",
        "polder trace 198.51.100.7 web-1 --proto udp --port 53",
    ),
)
@click.argument("source", type=Named("endpoint"), shell_complete=names_of("endpoints", "id"))
@click.argument("destination", type=Named("endpoint"), shell_complete=names_of("endpoints", "id"))
@click.option(
    "--proto",
    type=click.Choice(("icmp", "tcp", "udp")),
    default="icmp",
    show_default=True,
    help="What it carries; icmp is an echo request.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="The destination port of tcp and udp.")
@takes_session
def trace(session: Session, source: str, destination: str, proto: str, port: int | None) -> None:
    """Say which way a packet takes from SOURCE to DESTINATION, and where and why it stops.

    Both are ids of endpoints, or addresses; one of the two may be outside of Polder. Nothing is sent: the
    switches and kernels on the way are asked what they would do. It is the first packet of a connection.
    Exit code 1 when it does not arrive.
    """
    if (port is None) != (proto == "icmp"):
        raise click.UsageError("--port goes with --proto tcp or udp, which need it")
    session.refuse_names()
    query = {"source": source, "destination": destination, "protocol": proto, "port": port}
    found = session.item("GET", place("trace"), query=query, advice=ADVICE)
    if session.for_people:
        _tell(session, found)
    else:
        session.print_item(found)
    if not found["arrives"]:
        raise click.exceptions.Exit(1)


def _tell(session: Session, found: Json) -> None:
    print_table(found["steps"], seen(COLUMNS, session.output))
    click.echo()
    click.echo(printable(found["why"]))
