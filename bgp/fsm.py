"""The BGP finite state machine as a table: which transitions are legal (RFC 4271 §8.2.2).

ExaBGP runs the machine and tells three things of it. `HEARD` says what each of them means for the
state that is reported; a way through states that it does not tell of is always a legal one.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """The states of RFC 4271 §8.2.2."""

    IDLE = "IDLE"
    CONNECT = "CONNECT"
    ACTIVE = "ACTIVE"
    OPENSENT = "OPENSENT"
    OPENCONFIRM = "OPENCONFIRM"
    ESTABLISHED = "ESTABLISHED"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.IDLE: frozenset({State.CONNECT, State.ACTIVE}),
    State.CONNECT: frozenset({State.IDLE, State.ACTIVE, State.OPENSENT}),
    State.ACTIVE: frozenset({State.IDLE, State.CONNECT, State.OPENSENT}),
    State.OPENSENT: frozenset({State.IDLE, State.ACTIVE, State.OPENCONFIRM}),
    State.OPENCONFIRM: frozenset({State.IDLE, State.ESTABLISHED}),
    State.ESTABLISHED: frozenset({State.IDLE}),
}


def legal(before: State, after: State) -> bool:
    """Whether the machine may go from one state to the other in one step, or stay."""
    return before is after or after in TRANSITIONS[before]


class Heard(StrEnum):
    """What a speaker process tells of its session."""

    CONNECTED = "connected"
    """TCP is connected and OPEN is being sent."""
    UP = "up"
    """KEEPALIVE has answered OPEN."""
    DOWN = "down"
    """The session ended, or did not come to be; the speaker tries again by itself."""


HEARD: dict[Heard, dict[State, State]] = {
    # A refused session connects again every few seconds. It stays IDLE, with its reason, until it is up.
    Heard.CONNECTED: {State.CONNECT: State.OPENSENT, State.ACTIVE: State.OPENSENT},
    Heard.UP: dict.fromkeys(State, State.ESTABLISHED),
    Heard.DOWN: dict.fromkeys(State, State.IDLE),
}


def follow(state: State, heard: Heard) -> State:
    """The state to report after `heard`; the same one when it changes nothing."""
    return HEARD[heard].get(state, state)


def reachable(before: State, after: State) -> bool:
    """Whether legal steps lead from one state to the other."""
    seen, edge = {before}, {before}
    while edge:
        edge = {step for state in edge for step in TRANSITIONS[state]} - seen
        seen |= edge
    return after in seen
