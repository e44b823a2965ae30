"""`polder endpoint`: workloads' interfaces, each with an address of its own."""

from __future__ import annotations

import time

import click

from cli.change import add_set, labels_options
from cli.failure import Failure
from cli.labels import labels_option
from cli.noun import Noun, add_get, name_argument
from cli.output import Column, field
from cli.rest import call, place
from cli.session import Session, takes_session

POLL_S = 0.1

ENDPOINT = Noun(
    "endpoint",
    "endpoints",
    "id",
    (
        field("id"),
        field("node"),
        field("pools"),
        field("addresses"),
        Column(
            "STATE",
            lambda item: item.get("state"),
            lambda text: {"assigned": "green", "releasing": "yellow"}.get(text, ""),
        ),
        field("attached"),
        field("ready"),
        field("labels"),
    ),
    used_by="",
)


@click.group()
def command() -> None:
    """Workloads' interfaces, each with an address of its own."""


@command.command(short_help="Create an endpoint and give it an address.")
@click.argument("name", metavar="[ID]", required=False)
@click.option("--node", metavar="NAME", required=True, help="The node it is on.")
@click.option(
    "--pool", metavar="NAME", help="The pool of its address.  [default: the only one, or the server's choice]"
)
@click.option("--address", metavar="ADDRESS", help="The very address it is to have.  [default: a free one]")
@labels_option
@takes_session
def create(
    session: Session,
    name: str | None,
    node: str,
    pool: str | None,
    address: str | None,
    labels: dict[str, str] | None,
) -> None:
    """Create an endpoint and give it an address.

    Without ID the server makes one up. With an ID the command can be repeated: it shows what there is.
    """
    body = {"id": name, "node": node, "pool": pool, "address": address, "labels": labels}
    ENDPOINT.create(session, body)


@command.command()
@name_argument(ENDPOINT)
@click.argument("node")
@takes_session
def move(session: Session, name: str, node: str) -> None:
    """Move an endpoint to another node. It keeps its address.

    Its former node detaches it. Attach it on the new node: polder attach, or the container runtime there.
    """
    advice = {**ENDPOINT.missing(), 422: "see which nodes there are: polder node list"}
    session.print_item(session.item("PATCH", ENDPOINT.path(name), {"node": node}, advice=advice))


add_set(
    command,
    ENDPOINT,
    labels_options,
    text="""Change an endpoint's labels.

    Those that are not named stay. To another node: polder endpoint move.""",
)


@command.command(short_help="Delete an endpoint and release its address.")
@name_argument(ENDPOINT)
@click.option(
    "--wait/--no-wait",
    default=True,
    help="Wait until its node has withdrawn and cleaned up.  [default: wait]",
)
@click.option(
    "--timeout-s",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="How long to wait.",
)
@takes_session
def delete(session: Session, name: str, wait: bool, timeout_s: float) -> None:
    """Delete an endpoint: its routes are withdrawn, then its address is released."""
    answer = session.request("DELETE", ENDPOINT.path(name), advice=ENDPOINT.missing())
    if answer.status == 202 and not wait:
        session.print_done("releasing", endpoint=name)
        return
    if answer.status == 202:
        _wait_until_gone(session, name, timeout_s)
    session.print_done("deleted", endpoint=name)


def _wait_until_gone(session: Session, name: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not _gone(session, name):
        if time.monotonic() >= deadline:
            raise Failure(
                f"endpoint {name} is still being released after {timeout_s:g} s: "
                "its node has not yet withdrawn and cleaned up",
                advice="see whether the node's agent and speaker are up: polder node list; "
                "the release goes on without this command",
            )
        time.sleep(POLL_S)


def _gone(session: Session, name: str) -> bool:
    """Whether it is gone, or already another one of the same name. An error in between is not an answer."""
    answer = call(session.link, "GET", ENDPOINT.path(name))
    if answer.status == 404:
        return True
    return answer.ok and isinstance(answer.body, dict) and answer.body.get("state") != "releasing"


@command.command("list")
@click.option("--node", metavar="NAME", help="Only those on this node.")
@click.option("--pool", metavar="NAME", help="Only those with an address of this pool.")
@takes_session
def list_(session: Session, node: str | None, pool: str | None) -> None:
    """Show all endpoints."""
    session.print_list(session.listing(place("endpoints"), node=node, pool=pool), ENDPOINT.columns)


add_get(command, ENDPOINT)
