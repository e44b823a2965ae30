"""ExaBGP against a real FRR: what is announced, and what survives which death."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from bgp.exabgp import rundir
from bgp.exabgp.channel import Channel
from bgp.exabgp.commands import SHOW_ROUTES
from bgp.exabgp.driver import ExaBgpSpeaker, Timing
from bgp.exabgp.events import Routes
from bgp.exabgp.watchdog import Patience
from bgp.fsm import State
from bgp.peer import Family
from lab.wait import wait_until
from tests.support.cable import NODE_ADDRESS, UP_S, Cable, exabgp, hosts, report_of, speaks, state_is, wanted

pytest_plugins = ["tests.support.bgp"]
pytestmark = pytest.mark.needs("root", "ip", "zebra", "bgpd", "vtysh")

IMPATIENT = Timing(probe_s=0.1, answer_s=1.0, drain_s=0.5)

A, B, C = "10.64.0.0/26", "10.64.1.7/32", "10.64.2.0/24"


def children(pid: int) -> list[int]:
    """The pids of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def neighbour(cable: Cable) -> Any:
    """What the ToR knows of the session."""
    return cable.tor.vtysh_json(f"show bgp neighbors {NODE_ADDRESS} json")[str(NODE_ADDRESS)]


def updates_received(cable: Cable) -> int:
    """UPDATE messages that the ToR has got from the node, End-of-RIB included."""
    return int(neighbour(cable)["messageStats"]["updatesRecv"])


def has_end_of_rib(cable: Cable) -> bool:
    """Whether the ToR has End-of-RIB of this session."""
    return bool(neighbour(cable)["gracefulRestartInfo"]["endOfRibRecv"].get("ipv4Unicast"))


def announcing(cable: Cable, *prefixes: str, timing: Timing | None = None, **changes: Any) -> ExaBgpSpeaker:
    """A speaker whose prefixes have arrived."""
    speaker = cable.speaker(timing=timing, **changes)
    speaker.replace(wanted(*prefixes))
    cable.up(speaker)
    cable.routes_are(*prefixes)
    wait_until(lambda: has_end_of_rib(cable), UP_S, "End-of-RIB")
    return speaker


def test_a_next_hop_may_be_another_node(cable: Cable) -> None:
    cable.node.run("ip", "address", "add", "10.9.1.1/32", "dev", "lo")
    speaker = cable.speaker()
    speaker.replace(wanted(A, next_hop=ip_address("10.9.0.1")) | wanted(C, next_hop=ip_address("10.9.1.1")))
    cable.up(speaker)
    wait_until(lambda: cable.tor.bgp_route(C), UP_S, "the route")
    assert [path.next_hop for path in cable.tor.bgp_route(C)] == ["10.9.1.1"]


def test_the_program_dies_and_comes_back_in_silence(cable: Cable, speak: Any) -> None:
    first = speak(A, B)
    speaks(first)
    cable.routes_are(A, B)
    wait_until(lambda: has_end_of_rib(cable), UP_S, "End-of-RIB")
    pid, before = exabgp(cable), updates_received(cable)
    monitor = cable.tor.host.monitor_routes()
    first.stop(signal.SIGKILL)
    speaks(speak(A, B))
    assert exabgp(cable) == pid
    assert updates_received(cable) == before
    assert monitor.stop() == []


def test_what_changed_while_the_program_was_away_is_all_that_is_sent(cable: Cable, speak: Any) -> None:
    first = speak(A, B)
    speaks(first)
    cable.routes_are(A, B)
    monitor = cable.tor.host.monitor_routes()
    first.stop(signal.SIGKILL)
    speaks(speak(B, C))
    cable.routes_are(B, C)
    assert {(change.dst, change.deleted) for change in monitor.stop()} == {(C, False), (A, True)}


def test_a_shutdown_at_the_tor_is_told_in_words(cable: Cable) -> None:
    speaker = announcing(cable, A)
    up = state_is(speaker, State.ESTABLISHED)
    assert (up.families, up.hold_time_s) == ((Family.IPV4_UNICAST,), 90)
    shut = f"neighbor {NODE_ADDRESS} shutdown"
    cable.configure(shut)
    try:
        report = state_is(speaker, State.IDLE)
        assert report.reason == "peer sent NOTIFICATION: Cease, Administrative Shutdown (6/2)"
        assert (report.families, report.hold_time_s, report.history.flaps) == ((), None, 1)
        speaker.replace(wanted(A, B))
    finally:
        cable.configure(f"no {shut}")
    cable.routes_are(A, B)
    history = state_is(speaker, State.ESTABLISHED).history
    told = [(each.state, each.reason) for each in history.transitions]
    assert [state for state, _ in told][-3:] == ["ESTABLISHED", "IDLE", "ESTABLISHED"]
    assert (State.IDLE, report.reason) in told
    assert history.flaps in {1, 2}, "a router that opens again may drop the first connection"


def test_exabgp_listens_nowhere_unless_it_is_passive(cable: Cable) -> None:
    cable.up(cable.speaker())
    assert cable.node.run("ss", "-ltunH").stdout == ""


def test_nobody_listens_at_the_peer(cable: Cable) -> None:
    speaker = cable.speaker(peer_address=ip_address("10.9.0.7"))
    report = state_is(speaker, State.CONNECT)
    assert "10.9.0.7" in report.reason


def test_a_hung_exabgp_is_replaced_though_nobody_asks_it(cable: Cable) -> None:
    """With the restart time the ToR keeps its routes; the ExaBGP of the other peer is not touched."""
    cable.add_ipv6()
    other = cable.speaker(
        "tor6", peer_address=ip_address("fd09::"), local_address=ip_address("fd09::1"), families=()
    )
    other.replace(wanted("fd64::/64"))
    since = state_is(other, State.ESTABLISHED).since
    speaker = announcing(cable, A, timing=IMPATIENT)
    pid, pid_of_other = exabgp(cable), exabgp(cable, "tor6")
    monitor = cable.tor.host.monitor_routes()
    os.kill(pid, signal.SIGSTOP)
    report = report_of(speaker, "the watchdog", lambda now: now.state is not State.ESTABLISHED)
    assert report.reason == "ExaBGP hung and was replaced: no answer from ExaBGP in 1 s"
    history = state_is(speaker, State.ESTABLISHED).history
    assert (history.restarts, history.flaps) == (1, 1)
    assert [each.replaced for each in history.transitions].count(True) == 1
    assert exabgp(cable) != pid
    speaker.replace(wanted(A, B))
    cable.routes_are(A, B)
    assert {change.dst for change in monitor.stop()} == {B}
    assert exabgp(cable, "tor6") == pid_of_other
    assert state_is(other, State.ESTABLISHED).since == since
    assert other.advertised() == {ip_network("fd64::/64")}


PLANT = """
import pathlib, sys, threading, time

MARK = pathlib.Path({mark!r})

def plant():
    while True:
        rib = sys.modules.get("exabgp.rib.outgoing")
        if rib is not None and MARK.exists():
            rib.OutgoingRIB.updates = lambda self, grouped: iter(())
            MARK.unlink()
        time.sleep(0.05)

threading.Thread(target=plant, daemon=True).start()
"""


def test_an_exabgp_that_takes_routes_and_sends_none_is_replaced(
    cable: Cable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault planted in ExaBGP's own process: it answers, and nothing of its queue leaves."""
    mark, place = tmp_path / "mark", tmp_path / "plant"
    place.mkdir()
    (place / "sitecustomize.py").write_text(PLANT.format(mark=str(mark)))
    monkeypatch.setenv("PYTHONPATH", str(place))
    speaker = announcing(cable, A, timing=IMPATIENT)
    pid = exabgp(cable)
    mark.touch()
    wait_until(lambda: not mark.exists(), UP_S, "the fault to be planted")
    speaker.replace(wanted(A, B))
    cable.routes_are(A, B)
    assert exabgp(cable) != pid
    history = state_is(speaker, State.ESTABLISHED).history
    assert history.restarts == 1
    assert any(each.replaced for each in history.transitions)


def test_a_link_that_is_cut_in_a_burst_is_told_and_ends_with_the_hold_time(cable: Cable) -> None:
    """The NOTIFICATION has no room in a full socket: ExaBGP would wait for it as long as TCP does."""
    cable.node.run("sysctl", "-qw", "net.ipv4.tcp_wmem=4096 4096 4096")
    speaker = announcing(cable, A, timing=IMPATIENT, hold_time_s=4)
    pid = exabgp(cable)
    cable.tor.host.set_link("node", up=False)
    try:
        many = hosts(1500)
        speaker.replace(wanted(A, *many))
        told = report_of(speaker, "a reason", lambda now: bool(now.reason))
        assert (told.state, told.reason) == (
            State.ESTABLISHED,
            "the peer acknowledges nothing of what is sent",
        )
        report_of(speaker, "the end of the session", lambda now: now.state is State.IDLE)
    finally:
        cable.tor.host.set_link("node", up=True)
        cable.node.run("sysctl", "-qw", "net.ipv4.tcp_wmem=4096 16384 4194304")
    cable.routes_are(A, *many, poll_s=0.2)
    assert exabgp(cable) == pid


def test_the_bridge_dies_alone(cable: Cable) -> None:
    speaker = announcing(cable, A)
    pid, report = exabgp(cable), state_is(speaker, State.ESTABLISHED)
    [bridge] = children(pid)
    os.kill(bridge, signal.SIGKILL)
    speaker.replace(wanted(A, B))
    cable.routes_are(A, B)
    assert exabgp(cable) == pid
    assert state_is(speaker, State.ESTABLISHED) == report


def test_two_programs_cannot_speak_for_one_peer(cable: Cable) -> None:
    speaker = announcing(cable, A)
    second = cable.speaker()
    second.replace(wanted(B))
    report = report_of(second, "a refusal", lambda now: bool(now.reason))
    assert "another program" in report.reason
    speaker.replace(wanted(A, C))
    cable.routes_are(A, C)


def test_a_changed_configuration_replaces_the_process_and_touches_no_route(cable: Cable) -> None:
    announcing(cable, A).detach()
    pid = exabgp(cable)
    monitor = cable.tor.host.monitor_routes()
    announcing(cable, A, hold_time_s=30)
    assert exabgp(cable) != pid
    assert neighbour(cable)["bgpTimerHoldTimeMsecs"] == 30_000
    assert monitor.stop() == []


def test_another_peer_leaves_nothing_behind_at_the_first(cable: Cable) -> None:
    announcing(cable, A).detach()
    speaker = cable.speaker(peer_address=ip_address("10.9.0.7"))
    speaker.replace(wanted(A))
    state_is(speaker, State.CONNECT)
    assert A not in cable.tor.bgp_prefixes()


def test_decommission_leaves_nothing_stale(cable: Cable) -> None:
    speaker = announcing(cable, A, B)
    pid = exabgp(cable)
    speaker.decommission()
    assert cable.tor.bgp_prefixes().isdisjoint({A, B})
    assert rundir.start_time(pid) is None
    assert speaker.advertised() == frozenset()
    assert not (cable.base / "tor").exists()


def test_nothing_is_withdrawn_before_anything_is_wanted(cable: Cable) -> None:
    announcing(cable, A).detach()
    speaker = cable.speaker()
    cable.up(speaker)
    wait_until(speaker.advertised, UP_S, "the adopted route", good={ip_network(A)}.__eq__)
    cable.routes_are(A)


def test_what_exabgp_answers_and_what_it_does_not_say(cable: Cable) -> None:
    """What the driver builds on: answers in order, and `done` for what has no effect."""
    announcing(cable, A).detach()
    with closing(Channel(cable.base / "tor" / "bridge.sock", Patience(UP_S, UP_S))) as channel:
        lines = [
            f"announce attributes next-hop {NODE_ADDRESS} nlri {B}",
            "announce attributes next-hop nonsense nlri 10.1.1.1/32",
            f"withdraw attributes next-hop {NODE_ADDRESS} nlri 10.2.2.2/32",
            "announce attributes next-hop fd09::1 nlri fd64::/64",
            SHOW_ROUTES,
            "announce eor ipv4 unicast",
        ]
        replies = channel.ask(lines)
    assert [reply.ok for reply in replies] == [True, False, True, True, True, True]
    [shown] = replies[4].shown
    assert isinstance(shown, Routes)
    assert set(map(str, shown.prefixes)) == {A, B}
    cable.routes_are(A, B)


def test_five_thousand_prefixes_are_no_hang(cable: Cable) -> None:
    many = hosts(5000)
    speaker = cable.speaker(timing=IMPATIENT)
    cable.up(speaker)
    pid = exabgp(cable)
    speaker.replace(wanted(*many))
    cable.routes_are(*many, poll_s=0.5)
    speaker.replace({})
    cable.routes_are(poll_s=0.5)
    assert exabgp(cable) == pid


def test_prefixes_of_one_command_part_ways(cable: Cable) -> None:
    """They share their attributes inside ExaBGP: what becomes of one must not become of the others."""
    speaker = announcing(cable, A, B, C)
    speaker.replace(wanted(A, C) | wanted(B, med=7))
    wait_until(lambda: cable.tor.bgp_route(B)[0].med, UP_S, "the MED", good=[7].__contains__)
    speaker.replace(wanted(A) | wanted(B, med=7))
    cable.routes_are(A, B)
    assert [path.med for path in cable.tor.bgp_route(A)] == [None]
    since = state_is(speaker, State.ESTABLISHED).since
    cable.tor.clear(NODE_ADDRESS)
    report_of(speaker, "a new session", lambda now: now.state is State.ESTABLISHED and now.since > since)
    cable.routes_are(A, B)
    wait_until(lambda: has_end_of_rib(cable), UP_S, "End-of-RIB")
    assert [path.med for path in (*cable.tor.bgp_route(A), *cable.tor.bgp_route(B))] == [None, 7]


def test_keepalives_come_as_often_as_was_asked(cable: Cable) -> None:
    """A third of the hold time, ExaBGP's own choice, would be three seconds."""
    speaker = cable.speaker(hold_time_s=9, keepalive_s=1)
    cable.up(speaker)

    def heard() -> int:
        return int(neighbour(cable)["messageStats"]["keepalivesRecv"])

    before = heard()
    wait_until(lambda: heard() >= before + 4, 6.0, "four more keepalives")


def test_a_router_of_the_same_as_gets_local_pref_and_no_as_path(cable: Cable) -> None:
    cable.configure(f"neighbor {NODE_ADDRESS} remote-as 64501")
    try:
        speaker = cable.speaker(local_asn=64501)
        cable.up(speaker)
        speaker.replace(wanted(B, local_pref=200))
        cable.routes_are(B)
        [shown] = cable.tor.vtysh_json(f"show bgp ipv4 unicast {B} json")["paths"]
        assert (shown["locPrf"], shown["aspath"]["length"]) == (200, 0)
    finally:
        cable.retire()
        cable.configure(f"neighbor {NODE_ADDRESS} remote-as 64511")
