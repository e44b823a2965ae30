"""What is kept of a session's past, and what is not worth a line in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bgp.fsm import State
from bgp.history import KEPT, QUIET, History, Transition

T = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UP, IDLE, CONNECT = State.ESTABLISHED, State.IDLE, State.CONNECT
REFUSED, OTHER = "peer sent NOTIFICATION: OPEN Message Error, Bad Peer AS (2/2)", "TCP connection lost"


def past(*states: tuple[State, str], every_s: float = 5.0) -> History:
    """A history of transitions so many seconds apart."""
    history = History()
    for number, (state, reason) in enumerate(states):
        history = history.then(Transition(T + timedelta(seconds=every_s * number), state, reason))
    return history


def told(history: History) -> list[tuple[State, str]]:
    return [(each.state, each.reason) for each in history.transitions]


@pytest.mark.parametrize(
    ("states", "kept", "flaps"),
    [
        ([(CONNECT, "")], [(CONNECT, "")], 0),
        ([(CONNECT, ""), (UP, ""), (IDLE, OTHER)], [(CONNECT, ""), (UP, ""), (IDLE, OTHER)], 1),
        ([(IDLE, REFUSED)] * 9, [(IDLE, REFUSED)], 0),
        ([(IDLE, REFUSED), (IDLE, OTHER)] * 9, [(IDLE, REFUSED), (IDLE, OTHER)], 0),
        # Each time that it was up begins a new time of being down.
        (
            [(UP, ""), (IDLE, OTHER), (UP, ""), (IDLE, OTHER)],
            [(UP, ""), (IDLE, OTHER), (UP, ""), (IDLE, OTHER)],
            2,
        ),
        # Up since another time than it was: nobody listened when it left.
        ([(UP, ""), (UP, "")], [(UP, ""), (UP, "")], 1),
        ([(UP, ""), (IDLE, OTHER), (CONNECT, "")], [(UP, ""), (IDLE, OTHER), (CONNECT, "")], 1),
    ],
)
def test_what_is_kept(states: list[tuple[State, str]], kept: list[tuple[State, str]], flaps: int) -> None:
    history = past(*states)
    assert told(history) == kept
    assert history.flaps == flaps


def test_up_since_the_same_time_is_the_same_session() -> None:
    """As a program that has restarted hears it. A short time later it is another one."""
    history = past((CONNECT, ""), (UP, ""))
    assert history.last is not None
    assert history.then(Transition(history.last.at, UP)) == history
    assert history.then(Transition(history.last.at + timedelta(seconds=0.5), UP)).flaps == 1


def test_a_reason_comes_again_after_a_while_as_the_newest() -> None:
    history = past((IDLE, REFUSED), (IDLE, OTHER))
    late = Transition(T + QUIET + timedelta(minutes=1), IDLE, REFUSED)
    assert history.then(late).transitions == (history.transitions[1], late)


def test_a_vague_reason_hides_no_better_one() -> None:
    history = past((UP, ""), (IDLE, REFUSED))
    soon = Transition(T + timedelta(seconds=6), IDLE, OTHER)
    assert history.then(soon, vague=True) == history
    assert told(history.then(soon))[-1] == (IDLE, OTHER)
    up = past((UP, ""))
    assert told(up.then(soon, vague=True))[-1] == (IDLE, OTHER)


def test_only_the_last_are_kept_and_all_are_counted() -> None:
    history = past(*[(UP, ""), (IDLE, OTHER)] * KEPT)
    assert len(history.transitions) == KEPT
    assert history.flaps == KEPT
    assert history.last == Transition(T + timedelta(seconds=5.0 * (2 * KEPT - 1)), IDLE, OTHER)


def test_each_replacement_counts_though_it_is_told_once() -> None:
    history = past((UP, ""))
    for number in range(3):
        at = T + timedelta(seconds=20 * number + 20)
        history = history.then(Transition(at, IDLE, "ExaBGP hung and was replaced", replaced=True))
    assert (history.restarts, history.flaps, len(history.transitions)) == (3, 1, 2)
    assert history.last is not None
    assert history.last.replaced
