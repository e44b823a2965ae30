"""Which meters a packet goes through, what is written into it, and where it ends."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from openflow.cookie import Purpose
from openflow.flow import LOCAL
from openflow.meter import Meter, Unit
from openflow.pipeline import EndpointPort, base_flows, endpoint_flows
from openflow.qos import PortQos, meter_flows
from openflow.tables import METER
from tests.support import packets
from tests.support.packets import Packet
from tests.support.switch import MemorySwitch

GATEWAY_MAC = "02:50:4c:44:52:01"
V4, V6 = IPv4Address("10.64.0.1"), IPv6Address("fd00::1")
WEB = EndpointPort("web", 1, "02:00:00:00:00:01", (V4, V6))
DB = EndpointPort("db", 2, "02:00:00:00:00:02", (IPv4Address("10.64.0.2"), IPv6Address("fd00::2")))
FAR = IPv4Address("192.0.2.1")
SENT, PACKETS, OPENED, RECEIVED, ACCEPTED = (Meter(each, Unit.KBPS, 1000, 1000) for each in range(11, 16))

BOTH_WAYS = PortQos(sent=(SENT, PACKETS), received=(RECEIVED,))
CONNECTIONS = PortQos(opened=OPENED, accepted=ACCEPTED)


def switch(qos: PortQos, *, judged: bool = False) -> MemorySwitch:
    made = MemorySwitch()
    made.put(base_flows(GATEWAY_MAC))
    for port in (replace(WEB, qos=qos, judged=judged), DB):
        made.put(endpoint_flows(port, GATEWAY_MAC))
        made.put(meter_flows(port.qos.meters))
    return made


def tcp(packet: Packet, source: int, target: int) -> Packet:
    return {**packet, "ip_proto": 6, "tcp_src": source, "tcp_dst": target}


def to_far(port: int) -> Packet:
    return tcp(packets.ip(packets.frame(1, WEB.mac, GATEWAY_MAC, 0), V4, FAR), port, 80)


def from_far(port: int, source: int = 80) -> Packet:
    return tcp(packets.ip(packets.frame(LOCAL, GATEWAY_MAC, WEB.mac, 0), FAR, V4), source, port)


TO_DB = packets.ip(packets.frame(1, WEB.mac, GATEWAY_MAC, 0), V6, DB.addresses[1])
FROM_DB = packets.ip(packets.frame(2, DB.mac, GATEWAY_MAC, 0), DB.addresses[1], V6)


@pytest.mark.parametrize(
    ("packet", "meters"),
    [
        (to_far(1), {SENT, PACKETS}),
        (TO_DB, {SENT, PACKETS}),
        (from_far(1), {RECEIVED}),
        (FROM_DB, {RECEIVED}),
    ],
)
def test_a_packet_goes_through_each_meter_of_its_way_once(packet: Packet, meters: set[Meter]) -> None:
    device = switch(BOTH_WAYS)
    assert len(device.receive(packet)) == 1
    assert device.measured == {meter.meter_id: 1 for meter in meters}


@pytest.mark.parametrize("meter", [SENT, PACKETS])
def test_a_meter_that_is_over_the_limit_ends_the_packet(meter: Meter) -> None:
    device = switch(BOTH_WAYS)
    device.exhausted = {meter.meter_id}
    assert device.receive(to_far(1)) == []
    assert len(device.receive(from_far(1))) == 1, "the other way has other meters"


def test_a_meter_that_the_switch_has_not_limits_nothing() -> None:
    device = switch(BOTH_WAYS)
    device.tables[METER.table_id].clear()
    assert [port for port, _ in device.receive(to_far(1))] == [LOCAL]


def test_only_the_opening_packets_of_connections_are_measured() -> None:
    device = switch(CONNECTIONS)
    for packet in (to_far(1), from_far(1), to_far(1)):
        assert len(device.receive(packet)) == 1
    assert device.measured == {OPENED.meter_id: 1}
    for packet in (from_far(22, 5), replace_ends(from_far(22, 5)), from_far(22, 5)):
        assert len(device.receive(packet)) == 1
    assert device.measured == {OPENED.meter_id: 1, ACCEPTED.meter_id: 1}


def replace_ends(packet: Packet) -> Packet:
    """The answer to a packet that came from the kernel."""
    back = packets.ip(packets.frame(1, WEB.mac, GATEWAY_MAC, 0), V4, FAR)
    return {**back, "ip_proto": 6, "tcp_src": packet["tcp_dst"], "tcp_dst": packet["tcp_src"]}


def test_a_connection_over_the_limit_is_not_remembered() -> None:
    device = switch(CONNECTIONS)
    device.exhausted = {OPENED.meter_id}
    assert device.receive(to_far(1)) == []
    device.exhausted = set()
    assert len(device.receive(to_far(1))) == 1
    assert device.measured[OPENED.meter_id] == 2, "it was new the second time too"


def test_an_open_connection_goes_on_where_no_new_one_may_come() -> None:
    device = switch(CONNECTIONS)
    device.receive(to_far(1))
    device.exhausted = {OPENED.meter_id}
    assert len(device.receive(to_far(1))) == 1
    assert device.receive(to_far(2)) == []


def test_rules_judge_a_new_connection_that_the_meter_lets_through() -> None:
    device = switch(CONNECTIONS, judged=True)
    assert device.receive(to_far(1)) == [], "no rule allows it"
    assert (device.measured[OPENED.meter_id], device.counted[Purpose.POLICY_EGRESS]) == (1, 1)


@pytest.mark.parametrize("packet", [to_far(1), TO_DB])
def test_the_dscp_is_written_into_what_it_sends(packet: Packet) -> None:
    ((_, out),) = switch(PortQos(dscp=46)).receive({**packet, "ip_dscp": 8})
    assert out["ip_dscp"] == 46
    ((_, kept),) = switch(PortQos()).receive({**packet, "ip_dscp": 8})
    assert kept["ip_dscp"] == 8


def test_neighbour_messages_are_never_limited() -> None:
    device = switch(BOTH_WAYS)
    ask = packets.arp(
        packets.frame(1, WEB.mac, packets.BROADCAST, 0),
        op=1,
        sha=WEB.mac,
        spa=V4,
        tpa=IPv4Address("169.254.1.1"),
    )
    assert [port for port, _ in device.receive(ask)] == [LOCAL]
    assert not device.measured
