"""Questions to a real Open vSwitch by its management socket: flows and ports with their counters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from openflow.cookie import Purpose
from openflow.decoding import Decoder
from openflow.errors import Disconnected
from openflow.flow import Conjunction, GotoTable
from openflow.management import Management, socket_path
from openflow.tables import CLASSIFY, IPV4
from tests.support.ovs import OpenVSwitch, open_vswitch, until

pytestmark = pytest.mark.needs("root", "ip", "ovs-vswitchd")

BRIDGE = "polder0"
FOREIGN = "table=0,priority=7,cookie=0x1,arp,actions=drop"
FLOW = CLASSIFY.flow(100, Purpose.ACCEPT, (GotoTable(5),), "why", {**IPV4, "in_port": 1})
DROP = CLASSIFY.flow(0, Purpose.UNKNOWN_PORT, (), "nothing else matched", {})
CLAUSE = CLASSIFY.flow(5, Purpose.CLAUSE, (Conjunction(9, 1, 2),), "a member of a clause", {"in_port": 3})


@pytest.fixture(scope="module")
def ovs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenVSwitch]:
    """A bridge with a port, three flows of ours and a foreign one."""
    directory = tmp_path_factory.mktemp("ovs")
    with open_vswitch(f"mgmt{os.getpid()}", directory) as switch:
        settings = ("fail_mode=secure", "protocols=OpenFlow13,OpenFlow14", "datapath_type=netdev")
        switch.vsctl("add-br", BRIDGE, "--", "set", "bridge", BRIDGE, *settings)
        switch.run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there")
        for name in ("here", "there"):
            switch.run("ip", "link", "set", name, "up")
        switch.vsctl("add-port", BRIDGE, "here")
        ours = f"table=0,priority=100,cookie={FLOW.cookie:#x},in_port=1,ip,actions=goto_table:5"
        miss = f"table=0,priority=0,cookie={DROP.cookie:#x},actions=drop"
        clause = f"table=0,priority=5,cookie={CLAUSE.cookie:#x},in_port=3,actions=conjunction(9,1/2)"
        for flow in (ours, miss, clause, FOREIGN):
            switch.ofctl("add-flow", BRIDGE, flow)
        yield switch


def management(ovs: OpenVSwitch) -> Management:
    return Management(socket_path(Path(ovs.directory), BRIDGE))


def test_our_flows_are_told_and_no_others(ovs: OpenVSwitch) -> None:
    told = {counted.flow.key: counted.flow for counted in management(ovs).flows()}
    assert told == {FLOW.key: FLOW, DROP.key: DROP, CLAUSE.key: CLAUSE}


def test_the_switch_leaves_out_what_counts_nothing(ovs: OpenVSwitch) -> None:
    assert {counted.flow.key for counted in management(ovs).counters()} == {FLOW.key, DROP.key}


def test_flows_that_drop_are_picked_out_by_the_switch(ovs: OpenVSwitch) -> None:
    decoder = Decoder()
    (first,), (again,) = management(ovs).drops(decoder), management(ovs).drops(decoder)
    assert first.flow.key == DROP.key
    assert again.flow is first.flow, "what has not changed is not made anew"


def test_packets_are_counted_by_flow_and_by_port(ovs: OpenVSwitch) -> None:
    before = management(ovs).ports()[1]
    ovs.run("ip", "address", "add", "10.9.9.1/24", "dev", "there")
    ovs.run("ip", "neighbour", "add", "10.9.9.2", "lladdr", "02:00:00:00:00:09", "dev", "there")
    ovs.run("sh", "-c", "ping -c 3 -i 0.01 -W 0.1 10.9.9.2 || true")

    def counted() -> int:
        return next(one.packets for one in management(ovs).counters() if one.flow.key == FLOW.key)

    assert until(lambda: counted() >= 3, "the flow to count")
    after = management(ovs).ports()[1]
    assert after.received_packets >= before.received_packets + 3
    assert after.received_bytes > before.received_bytes


def test_a_switch_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(Disconnected, match="cannot be asked"):
        Management(socket_path(tmp_path, BRIDGE)).counters()
