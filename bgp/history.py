"""What became of a session: its last transitions, and counts of all that there were. Pure.

Kept so that it tells something when it is read: a session that is refused every few seconds, always for the
same reasons, adds nothing after the first time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bgp.fsm import State

KEPT = 16
"""Transitions; the oldest go first."""
QUIET = timedelta(minutes=10)
"""A reason that is known already is told again, as the newest, when the one told last is so old."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A session came to a state.

    Args:
        reason: why, in RFC words where there are some.
        replaced: the watchdog had ended the speaker process, because it hung.
    """

    at: datetime
    state: State
    reason: str = ""
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """The past of one session.

    Args:
        transitions: the last `KEPT` that tell something, oldest first.
        flaps: how often the session has left ESTABLISHED since it was first known.
        restarts: how often the watchdog has replaced the speaker process.
    """

    transitions: tuple[Transition, ...] = ()
    flaps: int = 0
    restarts: int = 0

    @property
    def last(self) -> Transition | None:
        """The newest transition; None when nothing is known."""
        return self.transitions[-1] if self.transitions else None

    def then(self, made: Transition, *, vague: bool = False) -> History:
        """This history and one transition more.

        Args:
            made: not older than those before it.
            vague: its reason says less than any other. It counts only where there is no other.
        """
        counted = replace(self, restarts=self.restarts + made.replaced)
        last = self.last
        if last is None:
            return replace(counted, transitions=(made,))
        if last.state is State.ESTABLISHED:
            # Up, and up again later: what was between them was not heard.
            if made.state is State.ESTABLISHED and made.at <= last.at:
                return counted
            return replace(counted, transitions=self._with(made), flaps=self.flaps + 1)
        if made.state is State.ESTABLISHED:
            return replace(counted, transitions=self._with(made))
        known = next((each for each in self._down() if _same(each, made)), None)
        if known is last or ((known or (vague and last.reason)) and made.at - last.at < QUIET):
            return counted
        return replace(counted, transitions=self._with(made, without=known))

    def _down(self) -> list[Transition]:
        """Those since the session was up last."""
        found: list[Transition] = []
        for each in reversed(self.transitions):
            if each.state is State.ESTABLISHED:
                break
            found.append(each)
        return found

    def _with(self, made: Transition, without: Transition | None = None) -> tuple[Transition, ...]:
        return (*(each for each in self.transitions if each is not without), made)[-KEPT:]


def _same(one: Transition, other: Transition) -> bool:
    return (one.state, one.reason) == (other.state, other.reason)
