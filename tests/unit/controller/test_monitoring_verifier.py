"""What lasts is told once, what passes is not, and the store says what is so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest

from bgp.bmp.table import Ends
from controller.events import Events
from controller.metrics import Metrics
from controller.monitoring.case import GRACE_S, RESYNC_S
from controller.monitoring.claims import TTL_S
from controller.monitoring.known import Knowledge, Known
from controller.monitoring.station import Station
from controller.monitoring.verifier import Verifier
from controller.reading import put, read, scan
from controller.serve import listen
from intent.verification import UNEXPECTED, UNTOLD
from lab.wait import wait_until
from store import keys
from store.client import Delete
from store.errors import Unavailable
from store.memory import MemoryStore
from store.model import Advertised, Peer, Session, SessionState, Severity, Verified
from tests.support import bmp
from tests.support.bmp_router import SOON_S, BmpRouter
from tests.unit.controller.conftest import NOW, Clock

NODE, PEER = "node-1", "tor-a"
BLOCK, OTHER, THIRD = "10.64.0.0/26", "10.64.0.64/26", "10.64.0.128/26"
ENDS = Ends(router=bmp.ROUTER, node=bmp.NODE)
KEY = keys.VERIFIED.key(NODE, PEER)


@dataclass
class Watcher:
    """A controller that hears routers, and looks when it is told to."""

    store: MemoryStore
    clock: Clock
    name: str = "one"
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        bound = listen("127.0.0.1", 0)
        self.port = bound.getsockname()[1]
        self.station = Station(bound, lambda _: True, self.metrics)
        self.station.start()
        events = Events(self.store, self.time, self.clock)
        self.verifier = Verifier(
            self.store, self.known, self.station, events, self.metrics, self.name, self.time, self.clock
        )

    def time(self) -> datetime:
        return NOW + timedelta(seconds=self.clock.now_s)

    def known(self) -> Known:
        return Known(
            peers={each.key: each.value for each in scan(self.store, keys.PEERS).items},
            sessions={each.key: each.value for each in scan(self.store, keys.SESSIONS).items},
            verified={each.key: each.value for each in scan(self.store, keys.VERIFIED).items},
        )

    def look(self, *after_s: float) -> None:
        """Look, once after each of these pauses; with none, now."""
        for pause_s in after_s or (0.0,):
            self.clock.now_s += pause_s
            self.verifier.look()

    def metric(self, kind: str) -> str:
        """The count of differences; empty when there is none."""
        named = f'polder_bgp_differences{{kind="{kind}",node="{NODE}",peer="{PEER}"}} '
        lines = self.metrics.render().decode().splitlines()
        return next((line.removeprefix(named) for line in lines if line.startswith(named)), "")


@dataclass
class Bench:
    """A node with a session, a router that tells of it, and a controller that compares."""

    store: MemoryStore
    clock: Clock
    one: Watcher
    router: BmpRouter

    def announce(self, *prefixes: str) -> None:
        """What the node's speaker says it announces to its peers."""
        held = scan(self.store, keys.ADVERTISED, NODE).items
        self.store.txn((), [Delete(each.key) for each in held])
        for prefix in prefixes:
            made = Advertised(prefix=ip_network(prefix), node=NODE, peers=(PEER, "tor-b"))
            self.store.txn((), (put(keys.ADVERTISED, made, NODE, made.prefix),))
        self.session(advertised=len(prefixes))

    def session(self, **changes: object) -> None:
        """The node's end of the session."""
        made = Session(
            node=NODE,
            peer=PEER,
            address=bmp.ROUTER,
            asn=64501,
            state=SessionState.ESTABLISHED,
            since=NOW,
            local_address=bmp.NODE,
        )
        self.store.txn((), (put(keys.SESSIONS, made.model_copy(update=changes), NODE, PEER),))

    def holds(self, *prefixes: str, by: Watcher | None = None) -> None:
        """Wait until the station knows that the router holds these, and that this is all."""
        station, expected = (by or self.one).station, {ip_network(prefix) for prefix in prefixes}

        def look() -> bool:
            report = station.reports().get(ENDS)
            return report is not None and report.whole and station.accepted(report).prefixes == expected

        wait_until(look, SOON_S, f"the station to know of {prefixes}")

    def verdict(self) -> Verified | None:
        found = read(self.store, keys.VERIFIED, NODE, PEER)
        return found.value if found else None

    def differences(self) -> list[tuple[str, str, str]]:
        """Of the verdict: kind, prefix and cause."""
        verdict = self.verdict()
        assert verdict is not None
        return [(each.kind.value, str(each.prefix), each.cause) for each in verdict.differences]

    def events(self) -> list[tuple[Severity, str, str]]:
        return [(each.severity, each.reason, each.detail) for each in scan(self.store, keys.EVENTS).values]


@pytest.fixture
def bench() -> Iterator[Bench]:
    clock = Clock()
    store = MemoryStore(clock)
    one = Watcher(store, clock)
    with BmpRouter(one.port) as router:
        made = Bench(store, clock, one, router)
        made.announce(BLOCK, OTHER)
        yield made
    one.station.stop()


def test_a_router_that_holds_all_is_told_of_without_a_word_to_people(bench: Bench) -> None:
    bench.router.begin(BLOCK, OTHER)
    bench.holds(BLOCK, OTHER)
    bench.one.look(0, GRACE_S + 1)
    assert bench.verdict() == Verified(
        node=NODE, peer=PEER, router=bmp.ROUTER, controller="one", since=NOW, accepted=2
    )
    assert bench.events() == []
    assert bench.one.metric("missing") == "0.0"


def test_what_the_router_does_not_hold_is_an_alarm_once_it_lasts(bench: Bench) -> None:
    bench.router.begin(BLOCK)
    bench.holds(BLOCK)
    bench.one.look(0, GRACE_S - 1)
    assert (bench.differences(), bench.events()) == ([], [])
    bench.one.look(1, 1, RESYNC_S + 1)
    assert bench.differences() == [("missing", OTHER, UNTOLD)]
    detail = f"tor-a does not hold {OTHER}, announced by node-1: {UNTOLD}"
    assert bench.events() == [(Severity.ALARM, "bgp-difference", detail)]
    assert bench.one.metric("missing") == "1.0"
    bench.router.send(bmp.tells(OTHER))
    bench.holds(BLOCK, OTHER)
    bench.one.look(1)
    assert bench.differences() == []
    over = (Severity.INFO, "bgp-difference-over", f"tor-a and node-1 agree about {OTHER}")
    assert bench.events()[1:] == [over]
    assert bench.one.metric("missing") == "0.0"


def test_what_the_router_holds_and_nobody_announces_is_one_too(bench: Bench) -> None:
    bench.router.begin(BLOCK, OTHER, THIRD)
    bench.holds(BLOCK, OTHER, THIRD)
    bench.one.look(0, GRACE_S)
    assert bench.differences() == [("unexpected", THIRD, UNEXPECTED)]
    ((_, _, detail),) = bench.events()
    assert detail == f"tor-a holds {THIRD}, which node-1 does not announce: {UNEXPECTED}"
    assert (bench.one.metric("unexpected"), bench.one.metric("missing")) == ("1.0", "0.0")


def test_what_passes_is_never_told(bench: Bench) -> None:
    bench.router.begin(BLOCK)
    bench.holds(BLOCK)
    bench.one.look(0, GRACE_S - 1)
    bench.announce(BLOCK)
    bench.one.look(0.1)
    bench.announce(BLOCK, OTHER)
    bench.one.look(0.1, GRACE_S - 1)
    assert (bench.differences(), bench.events()) == ([], [])
    bench.one.look(1)
    assert bench.differences() == [("missing", OTHER, UNTOLD)]


def test_a_change_of_announcements_alone_is_found_by_the_periodic_look(bench: Bench) -> None:
    bench.announce(BLOCK)
    bench.router.begin(BLOCK)
    bench.holds(BLOCK)
    bench.one.look()
    bench.announce(OTHER)  # the count, and so the session, is the same
    bench.one.look(RESYNC_S, GRACE_S)
    assert [prefix for _, prefix, _ in bench.differences()] == [OTHER, BLOCK]


def test_only_what_is_announced_to_that_peer_is_compared(bench: Bench) -> None:
    elsewhere = Advertised(prefix=ip_network(THIRD), node=NODE, peers=("tor-b",))
    bench.store.txn((), (put(keys.ADVERTISED, elsewhere, NODE, elsewhere.prefix),))
    bench.router.begin(BLOCK, OTHER)
    bench.holds(BLOCK, OTHER)
    bench.one.look(0, GRACE_S)
    assert bench.differences() == []


def test_a_router_that_does_not_say_that_it_told_all_is_given_time(bench: Bench) -> None:
    bench.router.send(bmp.peer_up(), bmp.tells(BLOCK))
    wait_until(lambda: ENDS in bench.one.station.reports(), SOON_S, "the session")
    bench.one.look(0, GRACE_S - 1)
    assert bench.verdict() is None
    bench.one.look(1)
    assert bench.differences() == []
    bench.one.look(GRACE_S)
    assert bench.differences() == [("missing", OTHER, UNTOLD)]


def test_a_session_that_the_router_has_lost(bench: Bench) -> None:
    bench.router.begin(BLOCK, OTHER)
    bench.holds(BLOCK, OTHER)
    bench.one.look()
    bench.router.send(bmp.peer_down())
    wait_until(
        lambda: not bench.one.station.accepted(bench.one.station.reports()[ENDS]).up, SOON_S, "the end"
    )
    bench.one.look(GRACE_S, GRACE_S)
    assert {cause for _, _, cause in bench.differences()} == {
        "the router has no session with 10.9.0.1: the router closed it"
    }


@pytest.mark.parametrize(
    "changes",
    [{"state": SessionState.IDLE}, {"local_address": None}, {"local_address": ip_address("10.9.0.7")}],
)
def test_a_session_that_is_not_there_at_both_ends_is_not_compared(
    bench: Bench, changes: dict[str, object]
) -> None:
    bench.router.begin(BLOCK)
    bench.holds(BLOCK)
    bench.one.look(0, GRACE_S)
    assert bench.differences()
    bench.session(**changes)
    bench.one.look(1)
    assert bench.verdict() is None
    assert bench.one.metric("missing") == ""
    bench.session()
    bench.one.look(1, 1)
    assert bench.differences()
    assert len(bench.events()) == 1, "the same difference is told once"


def test_what_cannot_be_read_is_not_compared_and_said(bench: Bench) -> None:
    bench.router.begin(BLOCK, OTHER)
    bench.holds(BLOCK, OTHER)
    bench.router.send(bmp.monitoring(b"no update"))
    wait_until(lambda: bench.one.station.reports()[ENDS].unreadable, SOON_S, "the end of it")
    bench.one.look(GRACE_S, GRACE_S)
    verdict = bench.verdict()
    assert verdict is not None
    assert "cannot be read" in verdict.unreadable
    assert bench.events() == []


def test_many_are_counted_and_some_are_named(bench: Bench) -> None:
    bench.announce(*(f"10.64.{number}.0/26" for number in range(30)))
    bench.router.begin()
    bench.holds()
    bench.one.look(0, GRACE_S)
    verdict = bench.verdict()
    assert verdict is not None
    assert (verdict.missing, len(verdict.differences)) == (30, 20)
    ((_, _, detail),) = bench.events()
    assert "10.64.0.0/26, 10.64.1.0/26, 10.64.2.0/26 and 27 more" in detail


def test_with_the_router_goes_what_was_said_of_it(bench: Bench) -> None:
    bench.router.begin(BLOCK)
    bench.holds(BLOCK)
    bench.one.look(0, GRACE_S)
    bench.router.close()
    wait_until(lambda: not bench.one.station.reports(), SOON_S, "the end of it")
    bench.one.look(1)
    assert bench.verdict() is None
    with BmpRouter(bench.one.port) as again:
        again.begin(BLOCK)
        bench.holds(BLOCK)
        bench.one.look(1, GRACE_S)
        assert bench.differences() == [("missing", OTHER, UNTOLD)]
        assert len(bench.events()) == 1, "the same difference is told once"


def test_of_two_controllers_one_tells_and_the_other_follows(bench: Bench) -> None:
    two = Watcher(bench.store, bench.clock, "two")
    with BmpRouter(two.port) as second:
        for router, watcher in ((bench.router, bench.one), (second, two)):
            router.begin(BLOCK)
            bench.holds(BLOCK, by=watcher)
        for _ in range(3):
            bench.one.look(GRACE_S / 2)
            two.look(0)
        assert [each[:2] for each in bench.events()] == [(Severity.ALARM, "bgp-difference")]
        bench.one.verifier.stop()
        two.look(1)
        verdict = bench.verdict()
        assert verdict is not None
        assert (verdict.controller, verdict.missing) == ("two", 1)
        assert len(bench.events()) == 1
        second.send(bmp.tells(OTHER))
        bench.holds(BLOCK, OTHER, by=two)
        two.look(1)
        assert [each[:2] for each in bench.events()[1:]] == [(Severity.INFO, "bgp-difference-over")]
    two.station.stop()


def test_a_lease_that_ended_is_made_up_for(bench: Bench) -> None:
    bench.router.begin(BLOCK)
    bench.holds(BLOCK)
    bench.one.look(0, GRACE_S)
    bench.clock.now_s += TTL_S + 1
    bench.store.expire()
    assert bench.verdict() is None
    bench.one.look(0, 1)
    assert bench.differences()
    assert len(bench.events()) == 1
    for _ in range(5):
        bench.one.look(TTL_S / 2)
    assert bench.differences()


@pytest.mark.parametrize("passes", [0, 1, 2])
def test_a_lost_answer_leaves_nothing_behind(bench: Bench, passes: int) -> None:
    """Whatever transaction it is of: the verdict is right soon, and gone with the session."""
    bench.router.begin(BLOCK)
    bench.holds(BLOCK)
    for number in range(6):
        if number == passes:
            bench.store.lose_answer()
        with suppress(Unavailable):
            bench.one.look(GRACE_S / 2)
    assert bench.differences() == [("missing", OTHER, UNTOLD)]
    assert [each[:2] for each in bench.events()] == [(Severity.ALARM, "bgp-difference")]
    bench.store.lose_answer()
    with suppress(Unavailable):
        bench.session(state=SessionState.IDLE)
    bench.store.lose_answer()
    for _ in range(2):
        with suppress(Unavailable):
            bench.one.look(1)
    assert bench.store.get(KEY) is None


def test_a_store_that_is_away_changes_nothing(bench: Bench) -> None:
    bench.router.begin(BLOCK)
    bench.holds(BLOCK)
    bench.one.look(0, GRACE_S)
    bench.store.set_available(False)
    with pytest.raises(Unavailable):
        bench.one.look(1)
    bench.store.set_available(True)
    bench.one.look(1)
    assert bench.differences()
    assert len(bench.events()) == 1


def test_addresses_of_peers_are_known_from_the_store() -> None:
    store = MemoryStore()
    made = Peer(name=PEER, address=bmp.ROUTER, asn=64501)
    knowledge = Knowledge(store)
    knowledge.start()
    try:
        assert not knowledge.is_peer(bmp.ROUTER)
        store.txn((), (put(keys.PEERS, made, PEER),))
        wait_until(lambda: knowledge.is_peer(bmp.ROUTER), SOON_S, "the peer")
        assert not knowledge.is_peer(bmp.NODE)
        store.txn((), (Delete(keys.PEERS.key(PEER)),))
        wait_until(lambda: not knowledge.is_peer(bmp.ROUTER), SOON_S, "the end of it")
    finally:
        knowledge.stop()
