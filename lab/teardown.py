"""Removes a lab: its processes, namespaces and files, nothing else. Goes on where another run was cut off.

Processes are those on the ledger whose pid still means the same process, and those whose network
namespace is one of the lab's. Links, routes and addresses go with their namespaces.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from lab import netns, processes
from lab.claim import Claim, known_labs
from lab.errors import LabError
from lab.processes import Process
from lab.state import Made

FRR_CRASH_LOGS = Path("/var/tmp/frr")  # noqa: S108 - FRR's own place for the logs of a killed daemon
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ROUNDS = 3
"""A process that is just being started inside a namespace shows up in the next round."""


def remove(claim: Claim) -> None:
    """Remove everything that the claimed lab has made, and the claim.

    Blocking, mostly a few seconds; at most `processes.KILLED_S` more for what a killed process still holds.

    Interrupts wait until it is done.

    Raises:
        LabError: a process did not end; the lab stays claimed as far as it was not removed.
    """
    with _undisturbed():
        claim.ledger.close()
        made = claim.ledger.read()
        ended = _end_processes(made)
        claim.ledger.reap()
        netns.remove(made.namespaces)
        _remove_crash_logs(ended)
        claim.erase()


def sweep() -> list[str]:
    """Remove what crashed runs left, of every lab not in use or standing; returns the names."""
    swept = []
    for name in known_labs():
        try:
            claim = Claim(name)
        except LabError:
            continue
        if claim.ledger.read().standing:
            claim.release()
        else:
            remove(claim)
            swept.append(name)
    return swept


def _end_processes(made: Made) -> set[Process]:
    files = [netns.path(name) for name in made.namespaces]
    every = set(made.processes)
    running = set(made.processes) | set(processes.inside(files))
    for _ in range(ROUNDS):
        every |= running
        if stuck := processes.end(running):
            raise LabError(
                f"processes {sorted(p.pid for p in stuck)} of the lab do not end: see 'ps', then try again"
            )
        running = set(processes.inside(files))
        if not running:
            break
    return every


def _remove_crash_logs(ended: set[Process]) -> None:
    """FRR keeps a directory per pid, and removes it only when it ends in peace."""
    for process in ended:
        if processes.identify(process.pid) is None:
            for path in FRR_CRASH_LOGS.glob(f"*.{process.pid}"):
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put interrupts off until the block has ended; the first that came is delivered then.

    Handlers run in the main thread only, so in any other thread there is nothing to put off.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda got, _: came.append(got)) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(signal.Signals(came[0]))
