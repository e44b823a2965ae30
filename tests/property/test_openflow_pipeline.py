"""The pipeline does exactly what an independent statement of it says, for any packet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from openflow.flow import LOCAL, MatchValue
from openflow.pipeline import GATEWAY_IPV4, GATEWAY_IPV6, EndpointPort, base_flows, endpoint_flows
from tests.support import packets
from tests.support.packets import BROADCAST, NOBODY4, NOBODY6, Packet
from tests.support.switch import MemorySwitch

GATEWAY_MAC = "02:50:4c:44:52:01"
WEB = EndpointPort("web", 1, "02:00:00:00:00:01", (IPv4Address("10.64.0.1"), IPv6Address("fd00::1")))
DB = EndpointPort("db", 2, "02:00:00:00:00:02", (IPv4Address("10.64.0.2"), IPv4Address("10.64.9.2")))
SIX = EndpointPort("six", 3, "02:00:00:00:00:03", (IPv6Address("fd00::3"),))
ENDPOINTS = (WEB, DB, SIX)

MACS = [GATEWAY_MAC, BROADCAST, "33:33:00:00:00:01", "02:00:00:00:00:99", WEB.mac, DB.mac, SIX.mac]
LINK_LAYER = ["00:00:00:00:00:00", "02:00:00:00:00:99", WEB.mac, DB.mac, SIX.mac]
STRANGER4, STRANGER6, SELF_CHOSEN = (
    IPv4Address("192.0.2.1"),
    IPv6Address("2001:db8::1"),
    IPv6Address("fe80::7"),
)
HELD4 = [IPv4Address(text) for text in ("10.64.0.1", "10.64.0.2", "10.64.9.2")]
HELD6 = [IPv6Address(text) for text in ("fd00::1", "fd00::3")]
GROUPS4 = [IPv4Address("224.0.0.251"), IPv4Address("255.255.255.255")]
GROUPS6 = [IPv6Address("ff02::1"), IPv6Address("ff02::1:ff00:1")]
ADDRESSES4 = [*HELD4, *GROUPS4, NOBODY4, GATEWAY_IPV4, STRANGER4]
ADDRESSES6 = [*HELD6, *GROUPS6, NOBODY6, GATEWAY_IPV6, STRANGER6, SELF_CHOSEN]

WORDS: dict[str, Sequence[MatchValue]] = {
    "in_port": [1, 2, 3, 9, LOCAL],
    "vlan_vid": [0, 0x1000, 0x1001],
    "eth_src": MACS,
    "eth_dst": MACS,
    "nw_ttl": [0, 1, 2, 64, 255],
    "arp_op": [1, 2],
    "arp_sha": LINK_LAYER,
    **dict.fromkeys(("ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa"), ADDRESSES4),
    **dict.fromkeys(("ipv6_src", "ipv6_dst", "ipv6_nd_target"), ADDRESSES6),
    "icmpv6_type": [133, 134, 135, 136, 137, 143],
    "ipv6_nd_sll": LINK_LAYER,
    "ipv6_nd_tll": LINK_LAYER,
}
"""Every value that a field takes in these tests."""

SHAPES: tuple[Packet, ...] = (
    packets.ip(packets.frame(0, "", "", 0), NOBODY4, NOBODY4),
    packets.ip(packets.frame(0, "", "", 0), NOBODY6, NOBODY6),
    packets.arp(packets.frame(0, "", "", 0), op=1, sha="", spa=NOBODY4, tpa=NOBODY4),
    *(
        packets.nd(packets.frame(0, "", "", 0), kind, NOBODY6, NOBODY6)
        | {"ipv6_nd_target": NOBODY6, "ipv6_nd_sll": "", "ipv6_nd_tll": ""}
        for kind in (133, 134, 135, 136, 137)
    ),
)
"""A packet of every kind, its fields still to be filled in."""


def right(sender: EndpointPort) -> dict[str, Sequence[MatchValue]]:
    """The values with which a packet of this endpoint can be legal."""
    four = [address for address in sender.addresses if address.version == 4]
    six = [address for address in sender.addresses if address.version == 6]
    return {
        "in_port": [sender.ofport],
        "eth_src": [sender.mac],
        "eth_dst": [GATEWAY_MAC],
        "arp_sha": [sender.mac],
        "arp_spa": [*four[:1], NOBODY4],
        "arp_tpa": [GATEWAY_IPV4],
        "ipv4_src": four[:1] or [STRANGER4],
        "ipv4_dst": [*HELD4, STRANGER4],
        "ipv6_src": [*six, SELF_CHOSEN],
        "ipv6_dst": [*HELD6, GATEWAY_IPV6],
        "ipv6_nd_target": [*six, GATEWAY_IPV6, SELF_CHOSEN],
        "ipv6_nd_sll": [sender.mac],
        "ipv6_nd_tll": [sender.mac],
    }


def one_field_away() -> Iterator[Packet]:
    """Every packet that is legal, or would be but for one field."""
    for sender, shape in product(ENDPOINTS, SHAPES):
        fields = {name: values for name, values in right(sender).items() if name in shape}
        for values in product(*fields.values()):
            packet = shape | dict(zip(fields, values, strict=True))
            yield packet
            for name in shape.keys() & WORDS.keys():
                yield from (packet | {name: value} for value in WORDS[name])


@st.composite
def anything(draw: st.DrawFn) -> Packet:
    """A packet of any kind with any of the values in any field."""
    shape = draw(st.sampled_from(SHAPES))
    return shape | {name: draw(st.sampled_from(WORDS[name])) for name in sorted(shape.keys() & WORDS.keys())}


FLOWS = [*base_flows(GATEWAY_MAC), *(f for port in ENDPOINTS for f in endpoint_flows(port, GATEWAY_MAC))]


def switch() -> MemorySwitch:
    made = MemorySwitch()
    made.put(FLOWS)
    return made


def check(packet: Packet) -> None:
    """The packet goes where the independent statement says, as what it says, and every drop is counted."""
    device = switch()
    out = device.receive(packet)
    wanted = packets.verdict(packet, ENDPOINTS, GATEWAY_MAC)
    assert [port for port, _ in out] == ([] if wanted is None else [wanted]), packet
    dropped = sum(count for purpose, count in device.counted.items() if purpose.drops)
    assert dropped == (wanted is None), (packet, device.counted)
    for port, got in out:
        assert got == routed(packet, port), packet


def routed(packet: Packet, port: int) -> Packet:
    """The packet as it leaves by a port: one hop further between endpoints, else untouched."""
    if LOCAL in (packet["in_port"], port):
        return packet
    receiver = next(each for each in ENDPOINTS if each.ofport == port)
    ttl = packet["nw_ttl"]
    assert isinstance(ttl, int)
    return packet | {"eth_src": GATEWAY_MAC, "eth_dst": receiver.mac, "nw_ttl": ttl - 1}


def test_every_packet_that_is_legal_but_for_one_field() -> None:
    seen = 0
    for packet in one_field_away():
        check(packet)
        seen += 1
    assert seen > 10_000


@settings(max_examples=300, deadline=None)
@given(anything())
def test_any_packet(packet: Packet) -> None:
    check(packet)
