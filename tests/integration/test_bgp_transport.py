"""A BGP session below BGP, with FRR and with BIRD: passwords, GTSM, who opens it, and how far it reaches."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from bgp.fsm import State
from lab import netns
from lab.host import Host
from lab.wait import wait_until
from tests.support.cable import BOTH_ROUTERS, NODE_ADDRESS, UP_S, Cable, report_of, state_is, wanted

pytest_plugins = ["tests.support.bgp"]
pytestmark = [pytest.mark.needs("root", "ip", "zebra", "bgpd", "vtysh", "bird", "birdc"), BOTH_ROUTERS]

A = "10.64.0.0/26"
PASSWORD = "a;{#}"
"""With what ExaBGP's configuration would misread."""


def dropped(host: Host, *reasons: str) -> int:
    """Packets that the kernel of a host has dropped for these reasons, as /proc/net/netstat names them."""

    def read() -> int:
        names, values = Path("/proc/thread-self/net/netstat").read_text().splitlines()[:2]
        found = dict(zip(names.split(), values.split(), strict=True))
        return sum(int(found[reason]) for reason in reasons)

    return netns.within(host.netns, read)


MD5 = ("TCPMD5Failure", "TCPMD5NotFound", "TCPMD5Unexpected")
TTL = ("TCPMinTTLDrop",)


def refuses(host: Host, *reasons: str) -> None:
    """Wait until a host's kernel has dropped a packet for one of these reasons."""
    before = dropped(host, *reasons)
    wait_until(
        lambda: dropped(host, *reasons), UP_S, f"{host.name} to drop packets", good=lambda now: now > before
    )


def test_a_password_and_gtsm_that_both_have(cable: Cable) -> None:
    with cable.neighbour(password=PASSWORD, gtsm=True):
        speaker = cable.speaker(password=PASSWORD, gtsm=True)
        speaker.replace(wanted(A))
        cable.up(speaker)
        cable.routes_are(A)


def test_no_session_with_another_password_and_one_as_soon_as_it_is_the_same(cable: Cable) -> None:
    speaker = cable.speaker(password=PASSWORD)
    speaker.replace(wanted(A))
    with cable.neighbour(password="another"):
        refuses(cable.tor.host, *MD5)
        report = state_is(speaker, State.CONNECT)
        assert report.reason == (
            "no session with 10.9.0.0 port 179 yet: the password must be the same at both ends"
        )
        assert not cable.tor.established(NODE_ADDRESS)
    with cable.neighbour(password=PASSWORD):
        cable.up(speaker)
        cable.routes_are(A)


def test_a_router_with_gtsm_refuses_a_node_without(cable: Cable) -> None:
    with cable.neighbour(gtsm=True):
        speaker = cable.speaker()
        refuses(cable.tor.host, *TTL)
        assert report_of(speaker, "a report", bool).state is not State.ESTABLISHED
        assert not cable.tor.established(NODE_ADDRESS)


def test_a_node_with_gtsm_refuses_a_router_without(cable: Cable) -> None:
    speaker = cable.speaker(gtsm=True)
    refuses(cable.node, *TTL)
    report = report_of(speaker, "a report", bool)
    assert report.state is not State.ESTABLISHED
    assert not cable.tor.established(NODE_ADDRESS)
    assert report.reason.endswith("GTSM must be the same at both ends")


def test_the_router_opens_the_session(cable: Cable) -> None:
    with cable.neighbour(active=True):
        speaker = cable.speaker(passive=True)
        speaker.replace(wanted(A))
        cable.up(speaker)
        cable.routes_are(A)


def test_a_router_that_is_not_on_a_link(cable: Cable) -> None:
    """Between the router's loopback and the node."""
    cable.node.run("ip", "route", "replace", "10.9.255.1/32", "via", "10.9.0.0")
    with cable.neighbour(local_address="10.9.255.1", multihop_ttl=2):
        speaker = cable.speaker(peer_address=ip_address("10.9.255.1"), multihop_ttl=2)
        speaker.replace(wanted(A))
        cable.up(speaker)
        cable.routes_are(A)
