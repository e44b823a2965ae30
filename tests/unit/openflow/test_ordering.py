"""On the way from one state to another, no packet passes or is lost by mistake."""

from __future__ import annotations

from ipaddress import IPv4Address

from openflow.flow import Flow
from openflow.ordering import Put, order
from openflow.pipeline import EndpointPort, base_flows, endpoint_flows
from tests.support import packets
from tests.support.packets import Packet
from tests.support.switch import MemorySwitch

GATEWAY_MAC = "02:50:4c:44:52:01"
WEB = EndpointPort("web", 1, "02:00:00:00:00:01", (IPv4Address("10.64.0.1"),))
DB = EndpointPort("db", 2, "02:00:00:00:00:02", (IPv4Address("10.64.0.2"),))


def to_db(source: str) -> Packet:
    base = packets.frame(WEB.ofport, WEB.mac, GATEWAY_MAC, 0)
    return packets.ip(base, IPv4Address(source), DB.addresses[0])


def arrivals(start: list[Flow], puts: list[Flow], deletes: list[Flow], packet: Packet) -> list[list[int]]:
    """The ports that the packet comes out of: before the change and after each step of it."""
    switch = MemorySwitch()
    switch.put(start)
    seen = [[port for port, _ in switch.receive(packet)]]
    for change in order(puts, deletes):
        if isinstance(change, Put):
            switch.put([change.flow])
        else:
            switch.delete(change.flow)
        seen.append([port for port, _ in switch.receive(packet)])
    return seen


def test_a_new_endpoint_is_reachable_before_it_may_send() -> None:
    base, web = list(base_flows(GATEWAY_MAC)), list(endpoint_flows(WEB, GATEWAY_MAC))
    db = list(endpoint_flows(DB, GATEWAY_MAC))
    reply = packets.ip(packets.frame(DB.ofport, DB.mac, GATEWAY_MAC, 0), DB.addresses[0], WEB.addresses[0])
    assert arrivals(base + db, web, [], reply)[-1] == [WEB.ofport]
    for step, ports in enumerate(arrivals(base + db, web, [], to_db("10.64.0.1"))):
        assert ports in ([], [DB.ofport]), step


def test_from_an_empty_switch_nothing_spoofed_passes_at_any_step() -> None:
    everything = [
        *base_flows(GATEWAY_MAC),
        *endpoint_flows(WEB, GATEWAY_MAC),
        *endpoint_flows(DB, GATEWAY_MAC),
    ]
    for spoofed in (to_db("10.64.0.9"), to_db("10.64.0.1") | {"vlan_vid": 0x1001}):
        assert not any(arrivals([], everything[::-1], [], spoofed))
        assert not any(arrivals(everything, [], everything, spoofed))


def test_a_path_whose_flows_change_their_keys_is_there_throughout() -> None:
    kept = [*base_flows(GATEWAY_MAC), *endpoint_flows(DB, GATEWAY_MAC)]
    old = list(endpoint_flows(WEB, GATEWAY_MAC))
    new = [Flow(f.table_id, f.priority + 1, f.match, f.actions, f.cookie) for f in old]
    steps = arrivals(kept + old, new, old, to_db("10.64.0.1"))
    assert all(ports == [DB.ofport] for ports in steps)


def test_removal_stops_sending_first() -> None:
    base = list(base_flows(GATEWAY_MAC))
    web, db = list(endpoint_flows(WEB, GATEWAY_MAC)), list(endpoint_flows(DB, GATEWAY_MAC))
    first = order([], web)[0].flow
    assert first.table_id == 0
    assert first.actions
    assert arrivals(base + web + db, [], web, to_db("10.64.0.1"))[-1] == []


def test_a_key_that_is_put_is_not_deleted() -> None:
    old, new = Flow(0, 1, cookie=1), Flow(0, 1, cookie=2)
    assert order([new], [old]) == (Put(new),)
