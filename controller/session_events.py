"""Events of what speakers say of their sessions: up, down, ExaBGP replaced, prefixes kept back by the
outbound guard.

A session tells its last transitions itself, so nothing has to be remembered: a controller that takes the
duty up looks at those of the last minutes, and an event is stored under a name made of the time and the
session, so that one that another controller has told already is not told again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.events import Events
from store.model import Session, SessionState, Severity, Transition

LOOK_BACK = timedelta(minutes=10)
"""How old a transition may be that is told when a session is first seen."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to a session."""

    at: datetime
    severity: Severity
    reason: str
    detail: str


class SessionEvents:
    """Tells of sessions, as they are taken one after the other by one thread."""

    def __init__(self, clock: Callable[[], datetime], events: Events) -> None:
        self._clock = clock
        self._events = events
        self._seen: dict[str, Session] = {}

    def take(self, key: str, session: Session) -> None:
        """Tell what is new of a session. Blocking."""
        before, self._seen[key] = self._seen.get(key), session
        name = f"{session.node}/{session.peer}"
        for each in news(before, session, self._clock() - LOOK_BACK):
            self._events.record_at(
                each.at, each.severity, each.reason, "session", name, each.detail, node=session.node
            )

    def forget(self, key: str) -> None:
        """The session is gone; one of that key is a new one."""
        self._seen.pop(key, None)


def news(before: Session | None, session: Session, since: datetime) -> Iterator[Happening]:
    """What happened to a session. Pure.

    Args:
        before: as it was seen last; None when it is seen for the first time.
        since: when the oldest of it may have happened then.
    """
    known = set(before.transitions) if before else set()
    left: Transition | None = before.transitions[-1] if before and before.transitions else None
    for made in session.transitions:
        if made not in known and (before is not None or made.at >= since):
            yield from _news(session, left, made)
        left = made
    changed = session.guarded_since
    if changed is not None and (before is not None or changed >= since):
        yield from _guarded(before.guarded if before is not None else 0, session, changed)


def _guarded(before: int, session: Session, at: datetime) -> Iterator[Happening]:
    """Once when prefixes begin to be kept back, and once when none is any more."""
    about = f"the outbound guard of {session.node} keeps back"
    if session.guarded and not before:
        what = f"{session.guarded} prefixes from {session.peer}, such as {session.guarded_why}"
        yield Happening(at, Severity.ALARM, "outbound-guard", f"{about} {what}")
    elif before and not session.guarded:
        yield Happening(
            at, Severity.INFO, "outbound-guard-over", f"{about} nothing from {session.peer} any more"
        )


def _news(session: Session, left: Transition | None, made: Transition) -> Iterator[Happening]:
    about = f"the session of {session.node} with {session.peer} ({session.address}, AS {session.asn})"
    was_up = left is not None and left.state is SessionState.ESTABLISHED
    if made.state is SessionState.ESTABLISHED:
        yield Happening(made.at, Severity.INFO, "session-up", f"{about} is up")
    elif was_up:
        yield Happening(
            made.at, Severity.WARNING, "session-down", f"{about} is down: {made.reason or made.state}"
        )
    if made.replaced:
        yield Happening(
            made.at,
            Severity.WARNING,
            "exabgp-restarted",
            f"the watchdog of {session.node} replaced the ExaBGP of {session.peer}: {made.reason}",
        )
