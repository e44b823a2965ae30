"""`polder pki`: an authority and its certificates in files, for those who have none of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click

from cli.directory import directory_option
from cli.example import examples
from cli.failure import Failure
from cli.group import Group
from cli.options import chosen_output, output_option
from cli.output import Column, Form, field
from cli.printer import Printer
from pki.certificate import PkiError, alternative_names, common_name, fingerprint
from pki.directory import CONTROLLER, ETCD, Directory, init, read_cert, with_loopback

RENEW_DAYS = 30
"""Renew from then on: time enough for a holiday."""

at_directory = directory_option("/etc/polder/pki", "Where authority and certificates are.")


def _pki_errors(function: Callable[..., None]) -> Callable[..., None]:
    """What is wrong with files, as every command ends."""

    @wraps(function)
    def run(*args: Any, **options: Any) -> None:
        try:
            function(*args, **options)
        except PkiError as fault:
            raise Failure(str(fault)) from None

    return run


@click.group(cls=Group)
def command() -> None:
    """Certificates, for those who have no PKI."""


@command.command(
    "init", epilog=examples("polder pki init --san etcd-1.example.net --san 192.0.2.10 --san 192.0.2.11")
)
@at_directory
@click.option(
    "--san",
    "sans",
    multiple=True,
    metavar="NAME|IP",
    help="A name or address of a host that etcd or a controller runs on. Repeatable.  [always: localhost]",
)
@_pki_errors
def init_(directory: Path, sans: tuple[str, ...]) -> None:
    """Make an authority and the certificates of etcd, the controllers and etcd's root user.

    Nothing that is there is written over. Give every name and address under which clients reach etcd and the
    controllers: a certificate is good for those only.
    """
    init(directory, sans)
    click.echo("\n".join(_next_steps(directory.absolute(), sans[0] if sans else "127.0.0.1")))


def _next_steps(directory: Path, host: str) -> Iterable[str]:
    host = f"[{host}]" if ":" in host else host
    files = [
        ("ca.pem", "the authority, for everybody"),
        ("ca.key", "its key: whoever reads it can be anybody"),
        (f"{ETCD}.pem, .key", "each member of etcd"),
        (f"{CONTROLLER}.pem, .key", "each controller: its REST API, and its client certificate for etcd"),
        ("root.pem, .key", "yourself: the user of etcd who may do everything"),
    ]
    yield f"polder: made {directory}"
    yield from (f"  {name:<24}{what}" for name, what in files)
    yield "Next:"
    etcd = [
        "etcd --name=etcd-1 --data-dir=/var/lib/etcd",
        f"--listen-client-urls=https://0.0.0.0:2379 --advertise-client-urls=https://{host}:2379",
        f"--client-cert-auth --trusted-ca-file={directory}/ca.pem",
        f"--cert-file={directory}/etcd.pem --key-file={directory}/etcd.key",
        f"--listen-peer-urls=https://0.0.0.0:2380 --initial-advertise-peer-urls=https://{host}:2380",
        f"--initial-cluster=etcd-1=https://{host}:2380",
        f"--peer-client-cert-auth --peer-cert-allowed-cn=etcd --peer-trusted-ca-file={directory}/ca.pem",
        f"--peer-cert-file={directory}/etcd.pem --peer-key-file={directory}/etcd.key",
    ]
    yield "  " + " \\\n      ".join(etcd)
    yield f"  polder etcd secure --pki={directory} --etcd=https://{host}:2379"
    yield "  (umask 077; openssl rand -hex 32 > /etc/polder/tokens)"
    yield (
        f"  polder controller --pki={directory} --etcd=https://{host}:2379 --listen=0.0.0.0:8443 "
        "--token-file=/etc/polder/tokens"
    )
    yield f"  export POLDER_SERVER=https://{host}:8443 POLDER_CA={directory}/ca.pem"
    yield "  export POLDER_TOKEN=$(cat /etc/polder/tokens)"
    yield "  polder node create node-1 --asn 64511"
    yield "  polder node join-token node-1"


@command.command(epilog=examples("polder pki show", "polder pki show -o json"))
@at_directory
@output_option
@click.pass_context
@_pki_errors
def show(context: click.Context, directory: Path, output: str | None) -> None:
    """Show the certificates, for whom they are, and when they end."""
    rows = [_row(path, datetime.now(UTC)) for path, _ in Directory.open(directory).certificates()]
    Printer(chosen_output(context, output)).print_list({"items": rows}, CERTIFICATE)


CERTIFICATE = Form(
    "certificate",
    "certificates",
    "name",
    (
        field("file"),
        field("name"),
        field("sans", "FOR"),
        field("expires"),
        Column(
            "DAYS LEFT", lambda item: item["days_left"], lambda text: "red" if int(text) < RENEW_DAYS else ""
        ),
        field("fingerprint"),
    ),
)


def _row(path: Path, now: datetime) -> dict[str, Any]:
    cert = read_cert(path, "")
    ends = cert.not_valid_after_utc
    return {
        "file": path.name,
        "name": common_name(cert),
        "sans": list(alternative_names(cert)),
        "expires": ends.isoformat(),
        "days_left": (ends - now).days,
        "fingerprint": fingerprint(cert),
    }


@command.command(
    epilog=examples(
        "polder pki issue controller",
        "polder pki issue etcd --san etcd-4.example.net --san 192.0.2.14",
        "polder pki issue backup",
    )
)
@click.argument("name")
@at_directory
@click.option(
    "--san",
    "sans",
    multiple=True,
    metavar="NAME|IP",
    help="A name or address of the server, beside localhost. Repeatable.  [default: as it is]",
)
@_pki_errors
def issue(name: str, directory: Path, sans: tuple[str, ...]) -> None:
    """Issue or renew a certificate, for one year.

    NAME is its common name, which etcd takes for the user. With --san it is a server's, without a client's
    only. A key that is there is kept. Etcd and Polder's programs take it up by themselves.
    """
    pair = Directory.open(directory).issue(name, with_loopback(sans) if sans else ())
    ends = read_cert(pair.cert, "").not_valid_after_utc
    click.echo(f"polder: wrote {pair.cert}, good until {ends:%Y-%m-%d}")
