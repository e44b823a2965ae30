"""What is taken from a real FRR: the prefixes asked for and no other, and how long they stay."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address, ip_network
from time import monotonic
from typing import Any

import pytest

from bgp.adj_rib_in import Path
from bgp.adj_rib_out import IPNetwork
from bgp.exabgp.channel import Channel
from bgp.exabgp.commands import SHOW_ADJ_RIB_IN
from bgp.exabgp.driver import ExaBgpSpeaker
from bgp.exabgp.events import Route
from bgp.exabgp.watchdog import Patience
from bgp.fsm import State
from bgp.peer import Family
from lab.wait import wait_until
from tests.support.cable import NODE_ADDRESS, TOR_ADDRESS, UP_S, Cable, exabgp, state_is

pytest_plugins = ["tests.support.bgp"]
pytestmark = pytest.mark.needs("root", "ip", "zebra", "bgpd", "vtysh")

DEFAULT, DEFAULT_6, MORE = ip_network("0.0.0.0/0"), ip_network("::/0"), ip_network("192.0.2.0/24")
LOOPBACK = ip_network("10.9.255.1/32")
"""Of the ToR, which announces it to everybody."""
ASKED = (DEFAULT, DEFAULT_6, MORE)
HERE = Path(TOR_ADDRESS, (64501,), med=0)
TOR_6, NODE_6 = ip_address("fd09::"), ip_address("fd09::1")


@pytest.fixture(autouse=True)
def nothing_left(cable: Cable) -> Iterator[None]:
    """The ToR, which the tests share, announces what it did before."""
    yield
    cable.configure(
        "address-family ipv4 unicast",
        *(f"no neighbor {NODE_ADDRESS} default-originate", f"network {MORE}", f"no network {MORE}"),
    )


def announces(cable: Cable, *lines: str) -> None:
    """Change what the ToR announces over IPv4."""
    cable.configure("no bgp network import-check", "address-family ipv4 unicast", *lines)


def importing(cable: Cable, **changes: Any) -> ExaBgpSpeaker:
    """A speaker that has taken the default route."""
    announces(cable, f"neighbor {NODE_ADDRESS} default-originate")
    speaker = cable.speaker(imports=ASKED, **changes)
    cable.up(speaker)
    taken(speaker, {DEFAULT: HERE})
    return speaker


def taken(speaker: ExaBgpSpeaker, expected: dict[IPNetwork, Path]) -> None:
    wait_until(lambda: dict(speaker.imported()), UP_S, "what is taken", good=expected.__eq__)


def test_what_is_asked_for_is_taken_and_nothing_else(cable: Cable) -> None:
    speaker = importing(cable)
    announces(cable, f"network {MORE}")
    taken(speaker, {DEFAULT: HERE, MORE: HERE})
    announces(cable, f"no neighbor {NODE_ADDRESS} default-originate")
    taken(speaker, {MORE: HERE})
    announces(cable, f"no network {MORE}")
    taken(speaker, {})
    sent = cable.tor.vtysh_json(f"show bgp ipv4 unicast neighbors {NODE_ADDRESS} advertised-routes json")
    assert str(LOOPBACK) in sent["advertisedRoutes"]


def test_nothing_is_taken_unless_it_is_asked_for(cable: Cable) -> None:
    announces(cable, f"neighbor {NODE_ADDRESS} default-originate")
    speaker = cable.speaker()
    cable.up(speaker)
    wait_until(lambda: _sent(cable), UP_S, "the ToR to send its routes")
    assert speaker.imported() == {}
    assert "receive" not in (cable.base / "tor" / "exabgp.conf").read_text()


def _sent(cable: Cable) -> int:
    found = cable.tor.vtysh_json(f"show bgp neighbors {NODE_ADDRESS} json")[str(NODE_ADDRESS)]
    return int(found["addressFamilyInfo"]["ipv4Unicast"]["sentPrefixCounter"])


def test_over_ipv6_the_next_hop_is_the_global_address(cable: Cable) -> None:
    cable.add_ipv6()
    cable.configure(
        "address-family ipv6 unicast", f"neighbor {NODE_6} activate", f"neighbor {NODE_6} default-originate"
    )
    speaker = cable.speaker(
        peer_address=TOR_6, local_address=NODE_6, families=(Family.IPV6_UNICAST,), imports=ASKED
    )
    taken(speaker, {DEFAULT_6: Path(TOR_6, (64501,), med=0)})


def test_exabgp_dies_and_what_was_taken_stays(cable: Cable) -> None:
    speaker = importing(cable)
    announces(cable, f"network {MORE}")
    taken(speaker, {DEFAULT: HERE, MORE: HERE})
    os.kill(exabgp(cable), signal.SIGKILL)
    state_is(speaker, State.IDLE)
    announces(cable, f"no network {MORE}")
    seen = []
    wait_until(
        lambda: seen.append(dict(speaker.imported())) or seen[-1] == {DEFAULT: HERE},
        2 * UP_S,
        "the ToR's End-of-RIB",
    )
    assert all(now[DEFAULT].next_hop == TOR_ADDRESS for now in seen)


def test_another_program_finds_what_was_taken(cable: Cable) -> None:
    """And ExaBGP has kept what is asked for, of more that the ToR announces."""
    first = importing(cable)
    pid = exabgp(cable)
    first.detach()
    with closing(Channel(cable.base / "tor" / "bridge.sock", Patience(UP_S, UP_S))) as channel:
        [reply] = channel.ask([SHOW_ADJ_RIB_IN])
    assert [shown.prefix for shown in reply.shown if isinstance(shown, Route)] == [DEFAULT]
    second = cable.speaker(imports=ASKED)
    taken(second, {DEFAULT: HERE})
    assert exabgp(cable) == pid


def test_a_router_that_goes_is_left_at_once(cable: Cable) -> None:
    """FRR helps others to restart and does not restart so itself, and says so (RFC 4724 §3)."""
    speaker = importing(cable)
    cable.tor.bgpd.kill()
    try:
        taken(speaker, {})
    finally:
        cable.tor.bgpd.start()


def test_a_router_that_restarts_is_kept_for_its_time(cable: Cable) -> None:
    cable.configure(
        *("bgp graceful-restart", "bgp graceful-restart restart-time 2"),
        "bgp graceful-restart preserve-fw-state",
    )
    speaker = importing(cable)
    cable.tor.bgpd.kill()
    try:
        taken(speaker, {DEFAULT: replace(HERE, stale=True)})
        gone = monotonic()
        taken(speaker, {})
        assert 1.5 < monotonic() - gone < 4
    finally:
        cable.tor.bgpd.start()
