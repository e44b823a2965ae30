"""What is told of sessions, by whom, and how often."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.reading import put
from controller.session_events import LOOK_BACK, news
from store import keys
from store.client import Delete
from store.memory import MemoryStore
from store.model import Session, SessionState, Severity, Transition
from tests.unit.controller.conftest import NOW
from tests.unit.controller.reported import on_duty, told_are

UP, IDLE, CONNECT = SessionState.ESTABLISHED, SessionState.IDLE, SessionState.CONNECT
REASON = "peer sent NOTIFICATION: Cease, Administrative Shutdown (6/2)"


def transitions(*states: SessionState, replaced: bool = False) -> tuple[Transition, ...]:
    """Transitions, a second apart; the last one by the watchdog if it was."""
    last = len(states) - 1
    return tuple(
        Transition(
            at=NOW + timedelta(seconds=number),
            state=state,
            reason="" if state is UP else REASON,
            replaced=replaced and number == last,
        )
        for number, state in enumerate(states)
    )


def session(*states: SessionState, replaced: bool = False, peer: str = "tor-a") -> Session:
    made = transitions(*states, replaced=replaced)
    return Session(
        node="node-1",
        peer=peer,
        address="192.0.2.1",
        asn=64501,
        state=made[-1].state,
        since=made[-1].at,
        transitions=made,
    )


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, session(CONNECT, UP), ["session-up"]),
        (None, session(IDLE), []),
        (session(CONNECT), session(CONNECT, UP, IDLE), ["session-up", "session-down"]),
        (session(CONNECT, UP), session(CONNECT, UP), []),
        (
            session(CONNECT, UP),
            session(CONNECT, UP, IDLE, replaced=True),
            ["session-down", "exabgp-restarted"],
        ),
        (session(IDLE), session(IDLE, IDLE, replaced=True), ["exabgp-restarted"]),
    ],
)
def test_what_is_news(before: Session | None, after: Session, told: list[str]) -> None:
    assert [each.reason for each in news(before, after, NOW)] == told


def test_what_was_kept_no_longer_still_tells_from_where_it_came() -> None:
    """Of the transitions that were seen before none is left."""
    before = session(CONNECT, UP)
    after = session(CONNECT, UP, IDLE, UP)
    only_new = after.model_copy(update={"transitions": after.transitions[2:]})
    assert [each.reason for each in news(before, only_new, NOW)] == ["session-down", "session-up"]


def test_a_session_that_is_seen_first_is_told_of_only_as_far_as_it_is_new() -> None:
    since = NOW + timedelta(seconds=2)
    assert [each.reason for each in news(None, session(UP, IDLE, UP), since)] == ["session-up"]
    assert list(news(None, session(UP, IDLE, UP), NOW + timedelta(seconds=9))) == []


def kept(count: int, *, since_s: int = 0) -> Session:
    """A session of which the guard keeps so many back, or none any more."""
    found = session(UP).model_copy(update={"transitions": (), "guarded": count})
    why = "10.0.0.0/8: shorter than pool default" if count else ""
    return found.model_copy(update={"guarded_why": why, "guarded_since": NOW + timedelta(seconds=since_s)})


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, kept(2), ["outbound-guard"]),
        (None, kept(0), []),
        (None, kept(2, since_s=-1), []),
        (kept(0), kept(1), ["outbound-guard"]),
        (kept(0), kept(1, since_s=-1), ["outbound-guard"]),
        (kept(1), kept(100), []),
        (kept(1), kept(0), ["outbound-guard-over"]),
        (kept(0), kept(0), []),
    ],
)
def test_the_guard_is_told_of_once_until_it_is_over(
    before: Session | None, after: Session, told: list[str]
) -> None:
    assert [each.reason for each in news(before, after, NOW)] == told


def test_what_the_guard_keeps_back_is_an_alarm_that_names_it() -> None:
    store = MemoryStore()
    say(store, kept(2))
    with on_duty(store), on_duty(store):
        [alarm] = told_are(store, "outbound-guard")
        say(store, kept(0, since_s=5))
        told_are(store, "outbound-guard", "outbound-guard-over")
    assert (alarm.severity, alarm.name, alarm.at) == (Severity.ALARM, "node-1/tor-a", NOW)
    assert alarm.detail == (
        "the outbound guard of node-1 keeps back 2 prefixes from tor-a, such as "
        "10.0.0.0/8: shorter than pool default"
    )


def say(store: MemoryStore, *sessions: Session) -> None:
    store.txn([], [put(keys.SESSIONS, each, each.node, each.peer) for each in sessions])


def test_a_session_that_goes_down_is_a_warning_with_its_reason() -> None:
    store = MemoryStore()
    say(store, session(CONNECT, UP))
    with on_duty(store):
        told_are(store, "session-up")
        say(store, session(CONNECT, UP, IDLE))
        up, down = told_are(store, "session-up", "session-down")
    assert (up.severity, down.severity) == (Severity.INFO, Severity.WARNING)
    assert (down.noun, down.name, down.node, down.at) == (
        "session",
        "node-1/tor-a",
        "node-1",
        NOW + timedelta(seconds=2),
    )
    assert REASON in down.detail
    assert "192.0.2.1, AS 64501" in down.detail


def test_another_controller_tells_nothing_twice_and_what_was_missed() -> None:
    store = MemoryStore()
    say(store, session(CONNECT, UP))
    with on_duty(store), on_duty(store):
        told_are(store, "session-up")
    say(store, session(CONNECT, UP, IDLE))
    with on_duty(store):
        told_are(store, "session-up", "session-down")
        say(store, session(CONNECT, UP, IDLE, UP))
        told_are(store, "session-up", "session-down", "session-up")


def test_a_peer_that_is_made_again_is_a_new_session() -> None:
    store = MemoryStore()
    with on_duty(store):
        say(store, session(CONNECT, UP))
        told_are(store, "session-up")
        store.txn([], [Delete(keys.SESSIONS.key("node-1", "tor-a"))])
        long_ago = session(CONNECT, UP)
        moved = tuple(
            each.model_copy(update={"at": each.at - LOOK_BACK - timedelta(seconds=9)})
            for each in long_ago.transitions
        )
        say(store, long_ago.model_copy(update={"transitions": moved}), session(CONNECT, UP, peer="tor-b"))
        told_are(store, "session-up", "session-up")
