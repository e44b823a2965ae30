"""An etcd and controllers over it, on loopback: what the rows about the API measure. No lab is needed."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self

from lab.etcd import EtcdServer
from lab.wait import wait_until
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig

READY_S = 30.0


class Service:
    """A context manager: etcd with its data on disk and one controller process, both ended on exit.

    Args:
        prepare: writes to the store before the controller is started.
    """

    def __init__(self, prepare: Callable[[EtcdStore], None] = lambda store: None) -> None:
        self._prepare = prepare
        self._stack = ExitStack()
        self.port = 0
        self.ready_s = 0.0
        """Seconds from the controller's start until it was ready."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # Not below /tmp where that is memory: etcd's log has to reach a disk.
            self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
            self.etcd = stack.enter_context(EtcdServer(self._directory / "etcd"))
            with closing(self.store()) as store:
                self._prepare(store)
            began = time.perf_counter()
            self._start(stack)
            self.ready_s = time.perf_counter() - began
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def store(self) -> EtcdStore:
        """A client of etcd, to be closed by the caller."""
        return EtcdStore(EtcdConfig(self.etcd.endpoints))

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """One request on a connection of its own; the decoded body of the answer, which must be good."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise SystemExit(f"bench: {method} {path}: {data.decode(errors='replace')}")
        return json.loads(data) if data else None

    def _start(self, stack: ExitStack) -> None:
        log = self._directory / "controller.log"
        argv = [sys.executable, "-m", "controller", "--listen", "127.0.0.1:0", "--etcd", self.etcd.url]
        with log.open("wb") as output:
            self.process = subprocess.Popen(argv, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        stack.callback(self._stop)
        said = wait_until(
            lambda: re.findall(r"event=listening address=\S+:(\d+)", log.read_text()),
            READY_S,
            "the controller to listen",
        )
        self.port = int(said[0])
        wait_until(self._ready, READY_S, "the controller to be ready")

    def _stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _ready(self) -> bool:
        try:
            return bool(self.send("GET", "/readyz")["ready"])
        except (OSError, SystemExit):
            return False
