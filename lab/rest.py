"""REST from inside a namespace or over a unix socket. Answers are handed over, not judged."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from lab import netns
from lab.errors import LabError

TIMEOUT_S = 15.0
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


class Rest:
    """A client of one server. A connection for each request: there is none to go stale, or to share.

    Args:
        dial: opens a connection; may raise OSError.
        where: the server, for people.
    """

    def __init__(self, dial: Callable[[], socket.socket], where: str) -> None:
        self._dial = dial
        self._where = where

    @classmethod
    def inside(cls, namespace: str, address: str, port: int) -> Rest:
        """A client inside a network namespace."""
        dial = lambda: socket.create_connection((address, port), TIMEOUT_S)  # noqa: E731
        return cls(lambda: netns.within(namespace, dial), f"{address}:{port} in {namespace}")

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
            headers = (
                {}
                if body is None
                else {"Content-Type": MERGE_PATCH if method == "PATCH" else "application/json"}
            )
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
        """Ask for something that is expected to be done; returns the body. Raises LabError when it is not."""
        answer = self.request(method, path, body)
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
