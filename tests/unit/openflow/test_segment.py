"""Endpoints on a segment: what goes by the uplink, what comes from it, and what does neither."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest

from openflow import policy
from openflow.cookie import Purpose
from openflow.flow import LOCAL
from openflow.pipeline import EndpointPort, base_flows, endpoint_flows
from openflow.segment import SegmentPort, link_local, segment_flows
from openflow.tables import NAMED_TABLES
from tests.support import packets
from tests.support.packets import BROADCAST, NOBODY4, NOBODY6, Packet
from tests.support.switch import MemorySwitch

GATEWAY_MAC, ROUTER_MAC = "02:50:4c:44:52:01", "00:1c:73:00:00:99"
V4, V6 = IPv4Address("10.7.0.5"), IPv6Address("fd07::5")
WEB = EndpointPort("web", 1, "02:00:00:00:00:01", (V4, V6))
DB = EndpointPort("db", 2, "02:00:00:00:00:02", (IPv4Address("10.7.0.6"), IPv6Address("fd07::6")))
OTHER = EndpointPort("other", 3, "02:00:00:00:00:03", (IPv4Address("10.8.0.5"),))
ROUTED = EndpointPort("routed", 4, "02:00:00:00:00:04", (IPv4Address("10.64.0.1"),))
UPLINK, VLAN, OTHER_VLAN = 9, 120, 121
ROUTER4, ROUTER6 = IPv4Address("10.7.0.1"), IPv6Address("fd07::1")
FAR = IPv4Address("192.0.2.1")
GROUP6 = "33:33:ff:00:00:05"
SOLICITED = IPv6Address("ff02::1:ff00:5")

FROM_WEB = packets.frame(WEB.ofport, WEB.mac, ROUTER_MAC, 0)
TO_ALL = packets.frame(WEB.ofport, WEB.mac, BROADCAST, 0)
TO_GROUP6 = packets.frame(WEB.ofport, WEB.mac, GROUP6, 0)
ASK = {"op": 1, "sha": WEB.mac, "spa": V4, "tpa": ROUTER4}


def tagged(destination: str, vlan: int = VLAN, source: str = ROUTER_MAC) -> Packet:
    return {**packets.frame(UPLINK, source, destination, 0), "vlan_vid": 0x1000 | vlan}


ASKED = {"op": 1, "sha": ROUTER_MAC, "spa": ROUTER4}


@pytest.fixture
def switch() -> MemorySwitch:
    made = MemorySwitch()
    made.put(base_flows(GATEWAY_MAC))
    made.put(endpoint_flows(ROUTED, GATEWAY_MAC))
    for port, vlan in ((WEB, VLAN), (DB, VLAN), (OTHER, OTHER_VLAN)):
        made.put(segment_flows(port, SegmentPort(vlan, UPLINK)))
    return made


LEAVES = {
    "to the world by the router's MAC": packets.ip(FROM_WEB, V4, FAR),
    "to the world, IPv6": packets.ip(FROM_WEB, V6, ROUTER6),
    "ARP request for the router": packets.arp(TO_ALL, **ASK),
    "gratuitous ARP": packets.arp(TO_ALL, **{**ASK, "tpa": V4}),
    "ARP probe": packets.arp(TO_ALL, **{**ASK, "spa": NOBODY4, "tpa": V4}),
    "ARP reply to the router": packets.arp(FROM_WEB, **{**ASK, "op": 2}),
    "solicitation for the router": packets.nd(
        TO_GROUP6, 135, V6, SOLICITED, ipv6_nd_target=ROUTER6, ipv6_nd_sll=WEB.mac
    ),
    "duplicate address detection": packets.nd(
        TO_GROUP6, 135, NOBODY6, SOLICITED, ipv6_nd_target=V6, ipv6_nd_sll="00:00:00:00:00:00"
    ),
    "advertisement to the router": packets.nd(
        FROM_WEB, 136, V6, ROUTER6, ipv6_nd_target=V6, ipv6_nd_tll=WEB.mac
    ),
    "advertisement of the link-local address": packets.nd(
        FROM_WEB, 136, link_local(WEB.mac), ROUTER6, ipv6_nd_target=link_local(WEB.mac), ipv6_nd_tll=WEB.mac
    ),
}

ARRIVES = {
    "from the world": packets.ip(tagged(WEB.mac), FAR, V4),
    "ARP request": packets.arp(tagged(BROADCAST), **ASKED, tpa=V4),
    "ARP reply": packets.arp(tagged(WEB.mac), op=2, sha=ROUTER_MAC, spa=ROUTER4, tpa=V4),
    "solicitation": packets.nd(tagged(GROUP6), 135, ROUTER6, SOLICITED, ipv6_nd_target=V6),
    "from a neighbour here": packets.ip(
        {**FROM_WEB, "in_port": 2, "eth_src": DB.mac, "eth_dst": WEB.mac}, DB.addresses[0], V4
    ),
    "ARP request of a neighbour here": packets.arp(
        {**TO_ALL, "in_port": 2, "eth_src": DB.mac}, op=1, sha=DB.mac, spa=DB.addresses[0], tpa=V4
    ),
}

DROPS = {
    "another's address": (packets.ip(FROM_WEB, DB.addresses[0], FAR), Purpose.SPOOFED),
    "another's MAC": (packets.ip({**FROM_WEB, "eth_src": ROUTER_MAC}, V4, FAR), Purpose.SPOOFED),
    "ARP as the router": (packets.arp(TO_ALL, **{**ASK, "op": 2, "spa": ROUTER4}), Purpose.SPOOFED),
    "advertisement as the router": (
        packets.nd(FROM_WEB, 136, V6, V6, ipv6_nd_target=ROUTER6, ipv6_nd_tll=WEB.mac),
        Purpose.SPOOFED,
    ),
    "advertisement of another link-local address": (
        packets.nd(FROM_WEB, 136, V6, V6, ipv6_nd_target=IPv6Address("fe80::99"), ipv6_nd_tll=WEB.mac),
        Purpose.SPOOFED,
    ),
    "router advertisement": (packets.nd(TO_GROUP6, 134, V6, SOLICITED), Purpose.ROGUE_ROUTER),
    "broadcast": (packets.ip(TO_ALL, V4, IPv4Address("10.7.0.255")), Purpose.MULTICAST),
    "a tag of its own": (packets.ip({**FROM_WEB, "vlan_vid": 0x1078}, V4, FAR), Purpose.TAGGED),
    "to itself": (packets.ip({**FROM_WEB, "eth_dst": WEB.mac}, V4, V4), Purpose.HAIRPIN),
    "from the uplink for somebody else": (packets.ip(tagged(ROUTER_MAC), FAR, FAR), Purpose.NO_ENDPOINT),
    "for its MAC and another address": (packets.ip(tagged(WEB.mac), FAR, FAR), Purpose.NO_ENDPOINT),
    "ARP for somebody else": (packets.arp(tagged(BROADCAST), **ASKED, tpa=FAR), Purpose.MULTICAST),
    "the router's advertisement": (
        packets.nd(tagged("33:33:00:00:00:01"), 134, ROUTER6, IPv6Address("ff02::1")),
        Purpose.MULTICAST,
    ),
    "another VLAN's packet": (packets.ip(tagged(WEB.mac, OTHER_VLAN), FAR, V4), Purpose.NO_ENDPOINT),
    "a VLAN of nobody": (packets.ip(tagged(WEB.mac, 7), FAR, V4), Purpose.TAGGED),
    "without a tag": (packets.ip({**tagged(WEB.mac), "vlan_vid": 0}, FAR, V4), Purpose.UNKNOWN_PORT),
}  # fmt: skip


@pytest.mark.parametrize("packet", LEAVES.values(), ids=LEAVES)
def test_what_is_not_here_goes_by_the_uplink_tagged(switch: MemorySwitch, packet: Packet) -> None:
    ((port, sent),) = switch.receive(packet)
    assert (port, sent["vlan_vid"]) == (UPLINK, 0x1000 | VLAN)
    assert {**sent, "vlan_vid": 0} == packet, "with its own MAC, and nothing else changed"


@pytest.mark.parametrize("packet", ARRIVES.values(), ids=ARRIVES)
def test_what_is_for_an_endpoint_reaches_it_alone(switch: MemorySwitch, packet: Packet) -> None:
    ((port, got),) = switch.receive(packet)
    assert (port, got) == (WEB.ofport, {**packet, "vlan_vid": 0})


@pytest.mark.parametrize(("packet", "purpose"), DROPS.values(), ids=DROPS)
def test_what_neither_is_dropped_and_counted(switch: MemorySwitch, packet: Packet, purpose: Purpose) -> None:
    assert switch.receive(packet) == []
    assert switch.counted[purpose] == 1, dict(switch.counted)


def test_segments_and_the_nodes_kernel_have_nothing_to_do_with_one_another(switch: MemorySwitch) -> None:
    to_gateway = {**FROM_WEB, "eth_dst": GATEWAY_MAC}
    for target in (ROUTED.addresses[0], OTHER.addresses[0]):
        assert [port for port, _ in switch.receive(packets.ip(to_gateway, V4, target))] == [UPLINK]
    from_routed = packets.frame(ROUTED.ofport, ROUTED.mac, GATEWAY_MAC, 0)
    sent = switch.receive(packets.ip(from_routed, ROUTED.addresses[0], V4))
    assert [port for port, _ in sent] == [LOCAL], "the kernel and its routers know the way"
    from_kernel = packets.frame(LOCAL, GATEWAY_MAC, WEB.mac, 0)
    assert switch.receive(packets.ip(from_kernel, FAR, V4)) == []


def test_only_declared_fields_are_matched_and_no_flow_comes_twice() -> None:
    flows = segment_flows(WEB, SegmentPort(VLAN, UPLINK))
    declared = {table.table_id: table.fields for table in NAMED_TABLES}
    assert len({flow.key for flow in flows}) == len(flows)
    for flow in flows:
        assert {name for name, _ in flow.match} <= declared[flow.table_id], flow


def test_a_link_local_address_is_made_from_the_mac() -> None:
    assert link_local("52:54:00:12:34:56") == IPv6Address("fe80::5054:ff:fe12:3456")


def test_rules_decide_on_a_segment_as_elsewhere() -> None:
    web, switch = replace(WEB, judged=True), MemorySwitch()
    switch.put(base_flows(GATEWAY_MAC))
    switch.put(segment_flows(web, SegmentPort(VLAN, UPLINK)))
    near = IPv4Network("10.7.0.0/24")
    for stage, deny in (
        (policy.ENFORCED_OUT, Purpose.POLICY_EGRESS),
        (policy.ENFORCED_IN, Purpose.POLICY_INGRESS),
    ):
        rules = (policy.Rule("near", Purpose.ALLOWED, (near,)), policy.Rule("others", deny))
        made = policy.compiled(stage, rules)
        switch.put((*made.flows, *made.of(web.ofport, [True, True], web.endpoint)))
    ports: Packet = {"udp_src": 5000, "udp_dst": 53}

    def leaves(packet: Packet) -> list[int]:
        return [port for port, _ in switch.receive({**packet, **ports})]

    assert leaves(packets.ip(FROM_WEB, V4, ROUTER4)) == [UPLINK]
    assert leaves(packets.ip(FROM_WEB, V4, FAR)) == []
    assert leaves(packets.ip(tagged(WEB.mac), DB.addresses[0], V4)) == [WEB.ofport]
    assert leaves(packets.ip(tagged(WEB.mac), FAR, V4)) == []
    assert (switch.counted[Purpose.POLICY_EGRESS], switch.counted[Purpose.POLICY_INGRESS]) == (1, 1)
