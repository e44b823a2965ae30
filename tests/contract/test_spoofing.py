"""What a container may not send, by raw sockets inside of it: all is dropped and counted as what it is."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from agents.node.explain.samples import Samples, sampled
from lab.netns import batch, within
from openflow.cookie import Purpose
from openflow.counting import Way
from openflow.metering import Metering
from openflow.pipeline import base_flows, endpoint_flows
from openflow.sampling import SAMPLES, SAMPLES_PER_S
from store.model.drops import Sampled
from tests.support.dataplane import GATEWAY_MAC, WORLD4, WORLD6, Container, Node, answers, dataplane
from tests.support.ovs import until

pytestmark = pytest.mark.needs("root", "ip", "ping", "ovs-vswitchd", "ovsdb-server", "ovs-vsctl")

EVIL = Container("spoof-evil", "evil", "02:00:00:00:00:01", "10.64.0.1", "fd00:64::1")
GOOD = Container("spoof-good", "good", "02:00:00:00:00:02", "10.64.0.2", "fd00:64::2")
BROADCAST, ALL_NODES = "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01"
UDP, ICMPV6 = 17, 58
SECRET_PORT = 5000
ETH_P_ALL = 3


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def frame(payload: bytes, eth_type: int, *, source: str = EVIL.mac, to: str = GATEWAY_MAC) -> bytes:
    return mac(to) + mac(source) + struct.pack("!H", eth_type) + payload


def checksum(data: bytes) -> int:
    words = struct.unpack(f"!{len(data + bytes(len(data) % 2)) // 2}H", data + bytes(len(data) % 2))
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(source: str, target: str, protocol: int, payload: bytes, *, hops: int = 64) -> bytes:
    """A packet of either family (RFC 791 §3.1, RFC 8200 §3)."""
    if ":" in target:
        head = struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops)
        return head + IPv6Address(source).packed + IPv6Address(target).packed + payload
    length = 20 + len(payload)
    ends = IPv4Address(source).packed + IPv4Address(target).packed
    head = struct.pack("!BBHHHBBH", 0x45, 0, length, 0, 0, hops, protocol, 0) + ends
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(source: str, target: str, sport: int, dport: int, data: bytes = b"evil") -> bytes:
    """A datagram. IPv4 may leave its checksum out (RFC 768)."""
    head = struct.pack("!HHHH", sport, dport, 8 + len(data), 0)
    if ":" in target:
        head = head[:6] + struct.pack("!H", _sum6(source, target, UDP, head + data))
    return ip(source, target, UDP, head + data)


def icmpv6(source: str, target: str, kind: int, body: bytes) -> bytes:
    """An ICMPv6 message (RFC 4443 §2.1); those of neighbour discovery have hop limit 255."""
    message = struct.pack("!BBH", kind, 0, 0) + body
    message = message[:2] + struct.pack("!H", _sum6(source, target, ICMPV6, message)) + message[4:]
    return ip(source, target, ICMPV6, message, hops=255)


def _sum6(source: str, target: str, protocol: int, payload: bytes) -> int:
    ends = IPv6Address(source).packed + IPv6Address(target).packed
    return checksum(ends + struct.pack("!II", len(payload), protocol) + payload)


def arp(op: int, sender: str, *, mac_inside: str = EVIL.mac, about: str = "169.254.1.1") -> bytes:
    """RFC 826."""
    ends = mac(mac_inside) + IPv4Address(sender).packed + bytes(6) + IPv4Address(about).packed
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, op) + ends


def option(kind: int, link_layer: str) -> bytes:
    """A link-layer address (RFC 4861 §4.6.1)."""
    return struct.pack("!BB", kind, 1) + mac(link_layer)


def advertisement(source: str, target: str, link_layer: str = EVIL.mac) -> bytes:
    """A neighbour advertisement that overrides (RFC 4861 §4.4)."""
    body = struct.pack("!I", 0xE0000000) + ip_address(target).packed + option(2, link_layer)
    return icmpv6(source, "ff02::1", 136, body)


V4, V6, ARP = 0x0800, 0x86DD, 0x0806
ROUTER = struct.pack("!BBHII", 64, 0, 1800, 0, 0) + option(1, EVIL.mac)  # RFC 4861 §4.2
REDIRECTED = bytes(4) + IPv6Address(GOOD.six).packed + IPv6Address(WORLD6).packed  # RFC 4861 §4.5
OFFER = b"\x02\x01\x06\x00" + bytes(232) + b"\x63\x82\x53\x63\x35\x01\x02\xff"  # RFC 2131 §2, type 2
REPLY = b"\x02\x00\x00\x01"  # RFC 8415 §8, advertise

ATTACKS: Mapping[str, tuple[bytes, Purpose]] = {
    "another's MAC": (frame(udp(EVIL.four, WORLD4, 1, 2), V4, source=GOOD.mac), Purpose.SPOOFED),
    "the gateway's MAC": (frame(udp(EVIL.four, WORLD4, 1, 2), V4, source=GATEWAY_MAC), Purpose.SPOOFED),
    "another's IPv4 address": (frame(udp(GOOD.four, WORLD4, 1, 2), V4), Purpose.SPOOFED),
    "an IPv4 address of nobody": (frame(udp("203.0.113.9", GOOD.four, 1, 2), V4), Purpose.SPOOFED),
    "the gateway's IPv4 address": (frame(udp("169.254.1.1", GOOD.four, 1, 2), V4), Purpose.SPOOFED),
    "another's IPv6 address": (frame(udp(GOOD.six, WORLD6, 1, 2), V6), Purpose.SPOOFED),
    "the gateway's IPv6 address": (frame(udp("fe80::1", GOOD.six, 1, 2), V6), Purpose.SPOOFED),
    "an ARP reply for another": (frame(arp(2, GOOD.four), ARP), Purpose.SPOOFED),
    "an ARP reply for the gateway": (frame(arp(2, "169.254.1.1"), ARP, to=BROADCAST), Purpose.SPOOFED),
    "an ARP request with another's MAC": (
        frame(arp(1, EVIL.four, mac_inside=GOOD.mac), ARP),
        Purpose.SPOOFED,
    ),
    "an ARP request for another": (frame(arp(1, EVIL.four, about=GOOD.four), ARP), Purpose.SPOOFED),
    "a neighbour advertisement of another": (frame(advertisement(EVIL.six, GOOD.six), V6), Purpose.SPOOFED),
    "a neighbour advertisement of the gateway": (
        frame(advertisement(EVIL.six, "fe80::1"), V6, to=ALL_NODES),
        Purpose.SPOOFED,
    ),
    "a neighbour advertisement with another's MAC": (
        frame(advertisement(EVIL.six, EVIL.six, GOOD.mac), V6),
        Purpose.SPOOFED,
    ),
    "a router advertisement": (
        frame(icmpv6("fe80::7", "ff02::1", 134, ROUTER), V6, to=ALL_NODES),
        Purpose.ROGUE_ROUTER,
    ),
    "a router advertisement to the gateway": (
        frame(icmpv6(EVIL.six, GOOD.six, 134, ROUTER), V6),
        Purpose.ROGUE_ROUTER,
    ),
    "a redirect": (frame(icmpv6(EVIL.six, GOOD.six, 137, REDIRECTED), V6), Purpose.ROGUE_ROUTER),
    "a DHCP offer": (frame(udp(EVIL.four, GOOD.four, 67, 68, OFFER), V4), Purpose.ROGUE_DHCP),
    "a DHCP offer to all": (
        frame(udp(EVIL.four, "255.255.255.255", 67, 68, OFFER), V4, to=BROADCAST),
        Purpose.ROGUE_DHCP,
    ),
    "a DHCPv6 advertisement": (frame(udp(EVIL.six, GOOD.six, 547, 546, REPLY), V6), Purpose.ROGUE_DHCP),
    "a VLAN tag": (
        mac(GATEWAY_MAC) + mac(EVIL.mac) + b"\x81\x00\x00\x64\x08\x00" + udp(EVIL.four, WORLD4, 1, 2),
        Purpose.TAGGED,
    ),
    "past the gateway": (frame(udp(EVIL.four, GOOD.four, 1, 2), V4, to=GOOD.mac), Purpose.NO_ROUTE),
    "to all hosts": (frame(udp(EVIL.four, "224.0.0.1", 1, 2), V4, to="01:00:5e:00:00:01"), Purpose.MULTICAST),
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with dataplane("spoof", (EVIL, GOOD), tmp_path_factory.mktemp("ovs")) as made:
        flows = [flow for port in made.ports.values() for flow in endpoint_flows(port, GATEWAY_MAC)]
        Metering(made.switch).apply([SAMPLES], [])
        made.switch.apply([*base_flows(GATEWAY_MAC), *flows], [])
        for target in (GOOD.four, WORLD4, WORLD6):
            assert answers(EVIL.netns, target)
        yield made


@pytest.fixture(scope="module")
def evil(node: Node) -> Iterator[socket.socket]:
    raw = within(EVIL.netns, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    with raw:
        raw.bind(("eth0", 0))
        yield raw


@pytest.fixture(scope="module")
def heard(node: Node) -> Iterator[list[socket.socket]]:
    """All that arrives at the other container, and in the world."""
    made = []
    for netns in (GOOD.netns, node.world):
        raw = within(netns, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        raw.bind(("eth0", ETH_P_ALL))
        raw.setblocking(False)
        made.append(raw)
    yield made
    for raw in made:
        raw.close()


@pytest.fixture(scope="module")
def samples(node: Node, evil: socket.socket) -> Iterator[Samples]:
    made = Samples(node.ovs.directory / "polder0.mgmt", lambda: datetime.now(UTC))
    made.start()
    first, _ = ATTACKS["another's IPv4 address"]
    until(lambda: evil.send(first) and made.take(), "samples to come")
    yield made
    made.stop()


def told(node: Node, samples: Samples) -> list[Sampled]:
    """What the samples say that came since the last time."""
    names = {port.ofport: name for name, port in node.ports.items()}
    flows = [flow for port in node.ports.values() for flow in endpoint_flows(port, GATEWAY_MAC)]
    wanted = {flow.key: flow for flow in (*base_flows(GATEWAY_MAC), *flows)}
    return [packet for packet, _ in sampled(samples.take(), names, wanted)]


def is_sampled(node: Node, samples: Samples, purpose: Purpose) -> bool:
    """Whether a sample has come of what `evil` sent and was dropped for this."""
    marks = {(packet.endpoint, packet.purpose, packet.way) for packet in told(node, samples)}
    return ("evil", purpose.name, "sent") in marks


@pytest.mark.parametrize("name", ATTACKS)
def test_is_dropped_and_counted_as_what_it_is(
    node: Node, evil: socket.socket, heard: list[socket.socket], samples: Samples, name: str
) -> None:
    sent, purpose = ATTACKS[name]
    before, refused = node.dropped(purpose), node.counted("evil", Way.REFUSED)
    for raw in heard:
        _drain(raw)
    evil.send(sent)
    until(lambda: node.dropped(purpose) > before, f"{name} to be counted as {purpose.name}")
    until(lambda: node.counted("evil", Way.REFUSED) > refused, f"{name} to be counted for who sent it")
    if purpose is Purpose.MULTICAST:
        assert not is_sampled(node, samples, purpose)
    else:  # the meter lets go on only so many in a second, and the attacks before this one count
        until(lambda: is_sampled(node, samples, purpose) or not evil.send(sent), f"a sample of {name}")
    payload = sent[14:]
    assert not [got for raw in heard for got in _drain(raw) if payload[40:] and payload[40:] in got]


def test_a_sample_has_addresses_and_ports_and_a_flood_few_samples(
    node: Node, evil: socket.socket, samples: Samples
) -> None:
    began = time.monotonic()
    for port in range(1, 5001):
        evil.send(frame(udp(GOOD.six, WORLD6, port, 9), V6))
    before = node.dropped(Purpose.SPOOFED)
    evil.send(frame(udp(GOOD.four, WORLD4, 7, 9), V4))
    until(lambda: node.dropped(Purpose.SPOOFED) > before, "all of it to be counted")
    found = told(node, samples)
    most = SAMPLES_PER_S * (time.monotonic() - began + 1)  # and what may come at once
    assert 0 < len(found) <= most + 1
    ends = found[0].source, found[0].destination, found[0].protocol, found[0].destination_port
    assert ends == (IPv6Address(GOOD.six), IPv6Address(WORLD6), "udp", 9)
    assert found[0].reason.startswith("evil has ")


def _drain(raw: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(raw.recv(4096))
        except BlockingIOError:
            return found


def test_what_is_its_own_arrives(node: Node, evil: socket.socket, heard: list[socket.socket]) -> None:
    """The check of the checks: a packet made in the same way, with nothing wrong, arrives."""
    for raw in heard:
        _drain(raw)
    data = b"nothing is wrong with this"
    evil.send(frame(udp(EVIL.four, GOOD.four, 1000, 2000, data), V4))
    evil.send(frame(udp(EVIL.six, WORLD6, 1000, 2000, data), V6))
    for raw, where in zip(heard, ("the other container", "the world"), strict=True):
        until(lambda: any(data in got for got in _drain(raw)), f"it to arrive at {where}")  # noqa: B023


def test_the_kernel_takes_nothing_past_the_bridge(node: Node, evil: socket.socket) -> None:
    """With the userspace datapath the kernel sees the frames too, at the host's end of the link."""
    batch(["address add 192.0.2.77/32 dev lo"], inside=node.netns)
    served = within(node.netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with served:
        served.bind(("192.0.2.77", SECRET_PORT))
        served.settimeout(0.3)
        evil.send(frame(udp(GOOD.four, "192.0.2.77", 1, SECRET_PORT), V4, to=BROADCAST))
        with pytest.raises(TimeoutError):
            served.recv(100)
        evil.send(frame(udp(EVIL.four, "192.0.2.77", 1, SECRET_PORT), V4))
        assert served.recv(100) == b"evil", "by the gateway it may"
