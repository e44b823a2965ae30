"""A running ExaBGP as a thing that can be waited for and ended, whoever started it.

It is held by a pidfd, opened before its identity is checked: from then on no signal can reach another
process, even when the pid is given out again. It has its own session, so that nothing that ends this
program ends it too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import sys
from typing import Self

from bgp.exabgp import rundir
from bgp.exabgp.rundir import RunDir

log = logging.getLogger(__name__)

TERM_S = 5.0
"""For an orderly end, before SIGKILL."""
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
"""Handled here, and so to be set back to what they do by default."""
LAST_BYTES = 500
LOG_BYTES = 1024 * 1024
"""A log longer than this starts anew."""


class CannotStart(Exception):
    """ExaBGP cannot be started. Final until what the message names is changed."""


class Process:
    """One running process, ours by right of its run directory's record."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.how = "nobody saw how"
        """How it ended, for people, once it has; known only of a process that this program started."""
        self.adopted = False
        """Whether it was found running."""
        self._pidfd = pidfd

    @classmethod
    def running(cls, where: RunDir) -> tuple[Self, str] | None:
        """The process that runs for this directory, and its configuration's digest; None when none does."""
        found = rundir.recorded(where.path)
        if found is None or not rundir.locked(where.path):
            return None
        try:
            pidfd = os.pidfd_open(found.pid)
        except (ProcessLookupError, FileNotFoundError):  # the latter while Linux reaps it
            return None
        boot_id = rundir.BOOT_ID.read_text().strip()
        if found.boot_id != boot_id or rundir.start_time(found.pid) != found.start_time:
            os.close(pidfd)
            return None
        adopted = cls(found.pid, pidfd)
        adopted.adopted = True
        return adopted, found.config

    @classmethod
    def start(cls, where: RunDir) -> Self:
        """Start ExaBGP with the configuration in the directory.

        Raises:
            CannotStart: the interpreter cannot be run.
        """
        argv = [sys.executable, "-P", "-m", "bgp.exabgp.launcher", str(where.config)]
        write = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        streams = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(where.log), write, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        try:
            pid = os.posix_spawn(
                argv[0], argv, os.environ, file_actions=streams, setsid=True, setsigmask=(), setsigdef=SIGNALS
            )
        except OSError as fault:
            raise CannotStart(f"cannot run {argv[0]}: {fault.strerror}") from fault
        return cls(pid, os.pidfd_open(pid))

    def fileno(self) -> int:
        """A descriptor that is readable when the process has ended."""
        return self._pidfd

    def ended(self, timeout_s: float = 0.0) -> bool:
        """Whether the process has ended; waits for that at most so long."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            return False
        with contextlib.suppress(ChildProcessError):  # started by an earlier life of this program
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
            self.how = _how(result) if result is not None else self.how
        return True

    def cpu_s(self) -> float:
        """The processor time that it has used, in seconds."""
        return rundir.cpu_s(self.pid)

    def kill(self) -> None:
        """End it now; the peer keeps its routes for the restart time. Blocking: until it has ended."""
        self._signal(signal.SIGKILL)
        self.ended(TERM_S)

    def terminate(self) -> None:
        """End it in order, by force after `TERM_S`. Blocking: until it has ended."""
        self._signal(signal.SIGTERM)
        if not self.ended(TERM_S):
            log.warning("exabgp does not end pid=%d", self.pid)
            self.kill()

    def close(self) -> None:
        """Let go of it; it runs on. Idempotent."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = -1

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)


def _how(result: os.waitid_result) -> str:
    if result.si_code == os.CLD_EXITED:
        return f"exit status {result.si_status}"
    return f"killed by {signal.Signals(result.si_status).name}"


def last_words(where: RunDir) -> str:
    """The last line that the process of this directory has printed, for people; empty when there is none."""
    with contextlib.suppress(FileNotFoundError), where.log.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - LAST_BYTES, 0))
        lines = file.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""


def trim(where: RunDir) -> None:
    """Empty a log that has become too long. It is written in append mode, so the writer goes on."""
    with contextlib.suppress(FileNotFoundError):
        if where.log.stat().st_size > LOG_BYTES:
            os.truncate(where.log, 0)
