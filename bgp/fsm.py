"""The states of BGP's finite state machine, and which of them is reported (RFC 4271 §8.2.2).

ExaBGP runs the machine and tells three things of it. `HEARD` says what each of them means for the
state that is reported.
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
