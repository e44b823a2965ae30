"""The state machine as a table: it is RFC 4271's, and what ExaBGP tells moves along it."""

from __future__ import annotations

import itertools

import pytest

from bgp.fsm import TRANSITIONS, Heard, State, follow, legal, reachable


def test_a_session_comes_up_by_legal_steps() -> None:
    way = [State.IDLE, State.CONNECT, State.OPENSENT, State.OPENCONFIRM, State.ESTABLISHED]
    assert all(legal(before, after) for before, after in itertools.pairwise(way))


@pytest.mark.parametrize("state", [state for state in State if state is not State.IDLE])
def test_every_state_falls_back_to_idle(state: State) -> None:
    assert legal(state, State.IDLE)


def test_established_is_reached_from_openconfirm_only() -> None:
    assert [state for state in State if State.ESTABLISHED in TRANSITIONS[state]] == [State.OPENCONFIRM]


@pytest.mark.parametrize("heard", Heard)
@pytest.mark.parametrize("state", State)
def test_what_is_heard_never_leads_where_no_legal_way_leads(state: State, heard: Heard) -> None:
    assert reachable(state, follow(state, heard))


def test_a_refused_session_stays_idle_while_it_connects_again() -> None:
    state = follow(State.CONNECT, Heard.CONNECTED)
    assert state is State.OPENSENT
    state = follow(state, Heard.DOWN)
    assert follow(state, Heard.CONNECTED) is State.IDLE
    assert follow(state, Heard.UP) is State.ESTABLISHED
