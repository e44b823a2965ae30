"""A command that runs in the background and whose output is read back while it runs and after."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.processes import end_child
from lab.wait import wait_until


class Recording:
    """A running command with its standard output in one file and its standard error in another."""

    def __init__(self, child: subprocess.Popen[Any], out: Path, err: Path) -> None:
        self._child = child
        self._out = out
        self._err = err

    @property
    def pid(self) -> int:
        """The command's process id."""
        return self._child.pid

    def lines(self) -> list[str]:
        """What it has written so far, whole lines only."""
        text = self._out.read_text(errors="replace")
        return text[: text.rfind("\n") + 1].splitlines()

    def complaints(self) -> str:
        """What it has written to standard error."""
        return self._err.read_text(errors="replace")

    def wait(self, ready: Callable[[], object], deadline_s: float, what: str) -> None:
        """Wait until `ready` answers something true. Raises LabError when the command ends before that."""

        def look() -> object:
            seen = ready()
            if not seen and self._child.poll() is not None:
                raise LabError(f"{what}: the command ended: {self.complaints().strip()}")
            return seen

        wait_until(look, deadline_s, what)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, deadline_s: float = 5.0) -> None:
        """End the command, with SIGKILL after the deadline. Idempotent. Blocking."""
        end_child(self._child, number, deadline_s)
