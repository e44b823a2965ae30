"""A long-lived program that runs on a host and can be stopped, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

from lab import processes
from lab.errors import LabError
from lab.host import Host
from lab.wait import NotInTime, wait_until

START_S = 60.0
"""A machine whose cores all start programs takes long over each."""
STOP_S = 10.0
TAIL_LINES = 15


class Program:
    """One program on one host, not started yet.

    Args:
        host: where it runs.
        name: for people, and of its log `<name>.log` in the host's directory.
        argv: the command; it must stay in the foreground.
        env: added to the environment.
        ready: whether it can be used; asked again and again after a start. None: it runs, that is enough.
    """

    def __init__(
        self,
        host: Host,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        ready: Callable[[], object] | None = None,
    ) -> None:
        self.host = host
        self.name = name
        self.argv = tuple(argv)
        self.env = dict(env or {})
        self.log = host.directory / f"{name}.log"
        self._ready = ready
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """The process id while it runs. Raises LabError when it does not."""
        if self._child is None or self._child.poll() is not None:
            raise LabError(f"{self.name} on {self.host.name} does not run")
        return self._child.pid

    def launch(self) -> None:
        """Start the process and do not wait until it is ready. Raises LabError when it runs already."""
        if self.alive:
            raise LabError(f"{self.name} on {self.host.name} runs already")
        self._child = self.host.popen(*self.argv, out=self.log, env=self.env)

    def wait_ready(self, deadline_s: float = START_S) -> None:
        """Wait until it is ready. Blocking.

        Raises:
            LabError: it ended; with the end of its log.
            NotInTime: it is still not ready.
        """

        def look() -> object:
            if not self.alive:
                raise LabError(f"{self.name} on {self.host.name} ended at its start\n{self.log_tail()}")
            return self._ready is None or self._ready()

        what = f"{self.name} on {self.host.name} to be ready"
        try:
            wait_until(look, deadline_s, what)
        except NotInTime as late:
            raise NotInTime(f"{late}\n{self.log_tail()}") from None

    def start(self, deadline_s: float = START_S) -> None:
        """Start it and wait until it is ready. Blocking. Raises as `launch` and `wait_ready`."""
        self.launch()
        self.wait_ready(deadline_s)

    def stop(self, deadline_s: float = STOP_S) -> None:
        """SIGTERM, and SIGKILL after the deadline. Idempotent. Blocking."""
        self._end(signal.SIGTERM, deadline_s)

    def kill(self) -> None:
        """SIGKILL to this one process, not to its children. Idempotent. Blocking."""
        self._end(signal.SIGKILL, STOP_S)

    def pause(self) -> None:
        """Hang it (SIGSTOP): connections stay open, nothing answers. Raises LabError when it does not run."""
        processes.pause(self.pid)

    def resume(self) -> None:
        """Let it go on after a pause. Raises LabError when it does not run."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Stop it and start it. Blocking. Raises as `start`."""
        self.stop()
        self.start()

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _end(self, number: signal.Signals, deadline_s: float) -> None:
        if self._child is not None:
            processes.end_child(self._child, number, deadline_s)
