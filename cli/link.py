"""Ways to reach a server: over http or https, over this host's agent's socket, and any of several.

A `Link` is what a command is given; it names one `Way` or more, in the order in which they are tried.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cli.failure import Exit, Failure
from cli.server import Server, check_token

if TYPE_CHECKING:
    from http.client import HTTPConnection

RENEW = "polder pki issue controller"
OTHER_NAME = f"use a name that it has in {{source}}, or give it this one: {RENEW} --san NAME, all of them"
CERTIFICATE = {
    9: "see whether the clocks of this host and of the server are right",
    10: f"have it renewed: {RENEW}",
    62: OTHER_NAME,
    64: OTHER_NAME,
}
"""What to do about a certificate, by what OpenSSL says of it (X509_V_ERR): it is not good yet, has ended, or
is for another name, or another address."""
TIMEOUT_S = 30.0
"""How long one step may take: to connect, or to answer."""
CONNECT_S = 3.0
NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST"})
"""What OpenSSL says of an answer in plain text."""
PATIENCE_S = 10.0
"""How long to connect, and to wait for an answer, while there is another server to ask."""


class Way(Protocol):
    """A way to one server."""

    @property
    def root(self) -> str:
        """What comes before `/v1` in every path."""
        ...

    def connection(self, *, others: bool) -> HTTPConnection:
        """A connection for one request, not yet open; quick to give up when there are `others` to ask."""
        ...

    def patience_s(self, *, others: bool) -> float:
        """How long to wait for an answer."""
        ...

    def headers(self) -> dict[str, str]:
        """Headers that each request carries."""
        ...

    def unreachable(self, fault: OSError) -> Failure:
        """The failure to report when nobody answered."""
        ...


class Link(Protocol):
    """How to reach a server: one way, or several to the same thing."""

    def ways(self) -> Sequence[Way]:
        """The ways, in the order in which they are tried. Never empty."""
        ...

    def prefer(self, way: Way) -> None:
        """This one answered: try it first from now on."""
        ...


@dataclass(frozen=True, slots=True)
class ServerLink:
    """A controller over http or https. The token is never part of a message."""

    server: Server
    token: str = ""
    ca: str = ""
    """A file of certificates to trust in place of the system's."""
    token_source: str = "POLDER_TOKEN"  # noqa: S105 - where it comes from, not what it is
    server_source: str = "--server or POLDER_SERVER"
    trust_advice: str = "name the file of the authority in --ca, POLDER_CA or the context"
    """What to do where `ca` cannot be read, or is not the server's authority."""
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        if self.token:
            check_token(self.server, self.token, self.token_source)

    def ways(self) -> Sequence[Way]:
        return (self,)

    def prefer(self, way: Way) -> None:
        return

    @property
    def root(self) -> str:
        return self.server.path

    def connection(self, *, others: bool) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        wait_s = min(self.timeout_s, CONNECT_S) if others else self.timeout_s
        if self.server.scheme == "http":
            return HTTPConnection(self.server.host, self.server.port, timeout=wait_s)
        import ssl

        try:
            trust = ssl.create_default_context(cafile=self.ca or None)
        except OSError as fault:
            why = "not a file of certificates in PEM" if isinstance(fault, ssl.SSLError) else fault.strerror
            raise Failure(f"{self.ca}: {why}", code=Exit.USAGE, advice=self.trust_advice) from None
        return HTTPSConnection(self.server.host, self.server.port, timeout=wait_s, context=trust)

    def patience_s(self, *, others: bool) -> float:
        return min(self.timeout_s, PATIENCE_S) if others else self.timeout_s

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def unreachable(self, fault: OSError) -> Failure:
        url, kind = self.server.url, type(fault).__name__
        advice = f"start one with `polder up`, or name another with {self.server_source}"
        if kind == "SSLCertVerificationError":
            why, what = getattr(fault, "verify_message", str(fault)), getattr(fault, "verify_code", 0)
            advice = CERTIFICATE.get(what, self.trust_advice)
            return Failure(
                f"{url} shows a certificate that is not trusted: {why}",
                advice=advice.format(source=self.server_source),
            )
        if getattr(fault, "reason", None) in NO_TLS:
            return Failure(
                f"what answers at {url} does not speak TLS",
                advice=f"name it with http:// in {self.server_source}, or give it a certificate",
            )
        hung_up = kind == "RemoteDisconnected" or fault.errno == errno.ECONNRESET
        if hung_up and self.server.scheme == "http":
            advice = f"if it speaks TLS name it with https:// in {self.server_source}; if not, try again"
        return Failure(f"no controller answers at {url}: {_why(fault)}", code=Exit.UNAVAILABLE, advice=advice)


class AnyLink:
    """Several controllers of the same Polder: the one that answered last is asked first."""

    def __init__(self, links: Sequence[ServerLink]) -> None:
        self._ways: list[Way] = list(links)

    def ways(self) -> Sequence[Way]:
        """The ways, the one that answered last before the others."""
        return tuple(self._ways)

    def prefer(self, way: Way) -> None:
        """Try this one first from now on, and the others in the order they had."""
        self._ways.sort(key=lambda each: each is not way)


@dataclass(frozen=True, slots=True)
class SocketLink:
    """This host's agent, over its unix socket."""

    path: Path

    def ways(self) -> Sequence[Way]:
        return (self,)

    def prefer(self, way: Way) -> None:
        return

    @property
    def root(self) -> str:
        return ""

    def connection(self, *, others: bool) -> HTTPConnection:
        from cli.unixhttp import UnixConnection

        return UnixConnection(self.path, timeout=TIMEOUT_S)

    def patience_s(self, *, others: bool) -> float:
        return TIMEOUT_S

    def headers(self) -> dict[str, str]:
        return {}

    def unreachable(self, fault: OSError) -> Failure:
        if isinstance(fault, PermissionError):
            return Failure(f"{self.path} is not open to this user", advice="run the command as root")
        return Failure(
            f"no agent answers at {self.path}: {_why(fault)}",
            code=Exit.UNAVAILABLE,
            advice="start one with `polder agent` or `polder up`, or name its socket with --socket",
        )


def unanswered(faults: Sequence[tuple[Way, OSError]]) -> Failure:
    """The failure to report when none of the ways that were tried led to an answer."""
    failures = [way.unreachable(fault) for way, fault in faults]
    last = failures[-1]
    if len(failures) == 1:
        return last
    may_answer = any(each.code is Exit.UNAVAILABLE for each in failures)
    code = Exit.UNAVAILABLE if may_answer else last.code
    return Failure("; ".join(each.message for each in failures), code=code, advice=last.advice)


def _why(fault: OSError) -> str:
    if isinstance(fault, TimeoutError):
        return "no answer in time; what was asked may have been done"
    return fault.strerror or str(fault)
