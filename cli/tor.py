"""`polder tor`: what routers need to peer with nodes, and whether they have it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from cli.completion import names_of
from cli.example import examples
from cli.failure import Exit, Failure
from cli.group import Group
from cli.name import Named
from cli.output import Column, Form, field
from cli.rest import Json, place
from cli.session import Session, takes_session
from cli.text import printable

VENDORS = ("frr", "bird", "eos", "nxos", "junos")
F = TypeVar("F", bound=Callable[..., Any])

PASSWORD = re.compile(r"[A-Za-z0-9._+/=@:%,~^*()-]{1,80}")
"""What none of the routers' configurations can misread."""
NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
ADVICE = {404: "see which there are: polder peer list"}

MISMATCHES = Form(
    "mismatch",
    "mismatches",
    "what",
    (
        field("node"),
        field("peer"),
        field("what"),
        field("wanted"),
        Column("FOUND", lambda item: item.get("found"), lambda text: "red"),
        field("cure", "WHAT TO CHANGE"),
    ),
)


@click.group(cls=Group)
def command() -> None:
    """What routers need to peer with nodes, and whether they have it."""


def of_router(function: F) -> F:
    """Take the peers that are one router, or an AS number."""
    for option in (
        click.option("--asn", metavar="ASN", type=click.INT, help="In place of peers: all of this AS."),
        click.argument(
            "peers", metavar="[PEER]...", nargs=-1, type=Named("peer"), shell_complete=names_of("peers")
        ),
    ):
        function = option(function)
    return function


@command.command(
    "config",
    epilog=examples(
        "polder tor config tor-a --vendor frr",
        "polder tor config --asn 64501 --vendor junos",
        "polder tor config tor-a --vendor bird -o json",
    ),
)
@of_router
@click.option("--vendor", required=True, type=click.Choice(VENDORS), help="What runs on the router.")
@click.option(
    "--secrets-dir",
    metavar="DIR",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Put in the passwords of sessions, from files here that are named for their secrets.  "
    "[default: <secret:NAME> stays in their places]",
)
@takes_session
def config(
    session: Session, peers: tuple[str, ...], asn: int | None, vendor: str, secrets_dir: Path | None
) -> None:
    """Print the configuration of a router.

    A router is one peer, or several where each node reaches it at an address of its own: name them all, or
    their AS. It is what Polder's sessions need and nothing else: neighbours, filters made of the pools,
    limits, session security, and what honours a drain (RFC 8326).
    """
    session.refuse_names()
    found = _asked(session, "router-config", peers, asn, vendor=vendor)
    if secrets_dir is not None:
        found["text"] = filled(str(found["text"]), found["secrets"], secrets_dir)
    for line in found["missing"]:
        click.echo(f"polder: not in it: {printable(line)}", err=True)
    if session.output in {"json", "yaml"}:
        session.print_item(found)
        return
    click.echo("".join(f"{printable(line)}\n" for line in found["text"].splitlines()), nl=False)


@command.command("check", epilog=examples("polder tor check tor-a", "polder tor check --asn 64501 -o json"))
@of_router
@takes_session
def check(session: Session, peers: tuple[str, ...], asn: int | None) -> None:
    """Show where sessions with a router are not as they should be, and what to change.

    It ends with 1 when there is such a thing, with 0 when there is none.
    """
    session.refuse_names()
    found = _asked(session, "router-check", peers, asn)
    mismatches: list[Json] = found["mismatches"]
    people = session.for_people
    if session.output == "json":
        session.print_item(found)
    elif mismatches or not people:
        session.print_list({"items": mismatches}, MISMATCHES)
    if people:
        wrong = len({(each["node"], each["peer"]) for each in mismatches})
        click.echo(f"{found['sessions'] - wrong} of {found['sessions']} sessions are as they should be")
    if mismatches:
        raise click.exceptions.Exit(Exit.FAILED)


def filled(text: str, secrets: Sequence[str], directory: Path) -> str:
    """The configuration with its passwords in their places. Raises `Failure`, which tells none of them."""
    for name in secrets:
        if not NAME.fullmatch(name):
            raise Failure(f"secret {name!r} is no name of a file")
        path = directory / name
        try:
            password = path.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as fault:
            why = fault.strerror if isinstance(fault, OSError) else "not UTF-8 text"
            raise Failure(f"{path}: {why}", advice="it has to hold the password of the session") from None
        if not PASSWORD.fullmatch(password):
            raise Failure(
                f"{path}: the password has characters that a router's configuration may misread",
                advice="put it in by hand, without --secrets-dir; letters, digits, ._+/=@:%,~^*()- are safe",
            )
        text = text.replace(f"<secret:{name}>", password)
    return text


def _asked(session: Session, what: str, peers: Sequence[str], asn: int | None, **more: str) -> Json:
    if bool(peers) == (asn is not None):
        raise click.UsageError("Name a peer, several, or --asn in place of them.")
    query = {**more, "peer": list(peers) or None, "asn": asn}
    return session.item("GET", place("bgp", what), advice=ADVICE, query=query)
