"""On the way from one state to another, no packet passes or is lost by mistake."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from openflow.flow import Action, Flow, GotoTable
from openflow.ordering import Delete, Put, order
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


DROP: tuple[Action, ...] = ()
PASS = (GotoTable(9),)
UP = [
    *[Flow(2, priority, actions=actions) for actions in (DROP, PASS) for priority in (0xFFFF, 7, 0)],
    *[Flow(0, priority, actions=actions) for actions in (DROP, PASS) for priority in (0xFFFF, 7, 0)],
]
"""From the last table to the first, drops before all else, and each from the highest priority."""


@given(st.permutations(UP), st.permutations(UP))
def test_up_goes_against_the_packet_drops_first_and_down_the_other_way(
    puts: list[Flow], deletes: list[Flow]
) -> None:
    assert order(puts, []) == tuple(map(Put, UP))
    assert order([], deletes) == tuple(map(Delete, reversed(UP)))


REPLY = packets.ip(packets.frame(DB.ofport, DB.mac, GATEWAY_MAC, 0), DB.addresses[0], WEB.addresses[0])


@given(st.data())
def test_whoever_may_send_is_reachable_at_any_step(data: st.DataObject) -> None:
    there = [*base_flows(GATEWAY_MAC), *endpoint_flows(DB, GATEWAY_MAC)]
    web = data.draw(st.permutations(list(endpoint_flows(WEB, GATEWAY_MAC))))
    for start, puts, deletes in ((there, web, []), (there + web, [], web)):
        sends = [DB.ofport in ports for ports in arrivals(start, puts, deletes, to_db("10.64.0.1"))]
        reached = [WEB.ofport in ports for ports in arrivals(start, puts, deletes, REPLY)]
        assert (sends[0], sends[-1], reached[0], reached[-1]) == (*(bool(deletes), bool(puts)) * 2,)
        for step, (may_send, is_reached) in enumerate(zip(sends, reached, strict=True)):
            assert is_reached or not may_send, step


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


def test_a_key_that_is_put_is_not_deleted() -> None:
    old, new = Flow(0, 1, cookie=1), Flow(0, 1, cookie=2)
    assert order([new], [old]) == (Put(new),)
