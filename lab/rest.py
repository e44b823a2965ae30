"""REST over TLS from inside a namespace, or over a unix socket. Answers are handed over, not judged."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from lab import netns
from lab.errors import LabError
from lab.wait import wait_until

TIMEOUT_S = 15.0
NOT_NOW = 503
PATIENCE_S = 10.0
"""For so long what is not done now is asked for again: etcd elects a leader in less."""
AGAIN_S = 0.2
MERGE_PATCH = "application/merge-patch+json"  # RFC 7396


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, and the body as JSON (None: empty; text when it is not JSON). Header names in lower case."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether the request was done."""
        return 200 <= self.status < 300


class Unanswered(LabError):
    """Nobody answered: connection refused, reset, or too slow."""


class Link(ssl.SSLSocket):
    """A TLS socket that closes itself when nobody else can.

    Where the other end resets the connection just before the handshake, `wrap_socket` of Python 3.11 raises
    and forgets the socket that it has already taken over.
    """

    def __del__(self) -> None:
        if self.version() is None:
            self.close()
        super().__del__()  # type: ignore[misc]  # typeshed lacks it


@dataclass(frozen=True, slots=True)
class Door:
    """Where a controller is, from inside a network namespace, and what it is shown."""

    namespace: str
    address: str
    port: int
    trust: ssl.SSLContext
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        self.trust.sslsocket_class = Link

    @property
    def headers(self) -> dict[str, str]:
        """To be sent with each request."""
        return {"Authorization": f"Bearer {self.token}"}

    def connect(self, timeout_s: float) -> socket.socket:
        """A connection whose other end has proved who it is. Raises OSError."""
        where = (self.address, self.port)
        link = netns.within(self.namespace, lambda: socket.create_connection(where, timeout_s))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.trust.wrap_socket(link, server_hostname=self.address)


class Rest:
    """A client of one server. A connection for each request: there is none to go stale, or to share.

    Args:
        dial: opens a connection; may raise OSError.
        where: the server, for people.
        headers: sent with each request.
    """

    def __init__(
        self, dial: Callable[[], socket.socket], where: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._dial = dial
        self._where = where
        self._headers = dict(headers or {})

    @classmethod
    def through(cls, door: Door) -> Rest:
        """A client of a controller."""
        where = f"{door.address}:{door.port} in {door.namespace}"
        return cls(lambda: door.connect(TIMEOUT_S), where, door.headers)

    @classmethod
    def unix(cls, path: Path) -> Rest:
        """A client of a unix socket."""

        def dial() -> socket.socket:
            link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            link.settimeout(TIMEOUT_S)
            try:
                link.connect(str(path))
            except OSError:
                link.close()
                raise
            return link

        return cls(dial, str(path))

    def request(self, method: str, path: str, body: object = None) -> Answer:
        """Ask once, whatever the answer. Blocking, up to 15 s. Raises Unanswered."""
        connection = HTTPConnection("localhost")
        try:
            connection.sock = self._dial()
            data = None if body is None else json.dumps(body)
            kind = {"Content-Type": MERGE_PATCH if method == "PATCH" else "application/json"}
            headers = self._headers if body is None else self._headers | kind
            connection.request(method, path, body=data, headers=headers)
            answer = connection.getresponse()
            raw = answer.read()
        except (OSError, HTTPException) as fault:
            raise Unanswered(f"{method} {path} at {self._where}: {fault}") from fault
        finally:
            connection.close()
        return Answer(answer.status, _json(raw), {name.lower(): value for name, value in answer.getheaders()})

    def get(self, path: str) -> Answer:
        """GET. Raises Unanswered."""
        return self.request("GET", path)

    def do(self, method: str, path: str, body: object = None) -> Any:
        """Ask for something that is expected to be done; returns the body.

        Asks again while the answer is 503, which is come back later. Raises LabError when it is not done.
        """
        answer = wait_until(
            lambda: self.request(method, path, body),
            PATIENCE_S,
            f"{method} {path} at {self._where} to be done",
            good=lambda answer: answer.status != NOT_NOW,
            poll_s=AGAIN_S,
        )
        if not answer.ok:
            raise LabError(f"{method} {path} at {self._where}: {answer.status} {answer.body}")
        return answer.body

    def answers(self, path: str) -> bool:
        """Whether GET of this path answers 200 now."""
        try:
            return self.get(path).status == 200
        except Unanswered:
            return False


def _json(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")
