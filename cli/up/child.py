"""One program as a child process that dies with its parent, whatever ends the parent.

Each child has a session of its own: Ctrl-C at the terminal reaches `polder up` alone, which stops its
children in the right order. PR_SET_PDEATHSIG covers the parent's own violent end. A grandchild does not
inherit it, so an ExaBGP that the speaker started lives on, as it should.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.failure import Failure
from cli.text import printable

PR_SET_PDEATHSIG = 1
TAIL_BYTES = 4096
MAX_LOG_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: `name` for people, and the file that its output is appended to."""

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] | None = None


class Child:
    """A program that was started, and may be started again."""

    def __init__(self, program: Program, mask: frozenset[signal.Signals]) -> None:
        self.program = program
        self._mask = mask
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it. Raises `Failure` when it cannot be run at all."""
        try:
            with self.program.log.open("ab") as log:
                self._log_start = log.tell()
                self._process = subprocess.Popen(
                    self.program.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self.program.env,
                    start_new_session=True,
                    preexec_fn=_dies_with_parent(self._mask),
                )
        except OSError as fault:
            raise Failure(f"{self.program.name} cannot be started: {fault}") from None

    def ended(self) -> str | None:
        """How it ended, in words; None while it runs."""
        status = self._process.poll() if self._process else 0
        if status is None:
            return None
        name = self.program.name
        if status < 0:
            return f"{name} was killed by {signal.Signals(-status).name}"
        return f"{name} ended with status {status}, its last words: {self.last_words()}"

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def last_words(self) -> str:
        """The last line that it has written since its start, safe to print."""
        try:
            with self.program.log.open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(min(self._log_start, end), end - TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return f"unknown: somebody removed {self.program.log}"
        return printable(next((line.strip() for line in reversed(lines) if line.strip()), "nothing"))[:300]

    def bound_log(self) -> None:
        """Keep the log's size in bounds: when it is too large it becomes `NAME.log.1`."""
        log = self.program.log
        if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
            log.with_suffix(".log.1").write_bytes(log.read_bytes())
            # The child appends (O_APPEND), so its next line lands at the new end.
            os.truncate(log, 0)
            self._log_start = 0


def _dies_with_parent(mask: frozenset[signal.Signals]) -> Callable[[], None]:
    import ctypes

    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def prepare() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        # The parent may have died before the line above; then nobody would tell.
        if os.getppid() != parent:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    return prepare
