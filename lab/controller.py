"""A controller as a process on loopback, for what needs no lab, and how it is spoken to."""

from __future__ import annotations

import http.client
import json
import re
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from lab.errors import LabError
from lab.wait import wait_until

READY_S = 30.0


class Controller:
    """`python -m controller` on a free port of loopback. A context manager: alive on entry, ended on exit."""

    def __init__(self, log: Path, *options: str, cafile: Path | None = None, host: str = "127.0.0.1") -> None:
        self._log = log
        self._argv = [sys.executable, "-m", "controller", "--listen", f"{host}:0", *options]
        self._context = ssl.create_default_context(cafile=str(cafile)) if cafile else None
        self.process: subprocess.Popen[bytes]
        """Once it is started."""
        self.port = 0

    def connect(self) -> http.client.HTTPConnection:
        """A connection to it, to be closed by the caller."""
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
        """Whether requests can be served."""
        return self.send("GET", "/readyz")[0] == 200

    def end(self, number: int = signal.SIGTERM, deadline_s: float = 10) -> int:
        """Send it a signal and wait until it has ended; returns its status."""
        self.process.send_signal(number)
        return self.process.wait(deadline_s)

    def said(self) -> str:
        """Its log."""
        return self._log.read_text()

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            wait_until(self._listens, READY_S, "the controller to listen")
            wait_until(self._answers, READY_S, "the controller to answer")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _listens(self) -> bool:
        if self.process.poll() is not None:
            raise LabError(f"the controller ended: {self.said()}")
        if (line := re.search(r"event=listening address=\S+:(\d+)", self.said())) is not None:
            self.port = int(line[1])
        return self.port != 0

    def _answers(self) -> bool:
        try:
            return self.send("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def __exit__(self, *_: object) -> None:
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
