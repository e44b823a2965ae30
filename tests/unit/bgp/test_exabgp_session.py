"""What a session says to ExaBGP, and what counts as announced, pass by pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, ip_network

import pytest

from bgp.adj_rib_in import Path
from bgp.adj_rib_out import Attributes
from bgp.advertisement import Advertisement
from bgp.exabgp.channel import ChannelLost, Hung, Reply
from bgp.exabgp.commands import SHOW_FINGERPRINTS, SHOW_NEIGHBOR, SHOW_QUEUE, SHOW_ROUTES
from bgp.exabgp.events import (
    TCP_LOST,
    Event,
    Fingerprint,
    Marked,
    Negotiated,
    Neighbor,
    Routes,
    SessionEvent,
    Shown,
)
from bgp.exabgp.session import PEER_READS_NOTHING, Session
from bgp.exabgp.watchdog import Drain, Queue
from bgp.fingerprint import fingerprint, nlri
from bgp.fsm import Heard, State
from bgp.history import History, Transition
from bgp.peer import Family
from bgp.speaker import SessionReport
from tests.unit.bgp.test_exabgp_events import AT
from tests.unit.bgp.test_peer import GOOD

A, B, C = (IPv4Network(f"10.64.{number}.0/24") for number in range(3))
SIX = ip_network("fd64::/64")
SELF = Attributes(GOOD.local_address)
UP, DOWN = SessionEvent(Heard.UP, AT), SessionEvent(Heard.DOWN, AT, "why")
END = "announce eor ipv4 unicast"


class Exa:
    """A channel to an ExaBGP that takes everything but `refuses`, and shows what it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuses = ""
        self.lost = False
        self.shows: dict[str, Shown] = {}
        self.tells: list[Event] = []

    def ask(self, lines: Sequence[str]) -> list[Reply]:
        self.asked += lines
        if self.lost and lines:
            raise ChannelLost("it hung up")
        return [
            Reply(
                not (self.refuses and self.refuses in line),
                (self.shows[line],) if line in self.shows else (),
            )
            for line in lines
        ]

    def events(self) -> list[Event]:
        return list(self.tells)

    def heard(self) -> list[str]:
        """What was asked since the last look."""
        asked, self.asked = self.asked, []
        return asked


def says(what: str, *prefixes: IPv4Network) -> str:
    return f"{what} attributes next-hop {SELF.next_hop} nlri {' '.join(map(str, prefixes))}"


def wish(*prefixes: IPv4Network) -> dict[IPv4Network, Advertisement]:
    return {prefix: Advertisement(prefix) for prefix in prefixes}


@pytest.fixture
def exa() -> Exa:
    return Exa()


PEER = replace(GOOD, families=(Family.IPV4_UNICAST,))


def session_of(*presumed: IPv4Network) -> Session:
    return Session(PEER, lambda: None, presumed)


def began(session: Session, exa: Exa, *, adopted: bool = True) -> SessionReport:
    """What is reported of a session of a process that runs."""
    session.begin(exa, adopted=adopted)
    assert session.report is not None
    return session.report


def bring(session: Session, exa: Exa, *, read_back: bool = False) -> list[str]:
    """One pass; what ExaBGP was asked in it."""
    exa.heard()
    session.bring(exa, read_back=read_back)
    return exa.heard()


def test_the_marker_follows_what_was_acknowledged_once_for_each_session(exa: Exa) -> None:
    session = session_of()
    session.want(wish(A, B))
    assert bring(session, exa) == [says("announce", A, B)], "there is no session yet"
    assert session.hear([UP])
    assert bring(session, exa) == [END]
    assert bring(session, exa) == []
    session.hear([DOWN])
    assert bring(session, exa) == []
    session.hear([UP])
    session.want(wish(B))
    assert bring(session, exa) == [says("withdraw", A), END]
    assert session.advertised == {B}


def test_a_marker_that_was_sent_already_is_not_sent_and_one_that_was_refused_is(exa: Exa) -> None:
    session = session_of()
    session.want({})
    session.hear([UP, Marked()])
    assert bring(session, exa) == []
    session.hear([UP])
    exa.refuses = "eor"
    assert bring(session, exa) == [END]
    exa.refuses = ""
    assert bring(session, exa) == [END]
    assert bring(session, exa) == []


def test_nothing_is_taken_back_before_anything_is_wanted(exa: Exa) -> None:
    session = session_of(A)
    session.hear([UP])
    there = fingerprint([nlri(A), nlri(B)])
    exa.shows = {SHOW_FINGERPRINTS: Fingerprint(SELF, there), SHOW_ROUTES: Routes(SELF, (A, B))}
    assert bring(session, exa, read_back=True) == [SHOW_FINGERPRINTS, SHOW_ROUTES]
    assert session.advertised == {A, B}
    session.want(wish(A))
    assert bring(session, exa) == [says("withdraw", B), END]
    assert session.advertised == {A}


def test_what_an_earlier_life_announced_counts_until_the_marker(exa: Exa) -> None:
    session = session_of(A, B)
    session.want(wish(B, C))
    bring(session, exa)
    assert session.advertised == {A, B, C}
    session.hear([UP])
    bring(session, exa)
    assert session.advertised == {B, C}


def test_what_is_refused_does_not_count_and_is_tried_again_after_a_look(exa: Exa) -> None:
    session = session_of()
    session.want(wish(A))
    exa.refuses = "announce"
    assert bring(session, exa) == [says("announce", A)]
    assert session.advertised == frozenset()
    exa.refuses = ""
    assert bring(session, exa) == []
    assert bring(session, exa, read_back=True) == [SHOW_FINGERPRINTS, says("announce", A)]
    assert session.advertised == {A}


def test_what_was_not_answered_may_be_at_the_peer_until_the_restart_time_is_over(exa: Exa) -> None:
    session = session_of()
    session.hear([UP])
    session.want(wish(A))
    bring(session, exa)
    exa.lost = True
    session.want(wish(A, B))
    with pytest.raises(ChannelLost):
        bring(session, exa)
    session.lost("it died")
    session.want(wish())
    assert session.advertised == {A, B}
    session.restart_time_is_over()
    assert session.advertised == frozenset()


def test_a_process_that_was_replaced_is_told_all_again_and_the_peer_keeps_the_rest_until_the_marker(
    exa: Exa,
) -> None:
    session = session_of()
    session.want(wish(A, B))
    session.hear([UP])
    bring(session, exa)
    session.lost("it died", replaced=True)
    report = session.report
    assert report is not None
    assert (report.state, report.reason, report.history.restarts) == (State.IDLE, "it died", 1)
    session.want(wish(A))
    assert bring(session, exa) == [says("announce", A)]
    assert session.advertised == {A, B}
    session.hear([UP])
    assert bring(session, exa) == [END]
    assert session.advertised == {A}
    session.ended()
    assert session.advertised == frozenset()
    assert session.report is not None
    assert session.report.reason == "no longer wanted"


def test_what_is_as_it_was_told_is_read_in_short_and_what_is_not_is_made_so(exa: Exa) -> None:
    session = session_of()
    session.want(wish(A, B))
    bring(session, exa)
    exa.shows = {
        SHOW_FINGERPRINTS: Fingerprint(SELF, fingerprint([nlri(B), nlri(A)])),
        SHOW_ROUTES: Routes(SELF, (A, C)),
    }
    assert bring(session, exa, read_back=True) == [SHOW_FINGERPRINTS]
    exa.shows[SHOW_FINGERPRINTS] = Fingerprint(SELF, fingerprint([nlri(C), nlri(A)]))
    repaired = [says("announce", B), says("withdraw", C)]
    assert bring(session, exa, read_back=True) == [SHOW_FINGERPRINTS, SHOW_ROUTES, *repaired]
    assert session.advertised == {A, B}


def test_what_the_session_does_not_carry_is_not_advertised(exa: Exa) -> None:
    both = replace(GOOD, families=tuple(Family), local_address=GOOD.local_address)
    session = Session(both, lambda: None, [A, SIX])
    session.hear([Negotiated(frozenset({Family.IPV4_UNICAST}), 30), UP])
    session.pass_time()
    assert session.advertised == {A}
    report = session.report
    assert report is not None
    assert (report.families, report.hold_time_s) == ((Family.IPV4_UNICAST,), 30)
    assert report.reason == "ipv6 unicast not negotiated"
    session.want({})
    assert bring(session, exa) == [END]
    session.hear([DOWN])
    report = session.report
    assert report is not None
    assert (report.families, report.hold_time_s) == ((), None), "nothing is agreed on"
    session.hear([UP])
    assert bring(session, exa) == [END, "announce eor ipv6 unicast"], "both, as far as is known"


def test_a_second_connection_takes_nothing_from_what_was_agreed_on_the_first() -> None:
    """The two ends connect to each other at the same time: RFC 4271 §6.8."""
    session = Session(replace(GOOD, families=tuple(Family), local_address=GOOD.local_address), lambda: None)
    agreed = Negotiated(frozenset({Family.IPV4_UNICAST}), 30)
    session.hear([agreed, SessionEvent(Heard.CONNECTED, AT), UP])
    report = session.report
    assert report is not None
    assert report.reason == "ipv6 unicast not negotiated"


def test_a_bridge_that_knows_nothing_has_exabgp_itself_say_how_the_session_is(exa: Exa) -> None:
    agreed = Negotiated(frozenset({Family.IPV4_UNICAST}), 30)
    exa.shows = {SHOW_NEIGHBOR: Neighbor(established=True, duration_s=60, updates_sent=0, agreed=agreed)}
    report = began(session_of(), exa)
    assert (report.state, report.hold_time_s) == (State.ESTABLISHED, 30)
    assert timedelta(seconds=50) < datetime.now(UTC) - report.since < timedelta(seconds=70)
    known = History((Transition(report.since - timedelta(seconds=1), State.ESTABLISHED),))
    again = began(Session(PEER, lambda: None, history=known), exa)
    assert (again.since, again.history.flaps) == (known.transitions[0].at, 0), "it is the same session"
    exa.shows = {SHOW_NEIGHBOR: Neighbor(established=False, duration_s=7, updates_sent=4)}
    report = began(session_of(), exa)
    assert report.state is State.CONNECT
    assert "no session with 10.9.0.0" in report.reason
    exa.tells, exa.asked = [UP], []
    assert began(session_of(), exa).state is State.ESTABLISHED
    assert exa.asked == [], "the bridge has told it"


@pytest.mark.parametrize(("adopted", "tells"), [(False, [DOWN]), (True, [DOWN]), (True, [UP])])
def test_what_was_taken_in_an_earlier_life_is_stale_until_it_is_told_again(
    exa: Exa, adopted: bool, tells: list[Event]
) -> None:
    fresh = Path(GOOD.peer_address)
    session = Session(replace(PEER, imports=(A,)), lambda: None, taken={A: fresh})
    exa.tells = tells
    began(session, exa, adopted=adopted)
    assert dict(session.imported) == {A: replace(fresh, stale=True)}
    session.ended()
    assert dict(session.imported) == {}


def test_a_notification_while_nobody_looked_ends_what_was_taken(exa: Exa) -> None:
    session = Session(replace(PEER, imports=(A,)), lambda: None, taken={A: Path(GOOD.peer_address)})
    exa.tells = [replace(DOWN, notified=True)]
    began(session, exa)
    session.pass_time()
    assert dict(session.imported) == {}


def test_reasons_are_kept_as_long_as_they_say_more_than_what_follows() -> None:
    session = Session(replace(PEER, password="secret"), lambda: None)

    def heard(event: SessionEvent) -> tuple[State, str]:
        session.hear([event])
        assert session.report is not None
        return session.report.state, session.report.reason

    mind = ": the password must be the same at both ends"
    assert heard(SessionEvent(Heard.CONNECTED, AT)) == (
        State.OPENSENT,
        f"no OPEN from the peer yet{mind}",
    )
    assert heard(UP) == (State.ESTABLISHED, "")
    assert heard(DOWN) == (State.IDLE, "why")
    assert heard(SessionEvent(Heard.CONNECTED, AT)) == (State.IDLE, "why")
    assert heard(SessionEvent(Heard.DOWN, AT, TCP_LOST)) == (State.IDLE, "why")
    fresh = Session(replace(PEER, password="secret"), lambda: None)
    fresh.hear([SessionEvent(Heard.DOWN, AT, TCP_LOST)])
    assert fresh.report is not None
    assert fresh.report.reason == f"{TCP_LOST}{mind}"


def test_a_peer_that_reads_nothing_is_told_of_and_a_process_that_sends_nothing_is_hung(exa: Exa) -> None:
    session, drain = session_of(), Drain(5.0)
    session.hear([UP])

    def probed(now: float, **queue: int | bool) -> str:
        shown = {"established": True, "waiting": False, "updates_sent": 1, "unacknowledged": 0}
        exa.shows = {SHOW_QUEUE: Queue(**{**shown, "acknowledged": 1, **queue})}
        session.probe(exa, drain, now)
        assert session.report is not None
        return session.report.reason

    assert [probed(now, unacknowledged=9) for now in (0.0, 5.0)] == ["", PEER_READS_NOTHING]
    assert probed(6.0) == ""
    assert probed(7.0, waiting=True) == ""
    with pytest.raises(Hung, match="does not send"):
        probed(12.0, waiting=True)


def test_a_process_of_an_earlier_version_is_hung(exa: Exa) -> None:
    exa.refuses = SHOW_FINGERPRINTS
    with pytest.raises(Hung, match="earlier version"):
        bring(session_of(), exa, read_back=True)


def test_who_watches_is_called_when_something_is_new_and_only_then(exa: Exa) -> None:
    calls: list[None] = []
    session = Session(PEER, lambda: calls.append(None))

    def called() -> int:
        count = len(calls)
        calls.clear()
        return count

    assert session.want(wish(A))
    assert not session.want(wish(A))
    bring(session, exa)
    assert called() == 1, "it is advertised"
    bring(session, exa)
    assert called() == 0
    for event in (UP, UP):
        session.hear([event])
    assert called() == 1
    session.hear([Negotiated(frozenset({Family.IPV4_UNICAST}), 30), Marked()])
    assert called() == 0
