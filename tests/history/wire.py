"""REST to one controller, the way it fails: not sent at all, or sent and the answer lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any

from lab.rest import MERGE_PATCH, Answer, Door

TIMEOUT_S = 3.0
"""A client asks another controller after so long."""

NO_HEADERS: Mapping[str, str] = {}


class NotSent(Exception):
    """The controller cannot be reached: it has not heard of the request."""


class Lost(Exception):
    """The request was sent and no answer came: it may have been done, or may still be."""


class Wire:
    """A connection to one controller, kept open. For one thread."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._connection: HTTPConnection | None = None

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] = NO_HEADERS,
        *,
        hang_up: bool = False,
    ) -> Answer:
        """Ask once. With `hang_up` the connection is closed when the request is sent.

        Raises:
            NotSent, Lost: see there.
        """
        connection = self.send(method, path, body, headers)
        if hang_up:
            self.close()
            raise Lost("hung up")
        return self.read(connection)

    def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] = NO_HEADERS
    ) -> HTTPConnection:
        """Send a request; `read` has its answer. Raises NotSent, or Lost when it may have got through."""
        if self._connection is not None and self._connection.sock is None:
            self._connection = None  # the controller asked to close it
        fresh = self._connection is None
        connection = self._connection or self._dial()
        try:
            kind = MERGE_PATCH if method == "PATCH" else "application/json"
            typed = {} if body is None else {"Content-Type": kind}
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {**self._door.headers, **typed, **headers})
        except (OSError, HTTPException) as fault:
            self.close()
            raise (NotSent if fresh else Lost)(str(fault)) from fault
        return connection

    def read(self, connection: HTTPConnection) -> Answer:
        """The answer to what was sent. Raises Lost."""
        try:
            answer = connection.getresponse()
            raw = answer.read()
        except (OSError, HTTPException) as fault:
            self.close()
            raise Lost(str(fault)) from fault
        return Answer(answer.status, _json(raw), {})

    def close(self) -> None:
        """Hang up. Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _dial(self) -> HTTPConnection:
        try:
            link = self._door.connect(TIMEOUT_S)
        except OSError as fault:
            raise NotSent(str(fault)) from fault
        self._connection = HTTPConnection("localhost")
        self._connection.auto_open = False
        self._connection.sock = link
        return self._connection


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw.decode(errors="replace")
