"""`list --watch` against a real controller, which is killed meanwhile."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.polder_up import POLDER, Up, environment

pytestmark = pytest.mark.needs("etcd")

DEADLINE_S = 60.0


class Watching:
    """`polder list --watch` as a process, read line by line."""

    def __init__(self, url: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [*POLDER, *arguments, "--watch", "-o", "json"],
            env=environment({"POLDER_SERVER": url}),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def next(self) -> dict[str, Any]:
        """The next line. Raises queue.Empty when there is none in time."""
        told: dict[str, Any] = json.loads(self._lines.get(timeout=DEADLINE_S))
        return told

    def stop(self) -> int:
        """As Ctrl-C does it; returns the exit status."""
        self._process.send_signal(signal.SIGINT)
        status = self._process.wait(DEADLINE_S)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return status


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with Up(tmp_path / "up", "--no-agent") as started:
        yield started


def test_a_watch_outlives_its_controller(up: Up) -> None:
    assert up.polder("node", "create", "node-1", "--asn=64511").returncode == 0
    watching = Watching(up.url, "node", "list")
    try:
        assert (told := watching.next())["change"] == "there"
        assert told["node"]["name"] == "node-1"
        assert up.polder("node", "set", "node-1", "--label=a=b").returncode == 0
        assert (told := watching.next())["change"] == "changed"
        assert told["node"]["labels"] == {"a": "b"}

        os.kill(up.pid("controller"), signal.SIGKILL)
        while up.polder("node", "create", "node-2", "--asn=64512").returncode:
            up.wait_for("controller was killed")
        assert (told := watching.next())["change"] == "added"
        assert told["node"]["name"] == "node-2"
        assert up.polder("node", "delete", "node-2").returncode == 0
        assert (told := watching.next())["change"] == "deleted"
        assert told["node"]["name"] == "node-2"
    finally:
        status = watching.stop()
    assert status == 0
