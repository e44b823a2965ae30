"""ExaBGP with FRR and with BIRD as the ToR: the same session and the same routes with either."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from bgp.adj_rib_out import Attributes
from bgp.advertisement import Advertisement
from bgp.exabgp.channel import Channel, Patience
from bgp.exabgp.commands import SHOW_FINGERPRINTS, SHOW_ROUTES
from bgp.exabgp.driver import ExaBgpSpeaker
from bgp.exabgp.events import Fingerprint, Routes
from bgp.fingerprint import fingerprint, nlri
from bgp.fsm import State
from bgp.peer import Family
from lab.wait import wait_until
from tests.support.cable import (
    BOTH_ROUTERS,
    NODE_ADDRESS,
    UP_S,
    Cable,
    exabgp,
    hosts,
    report_of,
    state_is,
    wanted,
)

pytest_plugins = ["tests.support.bgp"]
pytestmark = [pytest.mark.needs("root", "ip", "zebra", "bgpd", "vtysh", "bird", "birdc"), BOTH_ROUTERS]

A, B, C = "10.64.0.0/26", "10.64.1.7/32", "10.64.2.0/24"
A6 = "fd64::/64"


def announcing(cable: Cable, *prefixes: str, **changes: Any) -> ExaBgpSpeaker:
    """A speaker whose prefixes have arrived, none of them from a session before."""
    speaker = cable.speaker(**changes)
    speaker.replace(wanted(*prefixes))
    cable.up(speaker)
    cable.routes_are(*prefixes)
    cable.heard_again(prefixes[-1])
    return speaker


def test_announce_and_withdraw(cable: Cable) -> None:
    speaker = cable.speaker()
    cable.up(speaker)
    special = Advertisement(ip_network(B), med=50, communities=((64511, 7), (65535, 65281)))
    speaker.replace(wanted(A, C) | {ip_network(B): special})
    cable.routes_are(A, B, C)
    announced = {ip_network(prefix) for prefix in (A, B, C)}
    wait_until(speaker.advertised, UP_S, "the speaker to know of it", good=announced.__eq__)
    [path] = cable.tor.bgp_route(A)
    assert (path.next_hop, path.as_path, path.med) == (str(NODE_ADDRESS), (64511,), None)
    [shown] = cable.tor.bgp_route(B)
    assert (shown.med, shown.communities) == (50, {"64511:7", "65535:65281"})
    assert cable.tor.kernel_routes()[A].gateways == {str(NODE_ADDRESS)}

    speaker.replace(wanted(B))
    cable.routes_are(B)
    wait_until(speaker.advertised, UP_S, "the withdrawals", good={ip_network(B)}.__eq__)
    wait_until(
        lambda: cable.tor.bgp_route(B)[0].med, UP_S, "the attribute to go", good=lambda med: med is None
    )


def test_every_attribute_arrives_and_is_read_back_as_it_was_sent(cable: Cable) -> None:
    speaker = cable.speaker()
    cable.up(speaker)
    sent = Advertisement(
        ip_network(B),
        med=7,
        communities=((65535, 0), (64511, 7)),
        large_communities=((64511, 1, 2), (4200000000, 0, 4294967295)),
        as_path=(64511, 64511, 64511),
    )
    speaker.replace({ip_network(B): sent})
    cable.routes_are(B)
    [path] = cable.tor.bgp_route(B)
    assert (path.med, path.as_path) == (7, (64511, 64511, 64511))
    assert path.communities == {"64511:7", "65535:0"}
    assert path.large_communities == {"64511:1:2", "4200000000:0:4294967295"}
    speaker.detach()
    with closing(Channel(cable.base / "tor" / "bridge.sock", Patience(UP_S, UP_S))) as channel:
        routes, in_short = channel.ask([SHOW_ROUTES, SHOW_FINGERPRINTS])
    # Were it read back as another, it would be sent again at each look.
    attributes = Attributes.of(sent, NODE_ADDRESS)
    assert routes.shown == (Routes(attributes, (ip_network(B),)),)
    # Were it another in short, all would be read back at each look.
    assert in_short.shown == (Fingerprint(attributes, fingerprint([nlri(ip_network(B))])),)


def test_exabgp_dies_and_no_route_is_touched(cable: Cable) -> None:
    """The router is a graceful-restart helper (RFC 4724); End-of-RIB before the last prefix would be seen."""
    many = hosts(2000)
    speaker = announcing(cable, *many)
    pid = exabgp(cable)
    monitor = cable.tor.host.monitor_routes()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: exabgp(cable) != pid, UP_S, "another ExaBGP")
    cable.up(speaker)
    cable.heard_again(many[-1])
    assert monitor.stop() == []
    assert speaker.advertised() == {ip_network(prefix) for prefix in many}


def test_what_is_unwanted_meanwhile_goes_with_end_of_rib(cable: Cable) -> None:
    speaker = announcing(cable, A, B)
    os.kill(exabgp(cable), signal.SIGKILL)
    state_is(speaker, State.IDLE)
    assert speaker.advertised() == {ip_network(A), ip_network(B)}
    speaker.replace(wanted(B))
    cable.routes_are(B)
    wait_until(speaker.advertised, UP_S, "A to be flushed", good={ip_network(B)}.__eq__)


def test_a_session_cleared_at_the_tor_comes_back_with_everything(cable: Cable) -> None:
    speaker = announcing(cable, A, B)
    since = state_is(speaker, State.ESTABLISHED).since
    cable.tor.clear(NODE_ADDRESS)
    report_of(speaker, "a new session", lambda now: now.state is State.ESTABLISHED and now.since > since)
    cable.routes_are(A, B)
    cable.heard_again(B)


def test_a_wrong_as_keeps_the_session_down_and_says_why(cable: Cable) -> None:
    speaker = cable.speaker(local_asn=64999)
    report = report_of(speaker, "a reason", lambda now: "NOTIFICATION" in now.reason)
    assert report.state is State.IDLE
    assert report.reason == "peer sent NOTIFICATION: OPEN Message Error, Bad Peer AS (2/2)"
    assert not cable.tor.established(NODE_ADDRESS)


def test_both_families_on_one_session_each_with_its_next_hop(cable: Cable) -> None:
    """RFC 4760: IPv6 prefixes over IPv4, with the node's IPv6 address as next hop."""
    cable.address_ipv6()
    with cable.neighbour(families=(4, 6)):
        speaker = cable.speaker(families=(Family.IPV4_UNICAST, Family.IPV6_UNICAST))
        speaker.replace(wanted(A) | wanted(A6, next_hop=ip_address("fd09::1")))
        cable.up(speaker)
        cable.routes_are(A)
        cable.routes_are(A6, family=6)
        assert [path.next_hop for path in cable.tor.bgp_route(A)] == [str(NODE_ADDRESS)]
        assert [path.next_hop for path in cable.tor.bgp_route(A6)] == ["fd09::1"]
        assert state_is(speaker, State.ESTABLISHED).reason == ""


def test_a_family_that_the_router_lacks_is_said_and_the_other_goes_on(cable: Cable) -> None:
    speaker = cable.speaker(families=(Family.IPV4_UNICAST, Family.IPV6_UNICAST))
    speaker.replace(wanted(A) | wanted(A6, next_hop=ip_address("fd09::1")))
    cable.up(speaker)
    cable.routes_are(A)
    state_is(speaker, State.ESTABLISHED)
    report_of(speaker, "the reason", lambda now: now.reason == "ipv6 unicast not negotiated")
    wait_until(speaker.advertised, UP_S, "only what is carried", good={ip_network(A)}.__eq__)


def test_ipv6_over_an_ipv6_session(cable: Cable) -> None:
    cable.add_ipv6()
    speaker = cable.speaker(
        peer_address=ip_address("fd09::"), local_address=ip_address("fd09::1"), families=()
    )
    speaker.replace(wanted(A6, "fd64:1::7/128"))
    state_is(speaker, State.ESTABLISHED)
    cable.routes_are(A6, "fd64:1::7/128", family=6)
    assert [path.next_hop for path in cable.tor.bgp_route(A6)] == ["fd09::1"]
