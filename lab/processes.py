"""Processes told apart for certain: a pid is used again, a pid with its start time is not.

A process that is to be ended is held by a pidfd first, then its start time is compared, then it is
signalled through that pidfd: nothing can take its place in between.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.wait import wait_until

PROC = Path("/proc")
STOPPED_S = 5.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process by its pid and its start, in clock ticks since boot (proc(5), stat field 22)."""

    pid: int
    started: int


def identify(pid: int) -> Process | None:
    """The process that has this pid now; None when there is none or it is a zombie."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else Process(pid, int(rest[18]))


def alive(process: Process) -> bool:
    """Whether this very process runs."""
    return identify(process.pid) == process


def inside(namespaces: Iterable[Path]) -> list[Process]:
    """Every process, except this one, whose network namespace is one of these files below /run/netns."""
    wanted = {key for path in namespaces if (key := _key(path)) is not None}
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and _key(entry / "ns" / "net") in wanted:
            found.append(identify(int(entry.name)))
    return [process for process in found if process is not None]


KILLED_S = 60.0
"""A killed process still has to be taken apart: a switch with 500 ports needs six seconds and more, as the
kernel waits for all processors at each socket that it closes."""


def end(processes: Iterable[Process], *, patience_s: float = 2.0) -> list[Process]:
    """SIGTERM, then SIGKILL to what runs after `patience_s`. Blocking. Returns what did not end at all."""
    held = {fd: process for process in set(processes) if (fd := _hold(process)) is not None}
    try:
        for number, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, KILLED_S)):
            for fd in held:
                _send(fd, number)
            for fd in _ended(held, wait_s):
                del held[fd]
                os.close(fd)
        return list(held.values())
    finally:
        for fd in held:
            os.close(fd)


def end_child(
    child: subprocess.Popen[Any], number: signal.Signals = signal.SIGTERM, deadline_s: float = 20.0
) -> None:
    """Send a signal to a child of this process, and SIGKILL after the deadline. Idempotent. Blocking."""
    child.send_signal(number)  # nothing is sent to one that has ended
    try:
        child.wait(deadline_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def pause(pid: int) -> None:
    """SIGSTOP. Blocking until all threads stand still: those that run go on until the kernel gets to them.

    Raises:
        ProcessLookupError: there is no such process.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _stands_still(pid), STOPPED_S, f"process {pid} to stand still", poll_s=0.001)


def _stands_still(pid: int) -> bool:
    states = [_state(task / "stat") for task in (PROC / str(pid) / "task").iterdir()]
    return all(state in "TtZX" for state in states)


def _state(stat: Path) -> str:
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the thread has ended
        return "X"


def _key(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _hold(process: Process) -> int | None:
    try:
        fd = os.pidfd_open(process.pid)
    except (
        ProcessLookupError,
        FileNotFoundError,
    ):  # the latter, from Linux 6.15 on, while it is being reaped
        return None
    if alive(process):
        return fd
    os.close(fd)
    return None


def _send(fd: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return


def _ended(fds: Iterable[int], wait_s: float) -> list[int]:
    """Which of these processes end within `wait_s`. A pidfd is readable once its process has ended."""
    poll = select.poll()
    waiting = set(fds)
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    ended = []
    until = time.monotonic() + wait_s
    while waiting and (left := until - time.monotonic()) > 0:
        for fd, _ in poll.poll(left * 1000):
            poll.unregister(fd)
            waiting.discard(fd)
            ended.append(fd)
    return ended
