"""Controllers as real processes, and how a test speaks to one; `tests.support.serving` starts them."""

from __future__ import annotations

import http.client
import json
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from lab.wait import wait_until

SOON_S = 20
TOKEN = "0123456789abcdef0123456789abcdef"


class Controller:
    """`python -m controller` on a free port of loopback. A context manager: alive on entry, ended on exit."""

    def __init__(self, log: Path, *options: str, cafile: Path | None = None, host: str = "127.0.0.1") -> None:
        self._log = log
        self._argv = [sys.executable, "-m", "controller", "--listen", f"{host}:0", *options]
        self._context = ssl.create_default_context(cafile=str(cafile)) if cafile else None
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def connect(self) -> http.client.HTTPConnection:
        if self._context:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=self._context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """One request on a connection of its own: status and decoded body."""
        connection = self.connect()
        try:
            return exchange(connection, method, path, body, **headers)
        finally:
            connection.close()

    def ready(self) -> bool:
        return self.send("GET", "/readyz")[0] == 200

    def end(self, number: int = signal.SIGTERM, deadline_s: float = 10) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(deadline_s)

    def said(self) -> str:
        return self._log.read_text()

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        line = wait_until(
            lambda: re.search(r"event=listening address=\S+:(\d+)", self.said()) or self.process.poll(),  # type: ignore[union-attr]
            SOON_S,
            "the controller to listen",
        )
        assert isinstance(line, re.Match), self.said()
        self.port = int(line[1])
        wait_until(self._answers, SOON_S, "the controller to answer")
        return self

    def _answers(self) -> bool:
        try:
            return self.send("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any]:
    """One request on this connection: status and decoded body."""
    text = None if body is None else json.dumps(body)
    sent = {"Content-Type": "application/json"} if body is not None else {}
    connection.request(method, path, text, {**sent, **headers})
    answer = connection.getresponse()
    data = answer.read()
    return answer.status, json.loads(data) if data else None


Start = Callable[..., Controller]


def plant(controller: Controller, nodes: int = 2, **pool: Any) -> None:
    """A pool and some nodes."""
    assert controller.send("POST", "/v1/pools", {"name": "p", "cidr": "10.64.0.0/20", **pool})[0] == 201
    for number in range(nodes):
        assert controller.send("POST", "/v1/nodes", {"name": f"n{number}", "asn": 64512})[0] == 201
