"""What the checks of an endpoint amount to: healthy or not, a table of two states. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from store.model import Check


class State(Enum):
    """What is thought of an endpoint."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


TURNS: Mapping[tuple[State, bool], tuple[str, State]] = {
    (State.UNHEALTHY, True): ("healthy_after", State.HEALTHY),
    (State.HEALTHY, False): ("unhealthy_after", State.UNHEALTHY),
}
"""By state and whether a check passed: after how many such in a row, by which field of the check, it turns
into which. What is not here confirms the state, and the count begins anew."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is thought of an endpoint, and why it is not healthy."""

    state: State = State.UNHEALTHY
    run: int = 0
    """Checks in a row that said otherwise."""
    why: str = "not checked yet"

    @property
    def healthy(self) -> bool:
        """Whether it takes packets."""
        return self.state is State.HEALTHY


PRESUMED = Verdict(State.HEALTHY, why="")
"""Of an endpoint that was healthy when this program was not there yet."""


def after(before: Verdict, fault: str, check: Check) -> Verdict:
    """The verdict after one more check.

    Args:
        before: the one until then.
        fault: why the check failed; empty when it passed.
        check: how many of a kind it takes.
    """
    turn = TURNS.get((before.state, not fault))
    if turn is None:
        return Verdict(before.state, 0, fault)
    needed, state = turn
    run = before.run + 1
    if run >= getattr(check, needed):
        return Verdict(state, 0, fault)
    return Verdict(before.state, run, before.why if before.state is State.UNHEALTHY else "")
