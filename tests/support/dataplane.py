"""A bridge with our flows between real containers, the node's kernel as gateway, and a host beyond it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from agents.kernel.given import host_parameters
from lab.netns import batch, create, remove
from openflow.bridge import Bridge
from openflow.cookie import Purpose, decode
from openflow.counting import Counts, Way, counts
from openflow.pipeline import EndpointPort
from openflow.switch import Switch
from tests.support.ovs import OpenVSwitch, open_vswitch

GATEWAY_MAC = "02:70:6f:6c:64:01"
WORLD4, WORLD6 = "192.0.2.1", "2001:db8::1"


@dataclass(frozen=True)
class Container:
    """A namespace with one link."""

    netns: str
    name: str
    mac: str
    four: str
    six: str

    @property
    def addresses(self) -> tuple[IPv4Address, IPv6Address]:
        return IPv4Address(self.four), IPv6Address(self.six)


@dataclass
class Node:
    """What the tests look at. `world` is the namespace of the host beyond, `netns` the node's own."""

    netns: str
    world: str
    ovs: OpenVSwitch
    switch: Switch
    ports: dict[str, EndpointPort]

    def dropped(self, purpose: Purpose) -> int:
        """The packets that a purpose's flows have counted."""
        counted = ((decode(each.flow.cookie), each.packets) for each in self.switch.counters())
        return sum(packets for cookie, packets in counted if cookie and cookie.purpose == purpose)

    def settle(self) -> None:
        """Wait until what the switch has cached follows its flows: some milliseconds, more under load."""
        control = str(self.ovs.directory / "ovs-vswitchd.ctl")
        self.ovs.run("ovs-appctl", "-t", control, "revalidator/wait")

    def trace(self, flow: str) -> str:
        """What ofproto/trace says of a packet, in the words of ovs-ofctl(8)."""
        return self._appctl("ofproto/trace", "polder0", flow)

    def counted(self, container: str, way: Way) -> int:
        """Packets of a container that its flows have counted."""
        mine = Counts(self.ports[container].ofport, way)
        return sum(one.packets for one in self.switch.counters() if counts(one.flow) == mine)

    def forget_connections(self) -> None:
        """Empty the connection tracker."""
        self._appctl("dpctl/flush-conntrack")

    def _appctl(self, *words: str) -> str:
        return self.ovs.run("ovs-appctl", "-t", str(self.ovs.directory / "ovs-vswitchd.ctl"), *words)


@contextmanager
def dataplane(prefix: str, containers: Sequence[Container], directory: Path) -> Iterator[Node]:
    """A started switch with a port for each container; it has no flows yet."""
    netns, world = f"{prefix}-node", f"{prefix}-world"
    others = [world, *(each.netns for each in containers)]
    try:
        create(others)
        with open_vswitch(netns, directory) as ovs:
            switch, bridge = Switch(ovs.directory / "polder0.mgmt"), Bridge(ovs.remote)
            switch.start()
            bridge.start()
            try:
                bridge.ensure(mac=GATEWAY_MAC, datapath_type="netdev")
                assert switch.wait_connected(10)
                _gateway(ovs)
                _world(netns, world)
                ports = {each.name: _attach(netns, each, bridge) for each in containers}
                yield Node(netns, world, ovs, switch, ports)
            finally:
                bridge.close()
                switch.stop()
    finally:
        remove(others)


def _gateway(ovs: OpenVSwitch) -> None:
    # without duplicate address detection the uplink can ask for neighbours at once
    ovs.run(
        *("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"),
        "net.ipv6.conf.default.accept_dad=0",
    )
    batch(
        [
            "link set polder0 up",
            "address add 169.254.1.1/32 dev polder0",
            "address add fe80::1/64 dev polder0 nodad",
        ],
        inside=ovs.netns,
    )


def _world(netns: str, world: str) -> None:
    batch(
        [
            f"link add uplink type veth peer name eth0 netns {world}",
            "link set uplink up",
            "address add 192.0.2.2/24 dev uplink",
            "address add 2001:db8::2/64 dev uplink nodad",
        ],
        inside=netns,
    )
    batch(
        [
            "link set lo up",
            "link set eth0 up",
            f"address add {WORLD4}/24 dev eth0",
            f"address add {WORLD6}/64 dev eth0 nodad",
            "route add 10.64.0.0/16 via 192.0.2.2",
            "route add fd00:64::/64 via 2001:db8::2",
        ],
        inside=world,
    )


def _attach(netns: str, container: Container, bridge: Bridge) -> EndpointPort:
    link = f"pl-{container.name}"
    batch(
        [
            f"link add {link} type veth peer name eth0 address {container.mac} netns {container.netns}",
            f"link set {link} up",
        ],
        inside=netns,
    )
    for name, value in host_parameters():
        argv = ["ip", "netns", "exec", netns, "sysctl", "-qw", f"{name.format(link)}={value}"]
        subprocess.run(argv, check=True)
    ofport = bridge.add_port(link, {"polder": container.name})
    batch(
        [
            "link set lo up",
            "link set eth0 up",
            f"address add {container.four}/32 dev eth0",
            f"address add {container.six}/128 dev eth0 nodad",
            "route add default via 169.254.1.1 dev eth0 onlink",
            "route add default via fe80::1 dev eth0",
        ],
        inside=container.netns,
    )
    for address in (container.four, container.six):
        batch(
            [
                f"neighbour replace {address} lladdr {container.mac} dev polder0 nud permanent",
                f"route replace {address} dev polder0",
            ],
            inside=netns,
        )
    return EndpointPort(container.name, ofport, container.mac, container.addresses)


def ping(netns: str, target: str, *options: str) -> subprocess.CompletedProcess[str]:
    """One echo request, and what the program printed."""
    argv = ["ip", "netns", "exec", netns, "ping", "-n", "-c", "1", "-W", "1", *options, target]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def answers(netns: str, target: str) -> bool:
    """One of a few pings is answered: the first may still wait for a neighbour."""
    return any(ping(netns, target).returncode == 0 for _ in range(3))
