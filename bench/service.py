"""An etcd and controllers over it, on loopback: what the rows about the API measure. No lab is needed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self

from lab.controller import Controller
from lab.etcd import EtcdServer
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
        self.controllers: list[Controller] = []
        self.ready_s = 0.0
        """Seconds from the first controller's start until all were ready."""

    @property
    def pid(self) -> int:
        """Of the first controller."""
        return self.controllers[0].process.pid

    @property
    def port(self) -> int:
        """Where the first controller listens on loopback."""
        return self.controllers[0].port

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
                made = Controller(self._directory / f"controller-{number}.log", "--etcd", self.etcd.url)
                self.controllers.append(stack.enter_context(made))
                wait_until(made.ready, READY_S, "the controller to be ready")
            self.ready_s = time.perf_counter() - began
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def store(self) -> EtcdStore:
        """A client of etcd, to be closed by the caller."""
        return EtcdStore(EtcdConfig(self.etcd.endpoints))

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the first controller; the decoded body of the answer, which must be good."""
        status, answer = self.controllers[0].send(method, path, body)
        if status >= 400:
            raise SystemExit(f"bench: {method} {path}: {answer}")
        return answer
