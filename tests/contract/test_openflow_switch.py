"""The OpenFlow connection with a real Open vSwitch: what was applied is there, foreign flows stay."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from openflow.bridge import Bridge
from openflow.errors import Disconnected, Refused
from openflow.flow import Flow, FlowKey, Output, Unknown
from openflow.pipeline import EndpointPort, base_flows, endpoint_flows
from openflow.switch import Switch
from tests.support.ovs import OpenVSwitch, open_vswitch, until

pytestmark = pytest.mark.needs("root", "ip", "ovs-vswitchd", "ovsdb-server", "ovs-vsctl", "ovs-ofctl")

NETNS = "openflow-switch"
MAC = "02:50:4c:44:52:01"
DPID = 0x02504C445201
CONNECT_S = 10.0

WEB = EndpointPort("web", 1, "02:00:00:00:00:01", (IPv4Address("10.64.0.1"), IPv6Address("fd00::1")))
FLOWS = [*base_flows(MAC), *endpoint_flows(WEB, MAC)]


@pytest.fixture(scope="module")
def ovs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenVSwitch]:
    with open_vswitch(NETNS, tmp_path_factory.mktemp("ovs")) as started:
        yield started


@pytest.fixture(scope="module")
def bridge(ovs: OpenVSwitch) -> Iterator[Bridge]:
    made = Bridge(ovs.remote)
    made.start()
    made.ensure(mac=MAC, datapath_type="netdev")
    yield made
    made.close()


@pytest.fixture
def switch(ovs: OpenVSwitch, bridge: Bridge) -> Iterator[Switch]:
    """A connected switch without flows."""
    made = connect(ovs)
    ovs.ofctl("del-flows", "polder0")
    yield made
    made.stop()


def socket_of(ovs: OpenVSwitch) -> Path:
    return ovs.directory / "polder0.mgmt"


def connect(ovs: OpenVSwitch, on_connect: Callable[[], object] = lambda: None) -> Switch:
    """Start a connection and wait until it is there."""
    switch = Switch(socket_of(ovs), dpid=DPID, on_connect=on_connect)
    switch.start()
    assert switch.wait_connected(CONNECT_S)
    return switch


def as_set(flows: list[Flow]) -> set[Flow]:
    assert len({flow.key for flow in flows}) == len(flows)
    return set(flows)


def test_a_dump_returns_what_was_applied(switch: Switch) -> None:
    switch.apply(FLOWS, [])
    assert as_set(switch.dump()) == set(FLOWS)


def test_apply_twice_equals_once(switch: Switch) -> None:
    switch.apply(FLOWS, [])
    switch.apply(FLOWS, [])
    assert as_set(switch.dump()) == set(FLOWS)


def test_a_delete_takes_what_it_names_and_nothing_more(switch: Switch) -> None:
    switch.apply(FLOWS, [])
    switch.apply([], FLOWS[:5])
    switch.apply([], FLOWS[:5])
    assert as_set(switch.dump()) == set(FLOWS[5:])


def test_a_put_replaces_the_flow_of_equal_key(switch: Switch) -> None:
    old = FLOWS[-1]
    new = Flow(old.table_id, old.priority, old.match, (Output(9),), old.cookie)
    switch.apply([old], [])
    switch.apply([new], [old])
    assert switch.dump() == [new]


def test_foreign_flows_are_neither_shown_nor_touched(switch: Switch, ovs: OpenVSwitch) -> None:
    # the second has the key of one of ours
    ovs.ofctl("add-flow", "polder0", "cookie=0x1,table=0,priority=7,in_port=9,actions=drop")
    foreign = FLOWS[0]
    switch.apply([foreign], [])
    ovs.ofctl("add-flow", "polder0", "cookie=0x2,table=0,priority=500,vlan_tci=0x1000/0x1000,actions=drop")
    switch.apply(FLOWS[1:], [foreign])
    assert as_set(switch.dump()) == set(FLOWS[1:])
    left = ovs.ofctl("dump-flows", "polder0")
    assert "cookie=0x1," in left
    assert "cookie=0x2," in left


def test_what_somebody_else_does_to_our_flows_is_told_at_once_and_what_we_do_is_not(
    ovs: OpenVSwitch, bridge: Bridge
) -> None:
    told: list[bool] = []
    switch = Switch(socket_of(ovs), dpid=DPID, on_touched=lambda: told.append(True))
    switch.start()
    assert switch.wait_connected(CONNECT_S)
    one = FLOWS[-1]
    ours = f"cookie={one.cookie:#x}/-1,table={one.table_id}"
    other = replace(one, actions=(Output(9),))
    switch.apply(FLOWS, [])
    switch.apply([other], FLOWS[:5])
    switch.apply(FLOWS, [])
    ovs.ofctl("add-flow", "polder0", "cookie=0x1,table=0,priority=7,in_port=9,actions=drop")
    ovs.ofctl("del-flows", "polder0", "cookie=0x1/-1")
    switch.dump()  # what was told before has been read
    assert told == []
    ovs.ofctl("mod-flows", "polder0", f"{ours},actions=drop")
    until(lambda: told, "a flow of ours that was changed to be told")
    switch.apply(FLOWS, [])
    told.clear()
    ovs.ofctl("del-flows", "polder0", ours)
    until(lambda: told, "flows of ours that were removed to be told")
    switch.stop()


def test_a_dump_in_parts_is_of_one_moment_and_delays_no_change(switch: Switch, ovs: OpenVSwitch) -> None:
    many = [replace(FLOWS[0], priority=number) for number in range(1000, 4000)]
    switch.apply(many, [])
    answered = threading.Event()
    dumping = switch.dumping(answered.set)
    assert answered.wait(CONNECT_S)
    switch.apply([], many[:10])
    parts = []
    while (part := dumping.part()) is not None:
        parts.append(part)
    assert as_set([flow for part in parts for flow in part]) == set(many)
    assert all(0 < len(part) < 1000 for part in parts)
    assert as_set(switch.dump()) == set(many[10:])


def test_a_dump_in_parts_of_a_switch_that_is_away_says_so(tmp_path: Path) -> None:
    answered = threading.Event()
    dumping = Switch(tmp_path / "nobody.mgmt").dumping(answered.set)
    assert answered.wait(CONNECT_S)
    with pytest.raises(Disconnected):
        dumping.part()


def test_a_refused_change_leaves_everything_as_it_was(switch: Switch) -> None:
    switch.apply(FLOWS[:3], [])
    no_prerequisite = Flow(0, 1, (("ipv4_src", IPv4Address("10.64.0.1")),), cookie=FLOWS[0].cookie)
    with pytest.raises(Refused, match="BAD_PREREQ"):
        switch.apply([*FLOWS[3:], no_prerequisite], FLOWS[:3])
    assert as_set(switch.dump()) == set(FLOWS[:3])
    switch.apply(FLOWS, [])
    assert as_set(switch.dump()) == set(FLOWS)


def test_what_we_would_never_write_is_read_and_can_be_deleted(switch: Switch, ovs: OpenVSwitch) -> None:
    cookie = FLOWS[0].cookie
    ovs.ofctl(
        "add-flow",
        "polder0",
        f"cookie={cookie:#x},table=3,priority=5,tcp,tp_dst=80/0xfff0,metadata=0x5/0xf,"
        "nw_src=10.0.0.1/255.0.0.255,actions=learn(table=4,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]),normal",
    )
    (found,) = switch.dump()
    assert isinstance(found.actions[0], Unknown)
    switch.apply([], [found])
    assert switch.dump() == []


def test_packets_are_counted_by_flow(switch: Switch, ovs: OpenVSwitch) -> None:
    switch.apply(FLOWS, [])
    frame = "ffffffffffff" + "020000000063" + "0800" + "45" + "00" * 63
    ovs.ofctl("packet-out", "polder0", f"in_port=9,packet={frame},actions=table")

    def unknown_port() -> int:
        return sum(each.packets for each in switch.counters() if each.flow.key == FlowKey(0, 0, ()))

    until(unknown_port, "a counted packet")
    assert unknown_port() == 1


def test_after_a_restart_of_the_switch_it_connects_again_and_says_so(
    ovs: OpenVSwitch, bridge: Bridge
) -> None:
    connects = threading.Semaphore(0)
    before = threading.active_count()
    switch = connect(ovs, connects.release)
    try:
        for _ in range(3):
            assert connects.acquire(timeout=CONNECT_S)
            assert switch.wait_connected(CONNECT_S)
            switch.apply(FLOWS, [])
            ovs.kill("ovs-vswitchd")
            until(lambda: not switch.connected, "the loss to be seen")
            with pytest.raises(Disconnected):
                switch.dump()
            ovs.start_vswitchd()
        assert connects.acquire(timeout=CONNECT_S)
        assert switch.dump() == [], "flows went with the switch's process"
        assert threading.active_count() == before + 1, "one thread, whatever happened"
        assert switch.connects >= 4
    finally:
        switch.stop()
    assert threading.active_count() == before


def test_a_silent_switch_is_given_up_and_taken_back(switch: Switch, ovs: OpenVSwitch) -> None:
    ovs.signal("ovs-vswitchd", signal.SIGSTOP)
    try:
        until(lambda: not switch.connected, "the silence to be noticed")
    finally:
        ovs.signal("ovs-vswitchd", signal.SIGCONT)
    assert switch.wait_connected(CONNECT_S)


OUR_PROGRAM = """
import sys
from pathlib import Path
from openflow.switch import Switch
from tests.contract.test_openflow_switch import CONNECT_S, FLOWS
switch = Switch(Path(sys.argv[1]))
switch.start()
assert switch.wait_connected(CONNECT_S)
switch.apply(FLOWS, [])
print("applied", flush=True)
sys.stdin.read()
"""


def test_flows_stand_when_our_program_is_killed_and_the_next_finds_nothing_to_do(
    ovs: OpenVSwitch, bridge: Bridge
) -> None:
    ovs.ofctl("del-flows", "polder0")
    first = subprocess.Popen(
        [sys.executable, "-c", OUR_PROGRAM, str(socket_of(ovs))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with first:
        assert first.stdout
        assert first.stdout.readline() == b"applied\n"
        first.kill()
    before = ovs.ofctl("dump-flows", "polder0").count("cookie=0x504c4452")
    assert before == len(FLOWS)
    second = connect(ovs)
    try:
        assert as_set(second.dump()) == set(FLOWS)
    finally:
        second.stop()


def test_another_datapath_is_refused(
    ovs: OpenVSwitch, bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    switch = Switch(socket_of(ovs), dpid=DPID + 1)
    switch.start()
    try:
        until(lambda: "is not ours" in caplog.text, "the refusal")
        assert not switch.connected
    finally:
        switch.stop()


@pytest.mark.parametrize("words", [b"", b"GET / HTTP/1.0\r\n\r\n", b"\x05\x00\x00\x02\x00\x00\x00\x00"])
def test_a_stranger_that_says_nothing_or_nonsense_does_no_harm(tmp_path: Path, words: bytes) -> None:
    path = tmp_path / "polder0.mgmt"
    switch = Switch(path, on_connect=pytest.fail)
    switch.start()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        connection, _ = listener.accept()
        with connection:
            connection.sendall(words)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
        assert not switch.connected
    switch.stop()
    switch.stop()
    with pytest.raises(Disconnected):
        switch.dump()
