"""What the pipeline does with the packets that people ask about, and what it counts them as."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from openflow import document
from openflow.anycast import SERVICE_MAC, ServicePorts, service_flows
from openflow.cookie import Purpose
from openflow.counting import Counts, Way, counts
from openflow.flow import LOCAL
from openflow.pipeline import GATEWAY_IPV4, GATEWAY_IPV6, EndpointPort, base_flows, endpoint_flows
from openflow.policy import ENFORCED_IN, ENFORCED_OUT, STAGED_IN, STAGED_OUT, Rule, Traffic, compiled
from openflow.qos import meter_flows
from openflow.sampling import denied_flows
from openflow.segment import SegmentPort, segment_flows
from openflow.tables import NAMED_TABLES, drops
from tests.support import packets
from tests.support.packets import BROADCAST, NOBODY4, NOBODY6, Packet
from tests.support.switch import MemorySwitch

GATEWAY_MAC = "02:50:4c:44:52:01"
V4, V6 = IPv4Address("10.64.0.1"), IPv6Address("fd00::1")
WEB = EndpointPort("web", 1, "02:00:00:00:00:01", (V4, V6))
DB = EndpointPort("db", 2, "02:00:00:00:00:02", (IPv4Address("10.64.0.2"), IPv6Address("fd00::2")))
FAR = IPv4Address("192.0.2.1")

ANYCAST = IPv4Address("10.64.255.1")
SERVICE_FLOWS = service_flows(ServicePorts("www", ANYCAST, (WEB, DB), (DB,), (2, 2)), GATEWAY_MAC)

KINDS = (
    *(Traffic(number, ports=(80, 80)) for number in (6, 17, 132)),
    *(Traffic(number, icmp_type=8, icmp_code=0) for number in (1, 58)),
)
EITHER = (IPv4Network("10.64.0.0/24"), IPv6Network("fd00::/64"))
RULES = [
    Rule("some", Purpose.ALLOWED, EITHER, KINDS, reason="some may"),
    Rule("none", Purpose.POLICY_INGRESS, reason="others may not"),
]
JUDGES = [compiled(judge, RULES) for judge in (STAGED_OUT, ENFORCED_OUT, STAGED_IN, ENFORCED_IN)]
POLICY_FLOWS = [
    flow for table in JUDGES for flow in (*table.flows, *table.of(WEB.ofport, [True, True], "web"))
]
ALL_FLOWS = (
    *base_flows(GATEWAY_MAC),
    *endpoint_flows(WEB, GATEWAY_MAC),
    *SERVICE_FLOWS,
    *POLICY_FLOWS,
)

FROM_WEB = packets.frame(1, WEB.mac, GATEWAY_MAC, 0)
TO_ALL = packets.frame(1, WEB.mac, BROADCAST, 0)
TO_GROUP6 = packets.frame(1, WEB.mac, "33:33:00:00:00:01", 0)
FROM_KERNEL = packets.frame(LOCAL, GATEWAY_MAC, WEB.mac, 0)
ASK = {"op": 1, "sha": WEB.mac, "spa": V4, "tpa": GATEWAY_IPV4}
WHO_IS_GATEWAY = {"ipv6_nd_target": GATEWAY_IPV6, "ipv6_nd_sll": WEB.mac}
SOLICITED = IPv6Address("ff02::1:ff00:1")


@pytest.fixture
def switch() -> MemorySwitch:
    made = MemorySwitch()
    for flows in (base_flows(GATEWAY_MAC), endpoint_flows(WEB, GATEWAY_MAC), endpoint_flows(DB, GATEWAY_MAC)):
        made.put(flows)
    return made


PASSES = {
    "to a neighbour on this node": (packets.ip(FROM_WEB, V4, DB.addresses[0]), DB.ofport),
    "to a neighbour on this node, IPv6": (packets.ip(FROM_WEB, V6, DB.addresses[1]), DB.ofport),
    "to the world": (packets.ip(FROM_WEB, V4, FAR), LOCAL),
    "to the gateway": (packets.ip(FROM_WEB, V4, GATEWAY_IPV4), LOCAL),
    "ARP request for the gateway": (packets.arp(TO_ALL, **ASK), LOCAL),
    "ARP probe for the gateway": (packets.arp(TO_ALL, **{**ASK, "spa": NOBODY4}), LOCAL),
    "solicitation for the gateway": (packets.nd(TO_GROUP6, 135, V6, SOLICITED, **WHO_IS_GATEWAY), LOCAL),
    "last hop to a neighbour: the kernel answers": (packets.ip(FROM_WEB, V4, DB.addresses[0], ttl=1), LOCAL),
    "from the world": (packets.ip(FROM_KERNEL, FAR, V4), WEB.ofport),
    "the gateway's ARP reply": (
        packets.arp(FROM_KERNEL, op=2, sha=GATEWAY_MAC, spa=GATEWAY_IPV4, tpa=V4),
        WEB.ofport,
    ),
    "the gateway's advertisement to a link-local address": (
        packets.nd(FROM_KERNEL, 136, GATEWAY_IPV6, IPv6Address("fe80::7"), ipv6_nd_target=GATEWAY_IPV6),
        WEB.ofport,
    ),
}

DROPS = {
    "another's IPv4 address": (packets.ip(FROM_WEB, DB.addresses[0], FAR), Purpose.SPOOFED),
    "another's IPv6 address": (packets.ip(FROM_WEB, DB.addresses[1], V6), Purpose.SPOOFED),
    "another's MAC": (packets.ip({**FROM_WEB, "eth_src": DB.mac}, V4, FAR), Purpose.SPOOFED),
    "the gateway's MAC": (packets.ip({**FROM_WEB, "eth_src": GATEWAY_MAC}, V4, FAR), Purpose.SPOOFED),
    "ARP for another": (packets.arp(TO_ALL, **{**ASK, "tpa": DB.addresses[0]}), Purpose.SPOOFED),
    "ARP as the gateway": (packets.arp(TO_ALL, **{**ASK, "op": 2, "spa": GATEWAY_IPV4}), Purpose.SPOOFED),
    "ARP with another's MAC inside": (packets.arp(TO_ALL, **{**ASK, "sha": DB.mac}), Purpose.SPOOFED),
    "router advertisement": (packets.nd(TO_GROUP6, 134, V6, SOLICITED), Purpose.ROGUE_ROUTER),
    "redirect": (packets.nd(FROM_WEB, 137, V6, DB.addresses[1]), Purpose.ROGUE_ROUTER),
    "IPv6 from link-local that is no neighbour discovery": (
        packets.ip(FROM_WEB, IPv6Address("fe80::7"), DB.addresses[1]),
        Purpose.SPOOFED,
    ),
    "DHCP request": (packets.ip(TO_ALL, NOBODY4, IPv4Address("255.255.255.255")), Purpose.MULTICAST),
    "DHCP offer to all": (
        {**packets.ip(TO_ALL, V4, IPv4Address("255.255.255.255")), "udp_src": 67},
        Purpose.ROGUE_DHCP,
    ),
    "DHCP offer to another": (
        {**packets.ip(FROM_WEB, V4, DB.addresses[0]), "udp_src": 67},
        Purpose.ROGUE_DHCP,
    ),
    "DHCPv6 reply": ({**packets.ip(FROM_WEB, V6, DB.addresses[1]), "udp_src": 547}, Purpose.ROGUE_DHCP),
    "mDNS": (packets.ip(FROM_WEB, V4, IPv4Address("224.0.0.251")), Purpose.MULTICAST),
    "router solicitation": (
        packets.nd(TO_GROUP6, 133, IPv6Address("fe80::7"), IPv6Address("ff02::2")),
        Purpose.MULTICAST,
    ),
    "duplicate address detection": (
        packets.nd(TO_GROUP6, 135, NOBODY6, SOLICITED, ipv6_nd_target=V6),
        Purpose.MULTICAST,
    ),
    "VLAN tag": ({**packets.ip(FROM_WEB, V4, FAR), "vlan_vid": 0x1064}, Purpose.TAGGED),
    "to itself": (packets.ip(FROM_WEB, V4, V4), Purpose.HAIRPIN),
    "past the gateway": (
        packets.ip({**FROM_WEB, "eth_dst": DB.mac}, V4, DB.addresses[0]),
        Purpose.NO_ROUTE,
    ),
    "a port of nobody": (packets.ip({**FROM_WEB, "in_port": 9}, V4, FAR), Purpose.UNKNOWN_PORT),
    "from the kernel to nobody": (
        packets.ip(FROM_KERNEL, FAR, IPv4Address("10.64.0.9")),
        Purpose.NO_ENDPOINT,
    ),
    "from the kernel to all": (packets.ip({**FROM_KERNEL, "eth_dst": BROADCAST}, FAR, V4), Purpose.MULTICAST),
}


@pytest.mark.parametrize("name", PASSES)
def test_passes(switch: MemorySwitch, name: str) -> None:
    packet, port = PASSES[name]
    assert [out for out, _ in switch.receive(packet)] == [port]


@pytest.mark.parametrize("name", DROPS)
def test_dropped_and_counted(switch: MemorySwitch, name: str) -> None:
    packet, purpose = DROPS[name]
    assert switch.receive(packet) == []
    assert {each for each in switch.counted if each.drops} == {purpose}
    if purpose is not Purpose.MULTICAST:
        assert len(switch.told) == 1, "and some of it is sampled"
        refused = Counts(WEB.ofport, Way.REFUSED)
        hits = sum(hits for flow, hits in switch.hits.items() if counts(flow) == refused)
        assert hits == (packet["in_port"] == WEB.ofport), "and counted for who sent it"
    else:
        assert switch.told == []


def test_between_two_endpoints_the_node_is_a_router(switch: MemorySwitch) -> None:
    packet: Packet = packets.ip(FROM_WEB, V4, DB.addresses[0], ttl=64)
    ((_, got),) = switch.receive(packet)
    assert got == {**packet, "eth_src": GATEWAY_MAC, "eth_dst": DB.mac, "nw_ttl": 63}


def test_an_endpoint_without_ipv6_gets_no_flow_of_it() -> None:
    only4 = EndpointPort("old", 3, "02:00:00:00:00:03", (IPv4Address("10.64.0.3"),))
    flows = endpoint_flows(only4, GATEWAY_MAC)
    assert not [flow for flow in flows if dict(flow.match).get("eth_type") == 0x86DD]
    assert len(flows) == 13


def test_flows_match_only_fields_that_their_table_declares() -> None:
    declared = {table.table_id: table.fields for table in NAMED_TABLES}
    for flow in ALL_FLOWS:
        assert {name for name, _ in flow.match} <= declared[flow.table_id], flow


def test_every_table_declares_only_fields_that_its_flows_match() -> None:
    on_segment = segment_flows(DB, SegmentPort(120, 9))
    limited = (*endpoint_flows(document.LIMITED, GATEWAY_MAC), *meter_flows(document.LIMITED.qos.meters))
    limited += tuple(denied_flows(DB.ofport, DB.endpoint, tracked=True))
    for table in NAMED_TABLES:
        flows = (flow for flow in (*ALL_FLOWS, *limited, *on_segment) if flow.table_id == table.table_id)
        used = {name for flow in flows for name, _ in flow.match}
        assert table.fields == used, table.name


def test_no_two_flows_have_the_same_key() -> None:
    flows = (*ALL_FLOWS, *endpoint_flows(DB, GATEWAY_MAC))
    assert len({flow.key for flow in flows}) == len(flows)


def test_every_flow_that_drops_says_why_and_no_other_claims_to() -> None:
    for flow in ALL_FLOWS:
        assert Purpose(flow.cookie >> 16 & 0xFFFF).drops == drops(flow.actions), flow
        assert flow.reason


@pytest.fixture
def serving(switch: MemorySwitch) -> MemorySwitch:
    """Web and db hold a service's address; db takes its packets."""
    switch.put(SERVICE_FLOWS)
    return switch


def test_a_services_packet_goes_to_a_taker_and_is_its_own(serving: MemorySwitch) -> None:
    from_kernel = packets.ip(packets.frame(LOCAL, GATEWAY_MAC, SERVICE_MAC, 0), FAR, ANYCAST)
    ((port, got),) = serving.receive(from_kernel)
    assert (port, got["eth_dst"], got["ipv4_dst"]) == (DB.ofport, DB.mac, ANYCAST)
    assert got["nw_ttl"] == from_kernel["nw_ttl"], "the kernel has counted it"
    from_far = packets.ip(packets.frame(3, "02:00:00:00:00:03", GATEWAY_MAC, 0), FAR, ANYCAST, ttl=9)
    far = EndpointPort("far", 3, "02:00:00:00:00:03", (FAR,))
    serving.put(endpoint_flows(far, GATEWAY_MAC))
    ((port, got),) = serving.receive(from_far)
    assert (port, got["eth_src"], got["nw_ttl"]) == (DB.ofport, GATEWAY_MAC, 8)
    assert serving.counted[Purpose.SERVICE] == 4
    assert serving.counted[Purpose.SEND] == 2


def test_a_service_takes_only_packets_to_its_address(serving: MemorySwitch) -> None:
    other = packets.ip(packets.frame(LOCAL, GATEWAY_MAC, SERVICE_MAC, 0), FAR, V4)
    assert serving.receive(other) == []
    assert serving.counted[Purpose.NO_ENDPOINT] == 1


def test_those_who_hold_the_address_may_send_from_it_and_nobody_else(serving: MemorySwitch) -> None:
    for port in (WEB, DB):
        sent = packets.ip(packets.frame(port.ofport, port.mac, GATEWAY_MAC, 0), ANYCAST, FAR)
        assert [out for out, _ in serving.receive(sent)] == [LOCAL]
    stranger = EndpointPort("far", 3, "02:00:00:00:00:03", (IPv4Address("10.64.0.3"),))
    serving.put(endpoint_flows(stranger, GATEWAY_MAC))
    assert serving.receive(packets.ip(packets.frame(3, stranger.mac, GATEWAY_MAC, 0), ANYCAST, FAR)) == []
    assert serving.counted[Purpose.SPOOFED] == 1


def test_who_holds_the_address_does_not_send_to_it(serving: MemorySwitch) -> None:
    assert serving.receive(packets.ip(FROM_WEB, V4, ANYCAST)) == []
    assert serving.counted[Purpose.HAIRPIN] == 1


def test_without_takers_nothing_is_given_to_anybody(switch: MemorySwitch) -> None:
    switch.put(service_flows(ServicePorts("www", ANYCAST, (WEB, DB), (), ()), GATEWAY_MAC))
    assert switch.receive(packets.ip(packets.frame(LOCAL, GATEWAY_MAC, SERVICE_MAC, 0), FAR, ANYCAST)) == []
    sent = packets.ip(packets.frame(2, DB.mac, GATEWAY_MAC, 0), ANYCAST, FAR)
    assert [out for out, _ in switch.receive(sent)] == [LOCAL], "what it has begun to answer still leaves"


def test_the_page_is_what_the_declaration_says() -> None:
    page = Path(__file__).parents[3] / "docs" / "pipeline.md"
    assert page.read_text() == document.markdown(), "run python -m openflow.document > docs/pipeline.md"
