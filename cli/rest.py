"""One JSON request and its answer, over TCP, TLS or a unix socket.

The standard library only, and imported when first used: `polder --help` must not wait for TLS. Redirects are
not followed and proxies not asked, so that a token goes to the server that was named and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode

from cli.failure import Exit, Failure
from cli.server import Server, check_token

if TYPE_CHECKING:
    from http.client import HTTPConnection

TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 64 << 20

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `body` is the decoded JSON, None when there was none."""

    status: int
    body: Any = None
    retry_after: str = ""

    @property
    def ok(self) -> bool:
        """Whether the server did what was asked."""
        return 200 <= self.status < 300


class Link(Protocol):
    """A way to reach a server."""

    @property
    def root(self) -> str:
        """What comes before `/v1` in every path."""
        ...

    def connect(self) -> HTTPConnection:
        """A connection for one request. Raises OSError when it cannot be made."""
        ...

    def headers(self) -> dict[str, str]:
        """Headers that each request carries."""
        ...

    def unreachable(self, fault: OSError) -> Failure:
        """The failure to report when nobody answered."""
        ...


@dataclass(frozen=True, slots=True)
class ServerLink:
    """A controller over http or https. The token is never part of a message."""

    server: Server
    token: str = ""
    ca: str = ""
    """A file of certificates to trust in place of the system's."""

    def __post_init__(self) -> None:
        if self.token:
            check_token(self.server, self.token)

    @property
    def root(self) -> str:
        return self.server.path

    def connect(self) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        if self.server.scheme == "http":
            return HTTPConnection(self.server.host, self.server.port, timeout=TIMEOUT_S)
        import ssl

        try:
            trust = ssl.create_default_context(cafile=self.ca or None)
        except OSError as fault:
            raise Failure(
                f"--ca {self.ca}: {fault.strerror or 'not a file of certificates in PEM'}", code=Exit.USAGE
            ) from None
        return HTTPSConnection(self.server.host, self.server.port, timeout=TIMEOUT_S, context=trust)

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def unreachable(self, fault: OSError) -> Failure:
        if type(fault).__name__ == "SSLCertVerificationError":
            return Failure(
                f"{self.server.url} shows a certificate that is not trusted: {fault}",
                code=Exit.UNAVAILABLE,
                advice="name the certificate authority with --ca FILE",
            )
        return Failure(
            f"no controller answers at {self.server.url}: {_why(fault)}",
            code=Exit.UNAVAILABLE,
            advice="start one with `polder up`, or name another with --server or POLDER_SERVER",
        )


@dataclass(frozen=True, slots=True)
class SocketLink:
    """This host's agent, over its unix socket."""

    path: Path

    @property
    def root(self) -> str:
        return ""

    def connect(self) -> HTTPConnection:
        from cli.unixhttp import UnixConnection

        return UnixConnection(self.path, timeout=TIMEOUT_S)

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


def call(
    link: Link, method: str, path: str, body: Json | None = None, query: Mapping[str, object] | None = None
) -> Answer:
    """Send one request and read its answer. Blocking: at most `TIMEOUT_S` for each step.

    Args:
        link: the way to the server.
        method: the HTTP method.
        path: below the server's root, its parts already quoted (see `place`).
        body: sent as JSON; as a merge patch (RFC 7396) when the method is PATCH.
        query: parameters; None values are left out.

    Raises:
        Failure: nobody answered (exit 5), or what answered is not Polder (exit 1).
    """
    from http.client import HTTPException

    headers = {"Accept": "application/json", **link.headers()}
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        kind = "merge-patch+json" if method == "PATCH" else "json"
        headers["Content-Type"] = f"application/{kind}"
    given = {key: value for key, value in (query or {}).items() if value is not None}
    target = link.root + path + (f"?{urlencode(given)}" if given else "")
    try:
        return _exchange(link, method, target, data, headers)
    except OSError as fault:
        raise link.unreachable(fault) from None
    except HTTPException as fault:
        raise _not_polder(f"{type(fault).__name__} {fault}".strip()) from None


def place(*parts: str) -> str:
    """The path `/v1/...` of the given parts, each quoted."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _exchange(link: Link, method: str, target: str, data: bytes | None, headers: dict[str, str]) -> Answer:
    connection = link.connect()
    try:
        connection.request(method, target, body=data, headers=headers)
        response = connection.getresponse()
        raw = response.read(MAX_ANSWER_BYTES + 1)
        retry_after = response.getheader("Retry-After") or ""
        kind = response.getheader("Content-Type") or ""
        return Answer(response.status, _decoded(response.status, kind, raw), retry_after)
    finally:
        connection.close()


def _decoded(status: int, kind: str, raw: bytes) -> Any:
    if 300 <= status < 400:
        raise _not_polder(f"a redirect ({status})")
    if len(raw) > MAX_ANSWER_BYTES:
        raise Failure(f"the answer is larger than {MAX_ANSWER_BYTES >> 20} MiB")
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        if status >= 400:
            return None
        raise _not_polder(f"{kind or 'no type'} where JSON was expected") from None


def _not_polder(what: str) -> Failure:
    return Failure(
        f"what answers there is not a Polder controller: {what}", advice="check --server or POLDER_SERVER"
    )


def _why(fault: OSError) -> str:
    if isinstance(fault, TimeoutError):
        return f"no answer within {TIMEOUT_S:.0f} s; what was asked may have been done"
    return fault.strerror or str(fault)
