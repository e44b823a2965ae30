"""A real bridge tells a real collector of what it samples, by IPFIX and by sFlow, and stops when told so."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_address

import pytest

from agents.kernel.netns import Netns, entered
from agents.node.exporting import Exporting, spec
from openflow.bridge import Bridge
from openflow.errors import BridgeRejected
from store.model import Node
from store.model.export import Export, ExportProtocol
from tests.support.ovs import OpenVSwitch, open_vswitch, until

pytestmark = pytest.mark.needs("root", "ip", "ovs-vswitchd")

COLLECTOR = "10.9.9.9"
MARK = "external_ids:polder=export"


@pytest.fixture(scope="module")
def ovs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenVSwitch]:
    """A bridge that forwards what comes in by its port, in a namespace that has the collector's address."""
    with open_vswitch(f"exp{os.getpid()}", tmp_path_factory.mktemp("ovs")) as switch:
        switch.run("ip", "address", "add", f"{COLLECTOR}/32", "dev", "lo")
        settings = ("datapath_type=netdev", "fail_mode=secure", "protocols=OpenFlow13,OpenFlow14")
        ids = "external_ids:polder=bridge"
        switch.vsctl("add-br", "polder0", "--", "set", "bridge", "polder0", *settings, ids)
        switch.run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there")
        for name in ("here", "there", "polder0"):
            switch.run("ip", "link", "set", name, "up")
        switch.vsctl("add-port", "polder0", "here")
        switch.ofctl("add-flow", "polder0", "actions=LOCAL")
        switch.run("ip", "address", "add", "10.8.8.1/24", "dev", "there")
        switch.run("ip", "neighbour", "add", "10.8.8.2", "lladdr", "02:00:00:00:00:09", "dev", "there")
        yield switch


@pytest.fixture
def bridge(ovs: OpenVSwitch) -> Iterator[Bridge]:
    made = Bridge(ovs.remote)
    made.start()
    yield made
    made.export(None)
    made.close()


@contextmanager
def collector(ovs: OpenVSwitch, port: int) -> Iterator[socket.socket]:
    """A socket in the switch's namespace."""
    with Netns(f"/run/netns/{ovs.netns}") as inside, entered(inside):
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with closing(listening):
        listening.bind((COLLECTOR, port))
        listening.setblocking(False)
        yield listening


def told(ovs: OpenVSwitch, listening: socket.socket) -> list[bytes]:
    """What has come, after some packets more."""
    ovs.run("sh", "-c", "ping -c 5 -i 0.01 -W 0.1 -q 10.8.8.2 || true")
    received = []
    while True:
        try:
            received.append(listening.recv(65535))
        except BlockingIOError:
            return received


def node(protocol: ExportProtocol, port: int) -> Node:
    export = Export(protocol=protocol, collector=ip_address(COLLECTOR), port=port, sampling=1)
    return Node(name="node-1", asn=64511, export=export)


def test_ipfix_reaches_the_collector_with_templates_and_data(ovs: OpenVSwitch, bridge: Bridge) -> None:
    wanted = node(ExportProtocol.IPFIX, 14739)
    with collector(ovs, 14739) as listening:
        Exporting(bridge).look(wanted)
        messages = until(lambda: told(ovs, listening), "IPFIX")
    # RFC 7011 §3.1, §3.3.2: version 10, the domain; the first set has templates (2)
    version, _length, _time, _sequence, domain, first = struct.unpack_from("!HHIIIH", messages[0])
    assert (version, first) == (10, 2)
    assert domain == dict(spec("node-1", wanted.export).numbers)["obs_domain_id"]


def test_sflow_takes_the_place_of_ipfix(ovs: OpenVSwitch, bridge: Bridge) -> None:
    exporting = Exporting(bridge)
    exporting.look(node(ExportProtocol.IPFIX, 14739))
    with collector(ovs, 16343) as listening:
        exporting.look(node(ExportProtocol.SFLOW, 16343))
        messages = until(lambda: told(ovs, listening), "sFlow")
    assert struct.unpack_from("!I", messages[0]) == (5,)
    assert ovs.vsctl("--columns=_uuid", "find", "IPFIX", MARK) == ""
    assert ovs.vsctl("--bare", "--columns=targets", "find", "sFlow", MARK) == f"{COLLECTOR}:16343"


def test_it_ends_when_the_record_says_so_and_after_a_restart_too(ovs: OpenVSwitch, bridge: Bridge) -> None:
    Exporting(bridge).look(node(ExportProtocol.IPFIX, 14739))
    assert ovs.vsctl("--columns=_uuid", "find", "IPFIX", MARK) != ""
    Exporting(bridge).look(Node(name="node-1", asn=64511))
    assert ovs.vsctl("--columns=_uuid", "find", "IPFIX", MARK) == ""


def test_what_somebody_else_has_configured_stays(ovs: OpenVSwitch, bridge: Bridge) -> None:
    foreign = ("--", "--id=@i", "create", "IPFIX", 'targets="10.9.9.8:4739"')
    ovs.vsctl(*foreign, "--", "set", "bridge", "polder0", "ipfix=@i")
    wanted = node(ExportProtocol.IPFIX, 14739)
    with pytest.raises(BridgeRejected, match=r"already, to 10\.9\.9\.8:4739"):
        bridge.export(spec("node-1", wanted.export))
    Exporting(bridge).look(wanted)  # says so in the log
    bridge.export(None)
    assert ovs.vsctl("--bare", "--columns=targets", "list", "IPFIX") == "10.9.9.8:4739"
    ovs.vsctl("clear", "bridge", "polder0", "ipfix")


def test_a_change_of_sampling_is_written(ovs: OpenVSwitch, bridge: Bridge) -> None:
    exporting, before = Exporting(bridge), node(ExportProtocol.IPFIX, 14739)
    exporting.look(before)
    assert before.export is not None
    exporting.look(before.model_copy(update={"export": before.export.model_copy(update={"sampling": 64})}))
    assert ovs.vsctl("--bare", "--columns=sampling", "find", "IPFIX", MARK) == "64"
