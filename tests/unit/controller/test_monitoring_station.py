"""Routers come and go at a station that listens on loopback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import pytest

from bgp.bmp.table import Ends
from bgp.bmp.wire import IPAddress
from controller.metrics import Metrics
from controller.monitoring.station import MAX_ROUTERS, Report, Station
from controller.serve import listen
from intent.verification import Accepted
from lab.wait import wait_until
from tests.support import bmp
from tests.support.bmp_router import SOON_S, BmpRouter

BLOCK, OTHER = "10.64.0.0/26", "10.64.0.64/26"
ENDS = Ends(router=bmp.ROUTER, node=bmp.NODE)


@dataclass
class Desk:
    """A station, and whom it lets in."""

    station: Station
    port: int
    metrics: Metrics
    seen: list[IPAddress] = field(default_factory=list)
    admitted: bool = True

    def report(self) -> Report:
        """Wait until some router tells of the session."""
        return wait_until(lambda: self.station.reports().get(ENDS), SOON_S, "a report")

    def accepted(self) -> Accepted:
        return self.station.accepted(self.report())

    def holds(self, *prefixes: str) -> None:
        """Wait until the router is known to hold these."""
        expected = {ip_network(prefix) for prefix in prefixes}
        wait_until(lambda: self.accepted().prefixes, SOON_S, "the prefixes", good=expected.__eq__)

    def counts(self, line: str) -> None:
        """Wait until the metrics say so."""
        wait_until(lambda: line in self.metrics.render().decode().splitlines(), SOON_S, line)


@pytest.fixture
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    bound = listen(getattr(request, "param", "127.0.0.1"), 0)

    def admits(address: IPAddress) -> bool:
        made.seen.append(address)
        return made.admitted

    metrics = Metrics()
    made = Desk(Station(bound, admits, metrics), bound.getsockname()[1], metrics)
    made.station.start()
    try:
        yield made
    finally:
        made.station.stop()


def test_a_router_tells_and_changes_what_it_holds(desk: Desk) -> None:
    with BmpRouter(desk.port) as router:
        router.begin(BLOCK)
        desk.holds(BLOCK)
        before = wait_until(desk.report, SOON_S, "all of it", good=lambda report: report.whole)
        router.send(bmp.tells(OTHER), bmp.tells(BLOCK, OTHER, flags=0))
        wait_until(lambda: len(desk.accepted().received), SOON_S, "both tables", good=(2).__eq__)
        after = desk.report()
        assert (after.began, after.version > before.version) == (before.began, True)
        router.send(bmp.peer_down())
        wait_until(lambda: desk.accepted().up, SOON_S, "the end", good=(False).__eq__)
        assert desk.accepted() == Accepted(frozenset(), up=False, reason="the router closed it")
        desk.counts("polder_bmp_routers 1.0")


def test_a_session_that_comes_up_anew_is_another(desk: Desk) -> None:
    with BmpRouter(desk.port) as router:
        router.begin(BLOCK)
        before = wait_until(desk.report, SOON_S, "all of it", good=lambda report: report.whole)
        router.send(bmp.peer_up())
        after = wait_until(desk.report, SOON_S, "another", good=lambda report: report.began != before.began)
        assert not after.whole
        assert desk.accepted().prefixes == frozenset()


def test_what_a_router_told_goes_with_its_connection(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with BmpRouter(desk.port) as router:
        router.begin(BLOCK)
        desk.holds(BLOCK)
    wait_until(lambda: not desk.station.reports(), SOON_S, "the end of it")
    desk.counts("polder_bmp_routers 0.0")
    assert "event=bmp-lost address=127.0.0.1 name='tor' why='closed'" in caplog.text


def test_a_router_that_is_back_before_it_was_missed_counts(desk: Desk) -> None:
    with BmpRouter(desk.port) as first, BmpRouter(desk.port) as second:
        first.begin(BLOCK)
        desk.holds(BLOCK)
        second.begin(OTHER)
        desk.holds(OTHER)
        first.close()
        desk.counts("polder_bmp_routers 1.0")
        desk.holds(OTHER)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "version 71, not 3"),
        (bmp.termination(1), "the router ended it: unspecified"),
        (bmp.message(3, b"short"), "are announced where"),
    ],
)
def test_a_connection_that_is_of_no_use_is_closed_and_no_other(
    desk: Desk, sent: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with BmpRouter(desk.port) as sound, BmpRouter(desk.port) as spoiled:
        sound.begin(BLOCK)
        spoiled.send(sent)
        assert spoiled.is_closed()
        desk.counts("polder_bmp_routers 1.0")
        desk.holds(BLOCK)
    assert why in caplog.text


def test_who_is_no_router_is_sent_away_and_told_of_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.admitted = False
    for _ in range(3):
        with BmpRouter(desk.port) as stranger:
            assert stranger.is_closed()
    desk.counts("polder_bmp_refused_total 3.0")
    assert desk.seen == [ip_address("127.0.0.1")] * 3
    assert caplog.text.count("event=bmp-refused address=127.0.0.1") == 1
    assert desk.station.reports() == {}


@pytest.mark.parametrize("desk", ["::"], indirect=True)
def test_ipv4_is_ipv4_on_a_socket_for_both(desk: Desk) -> None:
    with BmpRouter(desk.port) as router:
        router.begin(BLOCK)
        desk.holds(BLOCK)
    with BmpRouter(desk.port, "::1") as router:
        router.begin(OTHER)
        desk.holds(OTHER)
    assert desk.seen == [ip_address("127.0.0.1"), ip_address("::1")]


def test_more_routers_than_there_can_be_are_refused(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    routers = [BmpRouter(desk.port) for _ in range(MAX_ROUTERS)]
    try:
        with BmpRouter(desk.port) as refused:
            assert refused.is_closed()
        assert f"{MAX_ROUTERS} routers are connected" in caplog.text
    finally:
        for router in routers:
            router.close()


def test_stopping_closes_every_connection() -> None:
    bound = listen("127.0.0.1", 0)
    port = bound.getsockname()[1]
    station = Station(bound, lambda _: True, Metrics())
    station.start()
    with BmpRouter(port) as router:
        router.begin(BLOCK)
        wait_until(station.reports, SOON_S, "a report")
        station.stop()
        assert router.is_closed()
        with pytest.raises(ConnectionRefusedError):
            BmpRouter(port)
