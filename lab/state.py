"""What a lab has made, on disk before or as it is made, so that any later run can remove exactly that.

One JSON object a line, appended, never rewritten: a run that is killed half-way leaves a ledger that is
true up to its last line.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import processes
from lab.errors import LabError
from lab.processes import Process


@dataclass
class Made:
    """What a ledger says the lab has made since this boot; of what is older only files can be left."""

    namespaces: list[str] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    standing: bool = False


class Ledger:
    """The list of what a lab makes. Each line is written in one piece before its thing is made.

    A process is written as soon as it has a pid; should the writer die just then, the process is still
    found by the namespace it is in, which is on the list.
    """

    def __init__(self, lab: Path) -> None:
        self._path = lab / "ledger"
        self._guard = threading.RLock()
        self._closed = False
        self._children: list[subprocess.Popen[Any]] = []

    def begin(self) -> None:
        """Start a new list."""
        self._write({"boot": _boot_id()})

    def namespace(self, name: str) -> None:
        """Say that this namespace is about to be made."""
        self._write({"netns": name})

    @contextlib.contextmanager
    def starting(self) -> Iterator[Callable[[subprocess.Popen[Any]], None]]:
        """Start a child inside this block, and hand it to what the block is given: it is written and reaped.

        Raises:
            LabError: `close` was called; start nothing.
        """
        with self._guard:
            if self._closed:
                raise LabError("the lab is being removed; nothing more is started in it")
            yield self._child

    def close(self) -> None:
        """Allow no more children. When this returns, no start is under way in another thread."""
        with self._guard:
            self._closed = True

    def process(self, pid: int) -> None:
        """Say that this process runs."""
        if (process := processes.identify(pid)) is not None:
            self._write({"pid": process.pid, "started": process.started})

    def standing(self) -> None:
        """Say that the lab stands on purpose with nobody to guard it."""
        self._write({"standing": True})

    def read(self) -> Made:
        """What the list says. A last line that was cut short is left out: its thing was not made."""
        made = Made()
        for entry in self._entries():
            if entry.get("boot", _boot_id()) != _boot_id():
                return Made()
            if "netns" in entry:
                made.namespaces.append(entry["netns"])
            if "pid" in entry:
                made.processes.append(Process(entry["pid"], entry["started"]))
            made.standing |= bool(entry.get("standing"))
        return made

    def reap(self) -> None:
        """Collect the children that have ended."""
        for child in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=1)
        self._children.clear()

    def _child(self, child: subprocess.Popen[Any]) -> None:
        self._children.append(child)
        self.process(child.pid)

    def _write(self, entry: dict[str, object]) -> None:
        with self._guard, self._path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def _entries(self) -> Iterator[dict[str, Any]]:
        text = self._path.read_text() if self._path.exists() else ""
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
