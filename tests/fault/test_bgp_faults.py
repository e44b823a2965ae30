"""Each fault of a BGP session under each workload: the ToR holds what is wanted soon after, another rests.

tor is FRR and has the fault; other is BIRD and is watched from the first test to the last.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from bgp.exabgp.driver import ExaBgpSpeaker, Timing
from bgp.fsm import State
from lab.lab import Lab
from lab.partition import Cut, cut
from lab.route import RouteMonitor
from lab.wait import wait_until
from tests.support.cable import (
    NODE_ADDRESS,
    OTHER,
    RAW,
    THREE_CABLES,
    UP_S,
    Cable,
    exabgp,
    hosts,
    report_of,
    speaks,
    state_is,
    wanted,
)
from tests.support.raw_peer import UPDATE, RawPeer, attribute, message, update

pytest_plugins = ["tests.support.bgp"]
pytestmark = [
    pytest.mark.needs("root", "ip", "nft", "zebra", "bgpd", "vtysh", "bird", "birdc"),
    THREE_CABLES,
    pytest.mark.usefixtures("rests"),
]

A, B, C, D = "10.64.0.0/26", "10.64.1.7/32", "10.64.2.0/24", "10.64.3.0/24"
HOLD_TIME_S = 3
RESTART_TIME_S = 4
DEATHS = 6
"""Of the process that ExaBGP starts, in 64 s: more than it bears."""
IMPATIENT = Timing(probe_s=0.1, answer_s=1.0, drain_s=1.0)
LINK = Cut("link", ('iifname "tor"',), ('oifname "tor"',))
"""Nothing passes between the node and tor, and neither sees its link go down."""


@pytest.fixture(scope="module")
def watched(cabled: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cable, RouteMonitor]]:
    """A session with the other ToR that lasts as long as the module, and what changes of its routes there."""
    cable = Cable(cabled, tmp_path_factory.mktemp("other"))
    speaker = cable.speaker("other", peer=OTHER)
    speaker.replace(wanted(A, B))
    other = cabled.tors["other"]
    wait_until(lambda: set(other.kernel_routes()), UP_S, "routes at the other ToR", good={A, B}.__eq__)
    monitor = other.host.monitor_routes()
    try:
        yield cable, monitor
    finally:
        changes = monitor.stop()
        cable.retire()
    assert [change for change in changes if change.dst in {A, B}] == []


@pytest.fixture
def rests(watched: tuple[Cable, RouteMonitor]) -> Iterator[None]:
    """Nothing becomes of the session with the other ToR while the test runs."""
    cable, monitor = watched
    [(speaker, _)] = cable.speakers
    since = state_is(speaker, State.ESTABLISHED).since
    yield
    report = speaker.report()
    assert report is not None
    assert (report.state, report.since, report.reason) == (State.ESTABLISHED, since, "")
    assert speaker.advertised() == {ip_network(A), ip_network(B)}
    assert monitor.changes() == []


def announcing(cable: Cable, *prefixes: str, **changes: Any) -> ExaBgpSpeaker:
    """A speaker whose prefixes have arrived."""
    speaker = cable.speaker(timing=IMPATIENT, hold_time_s=HOLD_TIME_S, **changes)
    speaker.replace(wanted(*prefixes))
    cable.up(speaker)
    cable.routes_are(*prefixes)
    cable.heard_again(prefixes[-1])
    wait_until(speaker.advertised, UP_S, "all to be advertised", good=lambda held: len(held) == len(prefixes))
    return speaker


@contextmanager
def tor_killed(cable: Cable) -> Iterator[None]:
    cable.tor.kill()
    yield
    cable.tor.start()


@contextmanager
def tor_stopped(cable: Cable) -> Iterator[None]:
    cable.tor.stop()
    yield
    cable.tor.start()


@contextmanager
def session_cleared(cable: Cable) -> Iterator[None]:
    cable.tor.clear(NODE_ADDRESS)
    yield


def link_cut(hold_time_s: int) -> Callable[[Cable], AbstractContextManager[None]]:
    """Until both ends have noticed by the hold time."""

    @contextmanager
    def in_silence(cable: Cable) -> Iterator[None]:
        [speaker] = [speaker for speaker, _ in cable.speakers]
        with cut(cable.node, LINK):
            yield
            wait_until(lambda: cable.tor.kernel_routes() == {}, hold_time_s + 2, "the ToR to give all up")
            report_of(speaker, "the node to notice", lambda now: now.state is not State.ESTABLISHED)

    return in_silence


def exabgp_gets(number: signal.Signals) -> Callable[[Cable], AbstractContextManager[None]]:
    @contextmanager
    def signalled(cable: Cable) -> Iterator[None]:
        os.kill(exabgp(cable), number)
        yield

    return signalled


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, how soon all is well after it ended, and whether routes that stay are left alone."""

    happens: Callable[[Cable], AbstractContextManager[None]]
    within_s: float
    silent: bool = False


FAULTS = {
    "tor killed": Fault(tor_killed, 8),
    "tor stopped": Fault(tor_stopped, 8),
    "session cleared": Fault(session_cleared, 6),
    "link cut": Fault(link_cut(HOLD_TIME_S), 8),
    "exabgp killed": Fault(exabgp_gets(signal.SIGKILL), 6, silent=True),
    "exabgp paused": Fault(exabgp_gets(signal.SIGSTOP), 8, silent=True),
}
WORKLOADS = {"one goes and one comes": ([A, B], [B, C]), "burst": ([A, B], [A, B, *hosts(2000)])}
"""What is announced before, and what is wanted as soon as the fault has begun."""


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(("before", "after"), WORKLOADS.values(), ids=WORKLOADS)
def test_after_a_fault(cable: Cable, fault: Fault, before: list[str], after: list[str]) -> None:
    speaker = announcing(cable, *before)
    monitor = cable.tor.host.monitor_routes()
    with fault.happens(cable):
        speaker.replace(wanted(*after))
    cable.routes_are(*after, within_s=fault.within_s, poll_s=0.1)
    cable.heard_again(after[-1], fault.within_s)
    cable.up(speaker)
    touched = {change.dst for change in monitor.stop()}
    if fault.silent:
        assert touched == set(before) ^ set(after)


def test_an_exabgp_that_never_comes_back(cable: Cable) -> None:
    """Nor does its speaker. RFC 4724 §4.2: the ToR keeps the routes for the restart time it was told."""
    speaker = announcing(cable, A, B, graceful_restart_s=RESTART_TIME_S)
    pid = exabgp(cable)
    speaker.detach()
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: [path.stale for path in cable.tor.bgp_route(B)],
        UP_S,
        "the route to be stale",
        good=[True].__eq__,
    )
    cable.routes_are(poll_s=0.1)
    assert RESTART_TIME_S - 1 < time.monotonic() - began < RESTART_TIME_S + 2


def test_a_bridge_that_dies_again_and_again(cable: Cable) -> None:
    """ExaBGP starts it anew each time, and ends when that is too often: another ExaBGP takes its place."""
    speaker = announcing(cable, A, B)
    first = exabgp(cable)
    monitor = cable.tor.host.monitor_routes()
    killed: set[int] = set()

    def bridge() -> int | None:
        path = Path(f"/proc/{first}/task/{first}/children")
        return next((pid for pid in map(int, path.read_text().split()) if pid not in killed), None)

    while len(killed) < DEATHS:
        pid = wait_until(bridge, UP_S, "ExaBGP to start the bridge")
        killed.add(pid)
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: exabgp(cable) != first, 2 * UP_S, "another ExaBGP")
    speaker.replace(wanted(A, C))
    cable.routes_are(A, C)
    cable.heard_again(A)
    assert {change.dst for change in monitor.stop()} == {B, C}


def test_the_program_is_killed_in_a_burst(cable: Cable, speak: Callable[..., Any]) -> None:
    many = hosts(3000)
    monitor = cable.tor.host.monitor_routes()
    first = speak(*many)
    wait_until(cable.tor.kernel_routes, UP_S, "the first routes", poll_s=0.01)
    first.stop(signal.SIGKILL)
    speaks(speak(*many))
    cable.routes_are(*many, poll_s=0.2)
    assert [change.dst for change in monitor.stop() if change.deleted] == []


def test_a_wrong_as_at_the_router_is_told_and_mended_there(cable: Cable) -> None:
    with cable.neighbour(asn=64999):
        speaker = cable.speaker()
        speaker.replace(wanted(A))
        report = report_of(speaker, "a reason", lambda now: "NOTIFICATION" in now.reason)
        assert report.reason == "peer sent NOTIFICATION: OPEN Message Error, Bad Peer AS (2/2)"
    cable.up(speaker)
    cable.routes_are(A)


def test_more_prefixes_than_the_router_takes(cable: Cable) -> None:
    with cable.neighbour(max_prefixes=2):
        speaker = cable.speaker()
        speaker.replace(wanted(A, B, C, D))
        report_of(
            speaker,
            "the reason",
            lambda now: (
                now.reason == "peer sent NOTIFICATION: Cease, Maximum Number of Prefixes Reached (6/1)"
            ),
        )
        cable.routes_are()
    cable.up(speaker)
    cable.routes_are(A, B, C, D)


def test_a_router_that_filters_some_prefixes_out(cable: Cable) -> None:
    with cable.neighbour(accepts="10.64.0.0/24"):
        speaker = cable.speaker()
        speaker.replace(wanted(A, B, C))
        cable.up(speaker)
        cable.routes_are(A)
        assert state_is(speaker, State.ESTABLISHED).reason == ""
    cable.up(speaker)
    cable.routes_are(A, B, C)


ORIGIN, AS_PATH, NEXT_HOP = (
    attribute(1, b"\0"),
    attribute(2, b"\2\1\0\0\xfb\xf7"),
    attribute(3, RAW.peer_address.packed),
)
GOOD = ORIGIN + AS_PATH + NEXT_HOP
ENDS_THE_SESSION = {
    "marker": (message(UPDATE, bytes(4), marker=bytes(16)), "Connection Not Synchronized (1/1)"),
    "length": (message(UPDATE, length=5), "Bad Message Length (1/2)"),
    "type": (message(9), "Bad Message Type (1/3)"),
}
SURVIVES = {
    "attributes longer than the message": message(UPDATE, b"\0\0\0\xc8" + GOOD),
    "an attribute longer than all of them": update(
        attribute(1, b"\0", length=250) + AS_PATH, b"\x18\x0a\1\1"
    ),
    "an origin that is none": update(attribute(1, b"\x09") + AS_PATH + NEXT_HOP, b"\x18\x0a\1\1"),
    "no next hop": update(ORIGIN + AS_PATH, b"\x18\x0a\1\1"),
    "a prefix of 33 bits": update(GOOD, b"\x21\x0a\1\1\1\1"),
    "an unknown attribute": update(GOOD + attribute(99, b"x", flags=0xC0), b"\x18\x0a\1\1"),
}

RESETS_AN_IMPORT = {
    "attributes longer than the message": "UPDATE Message Error, Malformed Attribute List (3/1)",
    "a prefix of 33 bits": "UPDATE Message Error, Invalid Network Field (3/10)",
}


@pytest.fixture
def raw(cable: Cable) -> Iterator[RawPeer]:
    """A peer that this test plays, with a session that is up and has heard A."""
    with RawPeer(cable.lab.hosts["raw"].netns, RAW.peer_address, RAW.peer_asn) as peer:
        cable.speaker("raw", peer=RAW).replace(wanted(A))
        peer.wait_sessions(1)
        yield peer


def test_a_peer_that_sends_garbage_is_told_so_and_spoken_with_again(cable: Cable, raw: RawPeer) -> None:
    [(speaker, _)] = cable.speakers
    pid = exabgp(cable, "raw")
    for number, (data, words) in enumerate(ENDS_THE_SESSION.values(), 2):
        raw.send(data)
        raw.wait_sessions(number)
        report = state_is(speaker, State.ESTABLISHED)
        assert words in " ".join(each.reason for each in report.history.transitions), report
        assert f"({raw.notification[0]}/{raw.notification[1]})" in words
    assert exabgp(cable, "raw") == pid


def test_a_peer_that_sends_malformed_updates_is_not_listened_to(cable: Cable, raw: RawPeer) -> None:
    """Nothing is imported from it, so nothing of it is parsed."""
    [(speaker, _)] = cable.speakers
    for data in SURVIVES.values():
        raw.send(data)
    speaker.replace(wanted(A, B))
    raw.wait_updates(2)
    assert (raw.sessions, raw.notification) == (1, None)


def test_a_peer_that_is_imported_from_and_sends_malformed_updates(cable: Cable) -> None:
    """RFC 7606: what cannot be parsed resets the session, what lacks an attribute is a withdrawal."""
    asked = ip_network("10.1.1.0/24")
    good = update(GOOD, b"\x18\x0a\1\1")
    with RawPeer(cable.lab.hosts["raw"].netns, RAW.peer_address, RAW.peer_asn) as raw:
        speaker = cable.speaker("raw", peer=RAW, imports=(asked,))
        speaker.replace(wanted(A))
        for number, (name, words) in enumerate(RESETS_AN_IMPORT.items(), 1):
            raw.wait_sessions(number)
            raw.send(good)
            wait_until(speaker.imported, UP_S, "the prefix to be taken", good=lambda taken: asked in taken)
            raw.send(SURVIVES[name])
            report_of(speaker, words, lambda now, words=words: words in str(now.history.transitions[-2:]))
            wait_until(speaker.imported, UP_S, "the prefix to go", good=lambda taken: not taken)
        raw.wait_sessions(len(RESETS_AN_IMPORT) + 1)
        raw.send(good)
        wait_until(speaker.imported, UP_S, "the prefix to be taken", good=lambda taken: asked in taken)
        raw.send(SURVIVES["no next hop"])
        wait_until(speaker.imported, UP_S, "the prefix to go", good=lambda taken: asked not in taken)
        assert raw.sessions == len(RESETS_AN_IMPORT) + 1


def test_a_peer_that_sends_a_flood_delays_nothing_and_fills_nothing(cable: Cable, raw: RawPeer) -> None:
    [(speaker, _)] = cable.speakers
    pid = exabgp(cable, "raw")
    before = resident_bytes(pid)
    for number in range(400):
        first = 0x14000000 + 500 * number
        prefixes = (first + each for each in range(500))
        raw.send(update(GOOD, b"".join(b"\x20" + prefix.to_bytes(4, "big") for prefix in prefixes)))
    speaker.replace(wanted(A, B))
    raw.wait_updates(2)
    assert raw.sessions == 1
    assert resident_bytes(pid) - before < 20_000_000


def resident_bytes(pid: int) -> int:
    """Memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
