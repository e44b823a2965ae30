"""Endpoints that share a port: each is judged and counted by itself, and nobody speaks for another."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from openflow import policy
from openflow.behind import NUMBERS, SharedPort, behind_flows
from openflow.cookie import Purpose
from openflow.counting import Counts, Way, counts
from openflow.flow import LOCAL
from openflow.pipeline import GATEWAY_IPV4, GATEWAY_IPV6, EndpointPort, base_flows, endpoint_flows
from openflow.tables import NAMED_TABLES
from tests.support import packets
from tests.support.packets import BROADCAST, Packet
from tests.support.switch import MemorySwitch

GATEWAY_MAC, MACHINE, ROUTER = "02:50:4c:44:52:01", "0c:c4:7a:00:00:07", "0c:c4:7a:00:00:08"
PORT, FAR = 5, IPv4Address("192.0.2.1")
A4, A6, B4, C4 = (
    *(IPv4Address("10.64.0.1"), IPv6Address("fd00::1")),
    *map(IPv4Address, ("10.64.0.2", "10.64.0.3")),
)
VIA, ROUTER_IP = IPv4Address("198.51.100.7"), IPv4Address("198.51.100.8")
A = EndpointPort("a", NUMBERS[0], MACHINE, (A4, A6))
B = EndpointPort("b", NUMBERS[1], MACHINE, (B4,), judged=True)
C = EndpointPort("c", NUMBERS[2], ROUTER, (C4,))
WEB = EndpointPort("web", 1, "02:00:00:00:00:01", (IPv4Address("10.64.0.9"),))
WEB4 = WEB.addresses[0]


@pytest.fixture
def switch() -> MemorySwitch:
    made = MemorySwitch()
    made.put(base_flows(GATEWAY_MAC))
    made.put(endpoint_flows(WEB, GATEWAY_MAC))
    for port, via in ((A, VIA), (B, VIA), (C, ROUTER_IP)):
        made.put(behind_flows(port, SharedPort(PORT, (via,)), GATEWAY_MAC))
    return made


def sent(source: IPv4Address | IPv6Address, to: IPv4Address | IPv6Address, mac: str = MACHINE) -> Packet:
    packet = packets.ip(packets.frame(PORT, mac, GATEWAY_MAC, 0), source, to)
    return {**packet, "udp_src": 5000, "udp_dst": 53}


def asks(spa: IPv4Address, mac: str = MACHINE, tpa: IPv4Address = GATEWAY_IPV4) -> Packet:
    return packets.arp(packets.frame(PORT, mac, BROADCAST, 0), op=1, sha=mac, spa=spa, tpa=tpa)


@pytest.mark.parametrize(
    ("packet", "out"),
    [
        (sent(A4, FAR), LOCAL),
        (sent(A6, IPv6Address("2001:db8::1")), LOCAL),
        (sent(A4, WEB4), WEB.ofport),
        (sent(C4, A4, ROUTER), PORT),
        (asks(A4), LOCAL),
        (asks(VIA), LOCAL),
        (packets.ip(packets.frame(WEB.ofport, WEB.mac, GATEWAY_MAC, 0), WEB4, A4), PORT),
        (packets.ip(packets.frame(LOCAL, GATEWAY_MAC, MACHINE, 0), FAR, A4), PORT),
        (
            packets.arp(
                packets.frame(LOCAL, GATEWAY_MAC, MACHINE, 0),
                op=2,
                sha=GATEWAY_MAC,
                spa=GATEWAY_IPV4,
                tpa=VIA,
            ),
            PORT,
        ),
        (
            packets.nd(
                packets.frame(PORT, MACHINE, "33:33:ff:00:00:01", 0),
                135,
                A6,
                IPv6Address("ff02::1:ff00:1"),
                ipv6_nd_target=GATEWAY_IPV6,
                ipv6_nd_sll=MACHINE,
            ),
            LOCAL,
        ),
    ],
)
def test_what_is_behind_a_port_is_reached_and_speaks(switch: MemorySwitch, packet: Packet, out: int) -> None:
    assert [port for port, _ in switch.receive(packet)] == [out]


@pytest.mark.parametrize(
    ("packet", "purpose"),
    [
        (sent(VIA, FAR), Purpose.SPOOFED),
        (sent(WEB4, FAR), Purpose.SPOOFED),
        (sent(A4, FAR, ROUTER), Purpose.SPOOFED),
        (sent(C4, FAR), Purpose.SPOOFED),
        (asks(WEB4), Purpose.SPOOFED),
        (asks(A4, tpa=C4), Purpose.SPOOFED),
        (asks(ROUTER_IP), Purpose.SPOOFED),
        (
            packets.ip(packets.frame(PORT, MACHINE, "01:00:5e:00:00:fb", 0), VIA, IPv4Address("224.0.0.251")),
            Purpose.MULTICAST,
        ),
        (sent(A4, A4), Purpose.HAIRPIN),
        (sent(B4, FAR), Purpose.POLICY_EGRESS),
        (sent(A4, B4), Purpose.POLICY_INGRESS),
        (packets.ip(packets.frame(NUMBERS[0], MACHINE, GATEWAY_MAC, 0), A4, FAR), Purpose.UNKNOWN_PORT),
    ],
)
def test_what_none_behind_it_may_say_is_dropped(
    switch: MemorySwitch, packet: Packet, purpose: Purpose
) -> None:
    assert (switch.receive(packet), switch.counted[purpose]) == ([], 1)


def test_a_rule_is_for_one_of_those_that_share_a_port(switch: MemorySwitch) -> None:
    for judge in (policy.ENFORCED_OUT, policy.ENFORCED_IN):
        rules = policy.compiled(judge, [policy.Rule("any", Purpose.ALLOWED)])
        switch.put((*rules.flows, *rules.of(B.ofport, [True], "b")))
    assert [port for port, _ in switch.receive(sent(B4, FAR))] == [LOCAL]
    assert [port for port, _ in switch.receive(sent(A4, B4))] == [PORT], "back out of the port it came by"
    other = replace(C, judged=True)
    switch.put(behind_flows(other, SharedPort(PORT, (ROUTER_IP,)), GATEWAY_MAC))
    assert switch.receive(sent(C4, FAR, ROUTER)) == []


def test_each_is_counted_by_itself(switch: MemorySwitch) -> None:
    for packet in (sent(A4, FAR), sent(C4, A4, ROUTER), sent(C4, FAR, ROUTER), sent(WEB4, FAR)):
        switch.receive(packet)
    made: Counter[Counts] = Counter()
    for flow, hits in switch.hits.items():
        if (what := counts(flow)) is not None:
            made[what] += hits
    assert made == {
        Counts(A.ofport, Way.SENT): 1,
        Counts(C.ofport, Way.SENT): 2,
        Counts(A.ofport, Way.RECEIVED): 1,
        Counts(PORT, Way.REFUSED): 1,
        Counts(LOCAL, Way.RECEIVED): 2,
    }


def test_flows_of_one_key_are_one_flow_and_match_what_their_tables_say() -> None:
    flows = [flow for port in (A, B, C) for flow in behind_flows(port, SharedPort(PORT, (VIA,)), GATEWAY_MAC)]
    assert len({flow.key for flow in flows}) == len(set(flows)), "whichever is written last"
    fields = {table.table_id: table.fields for table in NAMED_TABLES}
    for flow in flows:
        assert {name for name, _ in flow.match} <= fields[flow.table_id]
