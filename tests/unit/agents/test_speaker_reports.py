"""Reports as stored values."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from agents.speaker import reports
from agents.speaker.outbound import Outcome
from bgp.fsm import State
from bgp.history import History, Transition
from bgp.peer import Family
from bgp.speaker import SessionReport
from intent.guard import Guarded
from store import keys
from store.codec import decode, encode
from store.model import Session, SessionState
from tests.support.cable import PEER
from tests.support.cluster import NODE, peer
from tests.support.speakers import SINCE, UP

A, B = ip_network("10.64.0.0/26"), ip_network("10.64.1.7/32")


def test_a_session_carries_its_peer_its_reason_and_its_count() -> None:
    down = SessionReport(State.IDLE, SINCE, "why")
    made = reports.sessions(
        NODE,
        {"tor-a": peer(), "tor-b": peer("tor-b", "10.0.2.0")},
        {"tor-a": UP, "tor-b": down, "gone": UP},
        {"tor-a": frozenset({A, B})},
        {"tor-a": PEER},
        {"tor-a": Outcome(Guarded({}, {A: "in no pool", B: "in no pool"}), SINCE)},
    )
    assert set(made) == {keys.SESSIONS.key(NODE, "tor-a"), keys.SESSIONS.key(NODE, "tor-b")}
    up, idle = made[keys.SESSIONS.key(NODE, "tor-a")], made[keys.SESSIONS.key(NODE, "tor-b")]
    assert (up.state, up.since, up.reason, up.advertised) == (SessionState.ESTABLISHED, SINCE, "", 2)
    assert (idle.state, idle.reason, idle.advertised) == (SessionState.IDLE, "why", 0)
    assert str(idle.address) == "10.0.2.0"
    assert (up.guarded, up.guarded_why, up.guarded_since) == (2, f"{A}: in no pool", SINCE)
    assert (idle.guarded, idle.guarded_since) == (0, None)
    assert (up.local_address, idle.local_address) == (PEER.local_address, None)


def test_what_was_agreed_on_and_the_past_are_told_and_read_back() -> None:
    past = History((Transition(SINCE, State.IDLE, "why", replaced=True),), flaps=7, restarts=2)
    report = replace(UP, families=(Family.IPV4_UNICAST,), hold_time_s=30, history=past)
    made = reports.sessions(NODE, {"tor-a": peer()}, {"tor-a": report}, {}, {}, {})
    session = made[keys.SESSIONS.key(NODE, "tor-a")]
    assert (session.families, session.hold_time_s, session.flaps, session.restarts) == (("ipv4",), 30, 7, 2)
    assert reports.history(decode(Session, encode(session))) == past
    assert reports.history(None) == History()


def test_every_state_of_the_machine_can_be_stored() -> None:
    assert {state.value for state in State} == {state.value for state in SessionState}


def test_a_prefix_names_its_peers_in_order() -> None:
    made = reports.prefixes(NODE, {"tor-b": frozenset({A}), "tor-a": frozenset({A, B}), "tor-c": frozenset()})
    assert {key: value.peers for key, value in made.items()} == {
        keys.ADVERTISED.key(NODE, A): ("tor-a", "tor-b"),
        keys.ADVERTISED.key(NODE, B): ("tor-a",),
    }
