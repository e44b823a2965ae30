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
from lab.processes import end_child
from lab.wait import wait_until
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig

READY_S = 30.0


class Service:
    """A context manager: etcd with its data on disk and controllers, each a process; all ended on exit.

    Args:
        prepare: writes to the store before the first controller is started.
        controllers: how many, one after the other.
    """

    def __init__(
        self, prepare: Callable[[EtcdStore], None] = lambda store: None, *, controllers: int = 1
    ) -> None:
        self._prepare = prepare
        self._count = controllers
        self._stack = ExitStack()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.ports: list[int] = []
        self.ready_s = 0.0
        """Seconds from the first controller's start until all were ready."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The first controller."""
        return self.processes[0]

    @property
    def port(self) -> int:
        """Where the first controller listens on loopback."""
        return self.ports[0]

    @property
    def database_mb(self) -> float:
        """How large etcd's database is."""
        return sum(each.stat().st_size for each in self._directory.rglob("snap/db")) / (1 << 20)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # Not below /tmp where that is memory: etcd's log has to reach a disk.
            self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
            self.etcd = stack.enter_context(EtcdServer(self._directory / "etcd"))
            with closing(self.store()) as store:
                self._prepare(store)
            began = time.perf_counter()
            for number in range(self._count):
                self._start(stack, self._directory / f"controller-{number}.log")
            self.ready_s = time.perf_counter() - began
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def store(self) -> EtcdStore:
        """A client of etcd, to be closed by the caller."""
        return EtcdStore(EtcdConfig(self.etcd.endpoints))

    def send(self, method: str, path: str, body: Any = None, *, port: int = 0) -> Any:
        """One request on a connection of its own; the decoded body of the answer, which must be good.

        The first controller answers, or that of `port`.
        """
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
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

    def _start(self, stack: ExitStack, log: Path) -> None:
        argv = [sys.executable, "-m", "controller", "--listen", "127.0.0.1:0", "--etcd", self.etcd.url]
        with log.open("wb") as output:
            process = subprocess.Popen(argv, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        stack.callback(end_child, process)
        said = wait_until(
            lambda: re.findall(r"event=listening address=\S+:(\d+)", log.read_text()),
            READY_S,
            "the controller to listen",
        )
        self.ports.append(int(said[0]))
        wait_until(self._ready, READY_S, "the controller to be ready")

    def _ready(self) -> bool:
        """Whether the controller that was started last is."""
        try:
            return bool(self.send("GET", "/readyz", port=self.ports[-1])["ready"])
        except (OSError, SystemExit):
            return False
