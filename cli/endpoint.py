"""`polder endpoint`: workloads' interfaces, each with an address of its own."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence

import click

from cli.change import add_set
from cli.completion import names_of
from cli.drops import add_drops
from cli.example import examples
from cli.failure import Exit, Failure
from cli.group import Group
from cli.interfaces import InterfaceType
from cli.interfaces import create as create_interfaces
from cli.movement import DEFAULT_S, MAX_OVERLAP_S, follow
from cli.name import Named
from cli.noun import Noun, add_get, add_list, name_argument
from cli.output import Column, field
from cli.qos import LIMITS, limited
from cli.rest import Json, call, place, present
from cli.selection import OF_NODE, OF_POOL, OF_TENANT, in_state
from cli.session import Session, takes_session
from cli.setting import Labelling, nested
from cli.stats import add_stats

POLL_S = 0.1
RELEASE_S = 60.0
"""How long a node may take to withdraw and clean up."""

ACCEPTED, NOT_FOUND = 202, 404
AT_ONCE = 1000
"""Endpoints in one request."""

ENDPOINT = Noun(
    "endpoint",
    "endpoints",
    "id",
    (
        field("id"),
        field("node"),
        field("addresses"),
        Column(
            "STATE",
            lambda item: item.get("state"),
            lambda text: {"assigned": "green", "releasing": "yellow"}.get(text, ""),
        ),
        field("attached"),
        field("ready"),
        field("pools", wide=True),
        field("tenant", wide=True),
        field("kind", wide=True),
        field("mac", "MAC", wide=True),
        field("mtu_bytes", "MTU", wide=True),
        field("qos", "QOS", wide=True),
        field("labels"),
    ),
    document=("id", "node", "tenant", "families", "pools", "addresses", "mac", "labels", "qos"),
    kinds=("vm", "host"),
    replaceable=False,
    checked=True,
    labelled=True,
    used_by="",
    example="web-1",
)

KINDS = ("container", "vm", "host")
FAMILIES = {"ipv4": ["ipv4"], "ipv6": ["ipv6"], "dual": ["ipv4", "ipv6"]}


@click.group(cls=Group)
def command() -> None:
    """Workloads' interfaces, each with an address of its own."""


@command.command(
    short_help="Create an endpoint and give it an address.",
    epilog=examples(
        "polder endpoint create web-2 --node node-1",
        "polder endpoint create --node node-1 --label app=web -o name",
        "polder endpoint create web-3 --node node-1 --pool default --address 10.64.0.77",
        "polder endpoint create web-4 --node node-1 --family dual --pool default --pool default6",
        "polder endpoint create web-5 --node node-1 --egress-rate 100M --ingress-rate 1G --dscp 46",
        "polder endpoint create web-6 --node node-1 --interface eth0=default --interface eth1=default6",
        "polder endpoint create vm-1 --node node-1 --kind vm --mac 52:54:00:12:34:56",
    ),
)
@click.argument("name", metavar="[ID]", required=False, type=Named(ENDPOINT.singular))
@click.option(
    "--node", metavar="NAME", required=True, help="The node it is on.", shell_complete=names_of("nodes")
)
@click.option(
    "--family",
    type=click.Choice(list(FAMILIES)),
    help="Which addresses it gets; dual is one of each.  [default: as the pools or addresses say, else one]",
)
@click.option(
    "--pool",
    "pools",
    metavar="NAME",
    multiple=True,
    help="The pool of its address, at most one of each family.  [default: the server's choice]",
    shell_complete=names_of("pools"),
)
@click.option(
    "--address",
    "addresses",
    metavar="ADDRESS",
    multiple=True,
    help="The very address it is to have, at most one of each family.  [default: a free one]",
)
@click.option(
    "--interface",
    "interfaces",
    metavar="NAME=POOL",
    multiple=True,
    type=InterfaceType(),
    help="One of several interfaces, with its pool or two: each is an endpoint, ID, ID.NAME and so on.",
)
@click.option("--tenant", metavar="NAME", help="Whose it is.", shell_complete=names_of("tenants"))
@click.option("--kind", type=click.Choice(KINDS), help="What it is.  [default: container]")
@click.option("--mac", metavar="MAC", help="The MAC address that it has.  [default: the server's choice]")
@Labelling().to_create()
@limited
@takes_session
def create(
    session: Session,
    /,
    name: str | None,
    node: str,
    family: str | None,
    pools: tuple[str, ...],
    addresses: tuple[str, ...],
    interfaces: tuple[tuple[str, list[str]], ...],
    tenant: str | None,
    kind: str | None,
    mac: str | None,
    labels: dict[str, str] | None,
    **limits: int | None,
) -> None:
    """Create an endpoint and give it an address, or one of each family.

    The command can be repeated with the same ID: it then shows what there is. Without ID one is made up.
    With several interfaces all of them are created, or none.
    """
    body: Json = {
        "id": name or made_up(),
        "node": node,
        "families": FAMILIES[family] if family else None,
        **one_or_several("pool", "pools", pools),
        **one_or_several("address", "addresses", addresses),
        "tenant": tenant,
        "kind": kind,
        "mac": mac,
        "labels": labels,
        **nested(present(limits)),
    }
    if not interfaces:
        ENDPOINT.create(session, body)
        return
    if family or pools or addresses or mac or len(dict(interfaces)) < len(interfaces):
        raise click.UsageError("with --interface, each once, its pools say which addresses there are")
    session.print_list(create_interfaces(session, body, dict(interfaces)), ENDPOINT)


def one_or_several(one: str, several: str, given: Sequence[str]) -> Json:
    """As the API takes it: `pool` for one, `pools` for one of each family."""
    return {one: given[0]} if len(given) == 1 else {several: list(given) or None}


def made_up() -> str:
    """An id that nobody has: with an id of our own a request is safe to send again."""
    return uuid.uuid4().hex


@command.command(
    short_help="Move an endpoint to another node.",
    epilog=examples("polder endpoint move web-1 node-2", "polder endpoint move web-1 node-2 --overlap-s 0"),
)
@name_argument(ENDPOINT)
@click.argument("node", type=Named("node"), shell_complete=names_of("nodes"))
@click.option(
    "--overlap-s",
    metavar="SECONDS",
    type=click.IntRange(0, MAX_OVERLAP_S),
    help="For how long the former node waits for the new one; 0 is not at all.  [default: 30]",
)
@click.option(
    "--wait",
    is_flag=True,
    help="Report how far it is until the former node has let go; 1 if it waited in vain.",
)
@takes_session
def move(session: Session, name: str, node: str, overlap_s: int | None, wait: bool) -> None:
    """Move an endpoint to another node. It keeps its address.

    Attach it on the new node: polder attach, or the container runtime there. Its former node goes on until
    the new one delivers and announces it, if both are up, and then detaches it.
    """
    advice = {**ENDPOINT.missing(), 422: "see which nodes there are: polder node list"}
    query = {"overlap_s": overlap_s}
    moved = session.item("PATCH", ENDPOINT.path(name), {"node": node}, advice=advice, query=query)
    if wait:
        moved = follow(session, name, DEFAULT_S if overlap_s is None else overlap_s)
    session.print_item(moved, ENDPOINT)


add_set(
    command,
    ENDPOINT,
    (Labelling(), *LIMITS),
    """Change an endpoint's labels and its quality of service.

    What is not named stays; an empty value ("") takes a limit out. To another node: polder endpoint move.""",
    "polder endpoint set web-1 --label app=web --no-label old",
    'polder endpoint set web-1 --egress-rate 50M --priority 5 --dscp ""',
)


@command.command(
    short_help="Delete endpoints and release their addresses.",
    epilog=examples(
        "polder endpoint delete web-1",
        "polder endpoint delete web-1 --no-wait",
        "polder endpoint delete web-1 web-2 web-3",
    ),
)
@click.argument(
    "names",
    metavar="ID...",
    nargs=-1,
    required=True,
    type=Named(ENDPOINT.singular),
    shell_complete=names_of(ENDPOINT.plural, ENDPOINT.key),
)
@click.option(
    "--wait/--no-wait",
    default=True,
    help="Wait until its node has withdrawn and cleaned up.  [default: wait]",
)
@click.option(
    "--timeout-s",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=RELEASE_S,
    show_default=True,
    help="How long to wait.",
)
@takes_session
def delete(session: Session, names: tuple[str, ...], wait: bool, timeout_s: float) -> None:
    """Delete endpoints: their routes are withdrawn, then their addresses are released.

    Several are deleted in one request. One that cannot be is told of when the others are done.
    """
    if len(names) > 1:
        _delete_many(session, list(dict.fromkeys(names)), timeout_s if wait else None)
        return
    answer = session.request("DELETE", ENDPOINT.path(names[0]), advice=ENDPOINT.missing())
    if answer.status == ACCEPTED and wait:
        await_gone(session, names[0], timeout_s)
    session.print_done(
        "releasing" if answer.status == ACCEPTED and not wait else "deleted", endpoint=names[0]
    )


def _delete_many(session: Session, names: Sequence[str], timeout_s: float | None) -> None:
    """Delete them and wait until they are gone, unless there is no time to wait for."""
    deadline = time.monotonic() + (timeout_s or 0)
    stay: dict[str, Json] = {}
    with session.each_done(several=True) as done:
        for name, outcome in _released(session, names):
            if "problem" in outcome:
                stay[name] = outcome["problem"]
                continue
            if outcome["status"] == ACCEPTED and timeout_s is not None:
                _await(session, name, deadline, timeout_s)
            waits = outcome["status"] == ACCEPTED and timeout_s is None
            done("releasing" if waits else "deleted", endpoint=name)
    if stay:
        name, problem = next(iter(stay.items()))
        unknown = all(each["status"] == NOT_FOUND for each in stay.values())
        raise Failure(
            f"{len(stay)} of {len(names)} were not deleted; {name}: {problem['detail']}",
            code=Exit.NOT_FOUND if unknown else Exit.FAILED,
            advice=ENDPOINT.missing()[NOT_FOUND],
        )


def _released(session: Session, names: Sequence[str]) -> Iterator[tuple[str, Json]]:
    """What became of each."""
    for start in range(0, len(names), AT_ONCE):
        part = names[start : start + AT_ONCE]
        body = {"items": [{"id": name} for name in part]}
        answer = session.item("POST", f"{place('endpoints')}:release", body)
        yield from zip(part, answer["items"], strict=True)


def await_gone(session: Session, name: str, timeout_s: float = RELEASE_S) -> None:
    """Wait until an endpoint that is being released is gone. Blocking.

    Raises:
        Failure: it is not gone after `timeout_s`; the release then goes on by itself.
    """
    _await(session, name, time.monotonic() + timeout_s, timeout_s)


def _await(session: Session, name: str, deadline: float, timeout_s: float) -> None:
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
    if answer.absent:
        return True
    return answer.ok and isinstance(answer.body, dict) and answer.body.get("state") != "releasing"


add_stats(command, ENDPOINT)
add_drops(command, ENDPOINT)
add_list(command, ENDPOINT, OF_NODE, OF_POOL, OF_TENANT, in_state("assigned", "releasing"))
add_get(command, ENDPOINT)
