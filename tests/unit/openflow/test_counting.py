"""The packets of an endpoint are counted once on each side, whatever their way."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address

from openflow.counting import Counts, Way, counts
from openflow.flow import LOCAL
from openflow.pipeline import GATEWAY_IPV4, EndpointPort, base_flows, endpoint_flows
from tests.support import packets
from tests.support.packets import BROADCAST
from tests.support.switch import MemorySwitch

GATEWAY_MAC = "02:50:4c:44:52:01"
WEB = EndpointPort("web", 1, "02:00:00:00:00:01", (IPv4Address("10.64.0.1"),))
DB = EndpointPort("db", 2, "02:00:00:00:00:02", (IPv4Address("10.64.0.2"),))
FROM_WEB = packets.frame(1, WEB.mac, GATEWAY_MAC, 0)


def counted() -> Counter[Counts]:
    switch = MemorySwitch()
    switch.put(
        [*base_flows(GATEWAY_MAC), *endpoint_flows(WEB, GATEWAY_MAC), *endpoint_flows(DB, GATEWAY_MAC)]
    )
    far, web, db = IPv4Address("192.0.2.1"), WEB.addresses[0], DB.addresses[0]
    to_all = packets.frame(1, WEB.mac, BROADCAST, 0)
    switch.receive(packets.ip(FROM_WEB, web, db))
    switch.receive(packets.ip(FROM_WEB, web, far))
    switch.receive(packets.arp(to_all, op=1, sha=WEB.mac, spa=IPv4Address("10.64.0.1"), tpa=GATEWAY_IPV4))
    switch.receive(packets.ip(packets.frame(LOCAL, GATEWAY_MAC, WEB.mac, 0), far, web))
    switch.receive(packets.ip(FROM_WEB, db, far))
    made: Counter[Counts] = Counter()
    for flow, hits in switch.hits.items():
        if (what := counts(flow)) is not None:
            made[what] += hits
    return made


def test_each_packet_is_counted_at_its_sender_and_at_its_receiver() -> None:
    assert counted() == {
        Counts(1, Way.SENT): 3,
        Counts(1, Way.RECEIVED): 1,
        Counts(1, Way.REFUSED): 1,
        Counts(2, Way.RECEIVED): 1,
        Counts(LOCAL, Way.SENT): 1,
        Counts(LOCAL, Way.RECEIVED): 2,
    }
