"""What is taken of what a scripted ExaBGP tells: when it is read, and what a change of the session means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path as FilePath

import pytest

from bgp.adj_rib_in import Path
from bgp.exabgp.channel import Channel
from bgp.exabgp.events import EndOfRib, Opened, Received, SessionEvent
from bgp.exabgp.intake import GAP_S, Intake
from bgp.fsm import Heard
from bgp.peer import Family
from tests.unit.bgp.test_exabgp_channel import DOWN, UP, Bridge, connect
from tests.unit.bgp.test_exabgp_events import AT, ROUTE
from tests.unit.bgp.test_peer import GOOD

DEFAULT, HOP = ip_network("0.0.0.0/0"), ip_address("10.9.0.0")
SHOWN = ROUTE.replace("10.64.0.0/26", "0.0.0.0/0").replace("10.9.0.1", "10.9.0.0") % "{}"
FRESH, STALE = Path(HOP), Path(HOP, stale=True)
V4 = frozenset({Family.IPV4_UNICAST})
RESTARTS = Opened(60, V4, V4)
BEGAN, ENDED = SessionEvent(Heard.UP, AT), SessionEvent(Heard.DOWN, AT)


class Clock:
    """Time that passes when the test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def intake(clock: Clock) -> Intake:
    return Intake(replace(GOOD, imports=(DEFAULT,)), {}, clock)


@pytest.fixture
def bridge(tmp_path: FilePath) -> Iterator[Bridge]:
    made = Bridge(tmp_path / "bridge.sock")
    yield made
    made.end()


def answering(bridge: Bridge, path: FilePath, *answers: tuple[str, ...]) -> Channel:
    """A channel to an ExaBGP that gives these answers, one for each time it is asked."""

    def script(far: Bridge) -> None:
        far.say("ready")
        for answer in answers:
            assert far.hear() == "show adj-rib in json"
            far.say(*answer, "done")

    bridge.play(script)
    return connect(path / "bridge.sock")


def test_a_session_that_came_up_is_read_at_once_and_then_when_something_came(
    intake: Intake, clock: Clock, bridge: Bridge, tmp_path: FilePath
) -> None:
    with closing(answering(bridge, tmp_path, (SHOWN,), ())) as channel:
        intake.hear(BEGAN, was_up=False)
        intake.look(channel)
        intake.look(channel)  # would be asked a third time
        assert intake.taken == {DEFAULT: FRESH}
        assert intake.look_at == float("inf")
        intake.hear(Received(), was_up=True)
        assert intake.look_at == clock.now + GAP_S
        intake.look(channel)  # too early
        assert intake.taken == {DEFAULT: FRESH}
        clock.now += GAP_S
        intake.look(channel)
        assert intake.taken == {}


def test_what_may_be_another_sessions_is_read_again(
    intake: Intake, clock: Clock, bridge: Bridge, tmp_path: FilePath
) -> None:
    """Down and up come with the answer: it is empty because the new session has told nothing yet."""
    with closing(answering(bridge, tmp_path, (SHOWN,), (DOWN, UP), (SHOWN,))) as channel:
        intake.hear(RESTARTS, was_up=False)
        intake.hear(BEGAN, was_up=False)
        intake.look(channel)
        intake.hear(BEGAN, was_up=True)
        clock.now += GAP_S
        intake.look(channel)
        assert intake.taken == {DEFAULT: STALE}
        for event in channel.events():
            assert isinstance(event, SessionEvent)
            intake.hear(replace(event, notified=False), was_up=True)
        intake.look(channel)
        assert intake.taken == {DEFAULT: FRESH}


def test_end_of_rib_counts_after_what_came_before_it(bridge: Bridge, tmp_path: FilePath) -> None:
    intake = Intake(replace(GOOD, imports=(DEFAULT,)), {DEFAULT: FRESH})
    with closing(answering(bridge, tmp_path, ())) as channel:
        intake.hear(BEGAN, was_up=False)
        intake.hear(EndOfRib(Family.IPV4_UNICAST), was_up=True)
        assert intake.taken == {DEFAULT: STALE}
        intake.look(channel)
        assert intake.taken == {}


@pytest.mark.parametrize(
    ("opened", "ended", "kept_s"),
    [
        (Opened(), ENDED, None),
        (RESTARTS, ENDED, 60),
        (Opened(600, V4, V4), ENDED, 120),
        (RESTARTS, replace(ENDED, notified=True), None),
        (None, ENDED, 120),
    ],
    ids=["no capability", "its time", "at most ours", "NOTIFICATION", "OPEN not known"],
)
def test_how_long_a_peer_that_is_gone_is_kept(
    intake: Intake,
    clock: Clock,
    bridge: Bridge,
    tmp_path: FilePath,
    opened: Opened | None,
    ended: SessionEvent,
    kept_s: float | None,
) -> None:
    with closing(answering(bridge, tmp_path, (SHOWN,))) as channel:
        if opened is not None:
            intake.hear(opened, was_up=False)
        intake.hear(BEGAN, was_up=False)
        intake.look(channel)
    intake.hear(ended, was_up=True)
    assert intake.taken == ({} if kept_s is None else {DEFAULT: STALE})
    assert intake.due == (float("inf") if kept_s is None else clock.now + kept_s)


def test_a_try_that_fails_is_no_session_that_ended(clock: Clock) -> None:
    intake = Intake(replace(GOOD, imports=(DEFAULT,)), {DEFAULT: FRESH}, clock)
    intake.hear(Opened(), was_up=False)
    intake.hear(replace(ENDED, notified=True), was_up=False)
    assert intake.taken == {DEFAULT: STALE}


def test_where_nothing_is_imported_nothing_is_asked_for() -> None:
    intake = Intake(GOOD, {})
    intake.hear(BEGAN, was_up=False)
    assert (intake.look_at, intake.due) == (float("inf"), float("inf"))
