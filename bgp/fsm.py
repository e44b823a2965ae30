"""The BGP finite state machine as a table: which transitions are legal (RFC 4271 §8.2.2)."""

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
