"""`polder agent join` and `polder agent renew`: how this host becomes a node, and stays one.

The key is made here and leaves the host never. The controllers' authority is fetched from whoever answers and
believed only when its fingerprint is the join token's; the secret is shown after that, over TLS that is
verified. The options file is written last: it is there when everything that it names is.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import click

from cli.directory import directory_option
from cli.failure import Exit, Failure
from cli.link import ServerLink
from cli.rest import Json
from cli.server import Server, check_token, parse_server
from cli.session import Session
from pki import files
from pki.certificate import PkiError, cert_pem, fingerprint, key_pem, load_cert, new_key, request
from pki.directory import Pair, read_cert, read_identity, read_key
from pki.join_token import JoinToken

JOIN_PATH = "/v1/join"
OPTION = "--controller"
HEADING = "# Options of polder agent and polder speaker: --config names this file."
AGAIN = "join anew: polder node join-token NODE, then polder agent join TOKEN here"


class Unverified(ServerLink):
    """A way to a server that may be anybody. Nothing secret goes there, and what it says is checked."""

    def connection(self, *, others: bool) -> HTTPConnection:
        if self.server.scheme == "http":
            return super().connection(others=others)
        import ssl

        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname = False
        anybody.verify_mode = ssl.CERT_NONE
        return HTTPSConnection(self.server.host, self.server.port, timeout=self.timeout_s, context=anybody)


@dataclass(frozen=True, slots=True)
class Place:
    """The files of a node."""

    path: Path

    @property
    def pair(self) -> Pair:
        """Its certificate and key."""
        return Pair(self.path / "node.pem", self.path / "node.key")

    @property
    def options(self) -> Path:
        """What `--config` of agent and speaker takes."""
        return self.path / "node.conf"

    @property
    def ca(self) -> Path:
        """The controllers' authority."""
        return self.path / "controller-ca.pem"

    @property
    def etcd_ca(self) -> Path:
        """Etcd's authority."""
        return self.path / "etcd-ca.pem"

    @property
    def controller(self) -> Path:
        """The URL of a controller."""
        return self.path / "controller.url"


at_directory = directory_option("/etc/polder", "Where this node's key, certificates and options are.")


@click.command()
@click.argument("token")
@click.option(OPTION, "url", metavar="URL", required=True, help="A controller, such as https://polder:8443.")
@at_directory
@click.option(
    "--ca",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Trust these certificates (PEM) for the controller.  [default: the one that the token names]",
)
def join(token: str, url: str, directory: Path, ca: Path | None) -> None:
    """Make this host a node.

    \b
    polder agent join pj1:node-1:... --controller https://polder.example.net:8443
    polder agent join - --controller https://polder.example.net:8443 < token

    TOKEN is what `polder node join-token` printed, or - to read it from standard input. The same command may
    be repeated when its answer was lost: the key that is there is used again.
    """
    said = _parsed(token if token != "-" else sys.stdin.readline())  # noqa: S105
    server = parse_server(url, OPTION)
    check_token(server, said.secret, "the join token")
    place = Place(directory)
    try:
        _refuse_other(place, said.node)
        _join(said, server, place, ca)
    except PkiError as fault:
        raise Failure(str(fault)) from None
    click.echo("\n".join(_next_steps(place, said.node)))


def _parsed(token: str) -> JoinToken:
    try:
        return JoinToken.parse(token)
    except PkiError as fault:
        raise Failure(str(fault), code=Exit.USAGE) from None


def _join(said: JoinToken, server: Server, place: Place, ca: Path | None) -> None:
    files.directory(place.path)
    if not place.pair.key.exists():
        files.write(place.pair.key, key_pem(new_key()))
    key = read_key(place.pair.key, AGAIN, read=files.read_own)
    files.write(
        place.ca,
        files.read(ca, "give --ca a file of certificates") if ca else _authority(server, said.fingerprint),
    )
    body = {"node": said.node, "secret": said.secret, "request": request(key)}
    link = ServerLink(
        server, ca=str(place.ca), server_source=OPTION, trust_advice="name the file of the authority in --ca"
    )
    joined = _ask(link, "POST", JOIN_PATH, body)
    files.write(place.pair.cert, _text(joined, "certificate").encode())
    files.write(place.etcd_ca, _text(joined, "etcd_ca").encode())
    files.write(place.controller, f"{server.url}\n".encode())
    files.write(place.options, _options(place, said.node, joined).encode())


def _authority(server: Server, wanted: str) -> bytes:
    """The authority of the controllers, PEM. Raises `Failure` when it is not the wanted one.

    Of what it answers nothing else is taken: who is in between may have added that.
    """
    cert = load_cert(_text(_ask(Unverified(server, server_source=OPTION), "GET", JOIN_PATH), "ca").encode())
    if fingerprint(cert) != wanted:
        raise Failure(
            f"{server.url} is not of the controllers that made this token: its authority is another",
            advice="check --controller, and that nobody stands in between; nothing secret was sent",
        )
    return cert_pem(cert)


def _options(place: Place, node: str, joined: Json) -> str:
    """The options file: what joining tells, and what somebody has added to the one that is there."""
    options: dict[str, object] = {
        "node": node,
        "etcd": ",".join(joined.get("etcd") or []),
        "etcd-ca": place.etcd_ca.absolute(),
        "etcd-cert": place.pair.cert.absolute(),
        "etcd-key": place.pair.key.absolute(),
    }
    lines = [HEADING, *(f"{name} = {value}" for name, value in options.items())]
    lines += [line for line in _lines(place) if line != HEADING and _setting(line)[0] not in options]
    return "\n".join(lines) + "\n"


def _lines(place: Place) -> list[str]:
    """Of the options file; none where there is no such file. Raises `PkiError`."""
    if not place.options.exists():
        return []
    try:
        return files.read(place.options, AGAIN).decode().splitlines()
    except UnicodeDecodeError:
        raise PkiError(f"{place.options} is no text: remove it") from None


def _setting(line: str) -> tuple[str, str]:
    """The name and the value of an option, as agent and speaker read the line."""
    name, _, value = line.partition("=")
    return name.strip(), value.strip()


def _refuse_other(place: Place, node: str) -> None:
    """Refuse to make one node into another: two would have one key."""
    lines = _lines(place)
    if lines and dict(map(_setting, lines)).get("node") != node:
        raise Failure(
            f"{place.options} is of another node than {node}",
            code=Exit.CONFLICT,
            advice=f"to make this host another node, remove {place.pair.key} and {place.options} first",
        )


def _next_steps(place: Place, node: str) -> list[str]:
    ends = read_cert(place.pair.cert, AGAIN).not_valid_after_utc
    return [
        f"polder: this host is node {node}; its certificate is good until {ends:%Y-%m-%d}",
        "Next, as services or by hand:",
        "  systemctl enable --now polder-agent polder-speaker polder-renew.timer polder-shutdown",
        f"  polder agent --config={place.options}",
        f"  polder speaker --config={place.options}",
    ]


@click.command()
@at_directory
@click.option(OPTION, "url", metavar="URL", help="A controller.  [default: the one it joined with]")
@click.option(
    "--within-days", metavar="N", type=int, help="Only if the certificate ends within so many days."
)
def renew(directory: Path, url: str | None, within_days: int | None) -> None:
    """Renew this node's certificate, for the same key.

    \b
    polder agent renew --within-days 60

    Agent and speaker take it up by themselves. One that has ended cannot be renewed: then join anew.
    """
    place = Place(directory)
    try:
        old = read_identity(place.pair, AGAIN)
        left = old.cert.not_valid_after_utc - datetime.now(UTC)
        if within_days is not None and left.days >= within_days:
            click.echo(f"polder: the certificate is good for {left.days} days more")
            return
        at = url or files.read(place.controller, "name one with --controller").decode().strip()
        body = {"certificate": place.pair.cert.read_text(), "request": request(old.key)}
        link = ServerLink(
            parse_server(at, OPTION), ca=str(place.ca), server_source=OPTION, trust_advice=AGAIN
        )
        files.write(
            place.pair.cert, _text(_ask(link, "POST", f"{JOIN_PATH}:renew", body), "certificate").encode()
        )
        ends = read_cert(place.pair.cert, AGAIN).not_valid_after_utc
    except PkiError as fault:
        raise Failure(str(fault)) from None
    click.echo(f"polder: the new certificate is good until {ends:%Y-%m-%d}")


def _ask(link: ServerLink, method: str, path: str, body: Json | None = None) -> Json:
    """One request. Sent again it does the same, so a lost answer is no harm."""
    return Session("json", link).item(method, path, body, advice={403: AGAIN, 409: ""}, repeatable=True)


def _text(answer: Json, field: str) -> str:
    value = answer.get(field)
    if not isinstance(value, str):
        raise Failure(
            f"the answer has no {field}", advice="check --controller: is it a controller of Polder?"
        )
    return value
