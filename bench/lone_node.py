"""A node alone: a network namespace with an Open vSwitch, and the agent's drivers in this process."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from uuid import NAMESPACE_OID, uuid5

from intent.held import Held
from intent.names import BRIDGE, GATEWAY_MAC
from lab.errors import LabError
from lab.host import Host
from lab.lab import Lab
from lab.ovs import Switch as OpenVSwitch
from lab.topology import HostSpec, Role, Topology
from openflow.bridge import Bridge
from openflow.switch import Switch
from store.model import Endpoint

NODE = "node"
CONNECT_S = 10.0


@contextmanager
def lone_node() -> Iterator[tuple[Host, OpenVSwitch]]:
    """The node and its Open vSwitch, which has no bridge yet; both are gone afterwards."""
    with Lab("bench", with_polder=False, topology=Topology((HostSpec(NODE, Role.NODE),), ())) as lab:
        yield lab.hosts[NODE], lab.fabric.switches[NODE]


@contextmanager
def connected(ovs: OpenVSwitch) -> Iterator[Switch]:
    """The agent's connection with the node's bridge, which it makes."""
    switch, bridge = Switch(ovs.directory / f"{BRIDGE}.mgmt"), Bridge(ovs.db, BRIDGE)
    bridge.start()
    try:
        bridge.ensure(mac=GATEWAY_MAC)
        switch.start()
        if not switch.wait_connected(CONNECT_S):
            raise LabError(f"Open vSwitch did not connect within {CONNECT_S:g} s")
        yield switch
    finally:
        switch.stop()
        bridge.close()


def endpoints(count: int, first: IPv4Address) -> list[Held]:
    """So many endpoints with one address each, plugged into ports 1, 2, 3 ..."""
    return [_held(first + number, number + 1) for number in range(count)]


def _held(address: IPv4Address, ofport: int) -> Held:
    name = f"e{address.packed.hex()}"
    mac = (b"\x02\x70" + address.packed).hex(":")
    uid = uuid5(NAMESPACE_OID, name).hex
    return Held(
        Endpoint(id=name, uid=uid, node=NODE, pools=("default",), addresses=(address,), mac=mac), ofport
    )


def run(*argv: str) -> None:
    """Run a program without a shell, and without `ip netns exec`, whose time would count."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{argv[0]} failed: {done.stderr.strip()}")
