"""Which state is reported after what ExaBGP tells."""

from __future__ import annotations

import pytest

from bgp.fsm import Heard, State, follow

LATER = (State.OPENSENT, State.OPENCONFIRM, State.ESTABLISHED)


@pytest.mark.parametrize("state", State)
def test_a_session_is_up_or_down_whatever_was_before(state: State) -> None:
    assert follow(state, Heard.UP) is State.ESTABLISHED
    assert follow(state, Heard.DOWN) is State.IDLE


@pytest.mark.parametrize("state", [State.CONNECT, State.ACTIVE])
def test_a_connection_that_was_waited_for_opens(state: State) -> None:
    assert follow(state, Heard.CONNECTED) is State.OPENSENT


@pytest.mark.parametrize("state", LATER)
def test_a_connection_that_is_told_late_takes_nothing_back(state: State) -> None:
    assert follow(state, Heard.CONNECTED) is state


def test_a_refused_session_stays_idle_while_it_connects_again() -> None:
    assert follow(State.IDLE, Heard.CONNECTED) is State.IDLE
