"""Children started in order, watched, started again with growing pauses, and stopped in the opposite order.

A child that the others cannot do without (etcd) may die a few times in a row; then all of it ends, with an
error. The others are started again for as long as it takes.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cli.failure import Failure
from cli.up.child import Child, Program
from cli.up.signals import Signals, Stopped

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""The pause before each start in a row; the last one is repeated."""
STEADY_S = 60.0
"""Who ran for so long is not dying in a row."""
MAX_DEATHS = 5
"""So many deaths in a row of a vital child end everything."""
STOP_S = 15.0
"""How long a child may take to stop before it is killed."""
POLL_S = 0.05
TELL_S = 5.0
"""Who is waited for longer than this is named, with what is missing."""
IDLE_S = 10.0
"""How often the logs' sizes are looked at."""


@dataclass(slots=True)
class Backoff:
    """How long to pause before the next start. Pure: the caller says how long the child ran."""

    deaths: int = 0

    def died(self, ran_s: float) -> float:
        """Count a death after `ran_s` seconds; returns the pause in seconds."""
        self.deaths = 1 if ran_s >= STEADY_S else self.deaths + 1
        return PAUSES_S[min(self.deaths, len(PAUSES_S)) - 1]


@dataclass(slots=True)
class _Watched:
    child: Child
    vital: bool
    started: float
    backoff: Backoff = field(default_factory=Backoff)
    due: float | None = None
    """When to start it again; None while it runs."""


class Supervisor:
    """Looks after children until told to stop.

    Args:
        signals: entered by the caller.
        say: prints a line for people.
    """

    def __init__(self, signals: Signals, say: Callable[[str], None]) -> None:
        self._signals = signals
        self._say = say
        self._watched: list[_Watched] = []

    def start(self, program: Program, *, vital: bool = False) -> Child:
        """Start a child; it is stopped before those that were started before it."""
        child = Child(program, self._signals.before)
        child.start()
        self._watched.append(_Watched(child, vital, time.monotonic()))
        return child

    def await_ready(self, child: Child, ready: Callable[[], str], deadline_s: float) -> None:
        """Wait until `ready` says nothing; what it says is what is missing. People are told if it takes long.

        Raises:
            Failure: the child ended, or is not ready in time.
            Stopped: see `Signals.wait`.
        """
        began = time.monotonic()
        deadline, told = began + deadline_s, False
        log = child.program.log
        while missing := ready():
            if ended := child.ended():
                raise Failure(ended, advice=f"see its log: {log}")
            if not told and time.monotonic() > began + TELL_S:
                self._say(f"waits for {child.program.name}: {missing}")
                told = True
            if time.monotonic() > deadline:
                raise Failure(
                    f"{child.program.name} is not ready after {deadline_s:g} s: {missing}",
                    advice=f"see its log: {log}",
                )
            self._signals.wait(POLL_S)

    def run(self) -> None:
        """Watch until somebody stops it. Blocking.

        Raises:
            Stopped: see `Signals.wait`.
            Failure: a vital child died for good.
        """
        while True:
            now = time.monotonic()
            for watched in self._watched:
                self._look(watched, now)
            due = [watched.due - now for watched in self._watched if watched.due is not None]
            self._signals.wait(min([IDLE_S, *due]))

    def stop(self) -> None:
        """Stop all, the last started first. Blocking. A second Ctrl-C kills what does not stop."""
        for watched in reversed(self._watched):
            try:
                self._stop(watched.child)
            except Stopped:
                watched.child.send(signal.SIGKILL)
        self._watched.clear()

    def _look(self, watched: _Watched, now: float) -> None:
        child = watched.child
        if watched.due is not None:
            if now >= watched.due:
                child.start()
                watched.due, watched.started = None, now
                self._say(f"{child.program.name} started again, pid {child.pid}")
            return
        child.bound_log()
        ended = child.ended()
        if ended is None:
            return
        log = child.program.log
        pause_s = watched.backoff.died(now - watched.started)
        if watched.vital and watched.backoff.deaths >= MAX_DEATHS:
            raise Failure(f"{ended}; it died {MAX_DEATHS} times in a row", advice=f"see its log: {log}")
        watched.due = now + pause_s
        self._say(f"{ended}; starting it again in {pause_s:g} s")

    def _stop(self, child: Child) -> None:
        child.send(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while child.ended() is None:
            if time.monotonic() > deadline:
                self._say(f"{child.program.name} did not stop within {STOP_S:g} s; killing it")
                child.send(signal.SIGKILL)
                deadline += STOP_S
            self._signals.wait(POLL_S)
