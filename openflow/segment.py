"""The flows of endpoints on a segment: a VLAN of an uplink, by layer 2. Pure functions.

    port of an endpoint -> classify [-> track -> egress] -> forward -> send, tagged, by the uplink
    the uplink, tagged  -> classify -> forward [-> arrive -> ingress] -> send, to an endpoint

Inside, packets have no tag: a register has the VLAN, and what is forwarded by it never meets the node's
kernel or endpoints of other segments. Endpoints of one segment and node reach one another here, all others
by the uplink.

The segment's router and hosts are asked by ARP and neighbour discovery. Nothing is flooded: a question goes
to the endpoint whose address is asked for, or by the uplink. An endpoint answers for its own addresses alone,
link-local ones being made from its MAC (RFC 4291 appendix A): nobody can take the router's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from openflow.cookie import Purpose
from openflow.flow import Action, Flow, PopVlan, PushVlan, SetField
from openflow.pipeline import (
    NO_OPTION,
    UNSPECIFIED_IPV4,
    UNSPECIFIED_IPV6,
    EndpointPort,
    from_address,
    refused_flows,
    send_flows,
    to_address,
)
from openflow.qos import opening_flows
from openflow.sampling import denied_flows
from openflow.tables import (
    ADVERTISEMENT,
    ARP,
    CLASSIFY,
    FORWARD,
    GROUP_MAC,
    IPV4,
    IPV6,
    OUT,
    SEGMENT,
    SEND,
    SOLICITATION,
    Fields,
)

TAG_PRESENT = 0x1000
"""OFPVID_PRESENT (OpenFlow 1.4.1 §7.2.2.7)."""


@dataclass(frozen=True, slots=True)
class SegmentPort:
    """A VLAN of the uplink with this OpenFlow number."""

    vlan: int
    uplink: int

    @property
    def name(self) -> str:
        """For the reasons."""
        return f"VLAN {self.vlan}"

    @property
    def here(self) -> Fields:
        """What is on the segment."""
        return {SEGMENT: self.vlan}


def segment_flows(port: EndpointPort, segment: SegmentPort) -> tuple[Flow, ...]:
    """The flows of one endpoint on a segment. Those of the segment are the same for each of them. Pure."""
    families = (IPV4,) * port.ipv4 + (IPV6,) * port.ipv6
    sent = send_flows(port.ofport, families, f"to {port.endpoint}", port.qos.on_receiving)
    limited = opening_flows(port.qos, port.ofport, families, port.endpoint, judged=port.judged)
    return (
        *_classify(port, segment),
        *refused_flows(port, "and speaks for itself only"),
        *_forward(port, segment),
        *sent,
        *limited,
        *denied_flows(port.ofport, port.endpoint, tracked=port.tracked),
        *_of_segment(segment),
    )


def link_local(mac: str) -> IPv6Address:
    """The link-local address that is made from a MAC (RFC 4291 appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + identifier)


def _classify(port: EndpointPort, segment: SegmentPort) -> Iterator[Flow]:
    own: Fields = {"in_port": port.ofport, "eth_src": port.mac}
    mark = SetField(SEGMENT, segment.vlan)
    for address in port.addresses:
        why = f"{port.endpoint} from {address} on {segment.name}"
        sent = {**own, **from_address(address)}
        yield CLASSIFY.flow(100, Purpose.ACCEPT, (mark, *port.enter), why, sent)
    for fields in _own_messages(port):
        why = f"{port.endpoint} and its neighbours on {segment.name}"
        yield CLASSIFY.flow(300, Purpose.NEIGHBOUR, (mark, FORWARD.goto()), why, {**own, **fields})


def _own_messages(port: EndpointPort) -> Iterator[Fields]:
    """The ARP and neighbour discovery that an endpoint may send: of its own addresses, to anybody."""
    for address in port.addresses:
        if isinstance(address, IPv4Address):
            yield {**ARP, "arp_sha": port.mac, "arp_spa": address}
            ask: Fields = {**ARP, "arp_sha": port.mac, "arp_op": 1}
            yield {**ask, "arp_spa": UNSPECIFIED_IPV4, "arp_tpa": address}  # RFC 5227 §1.1
    for source in _sources(port):
        yield {**SOLICITATION, "ipv6_src": source, "ipv6_nd_sll": port.mac}
        yield {**SOLICITATION, "ipv6_src": source, "ipv6_nd_sll": NO_OPTION}
        # RFC 4862 §5.4.2: duplicate address detection asks for an address that is not one's own yet
        yield {**SOLICITATION, "ipv6_src": UNSPECIFIED_IPV6, "ipv6_nd_target": source}
        yield {**ADVERTISEMENT, "ipv6_nd_tll": port.mac, "ipv6_nd_target": source}


def _sources(port: EndpointPort) -> tuple[IPv6Address, ...]:
    """Its IPv6 addresses, with that of the link."""
    own = tuple(address for address in port.addresses if isinstance(address, IPv6Address))
    return (*own, link_local(port.mac)) if own else ()


def _forward(port: EndpointPort, segment: SegmentPort) -> Iterator[Flow]:
    here = segment.here
    to_mac: Fields = {"eth_dst": port.mac}
    out = SetField(OUT, port.ofport)
    onward: tuple[Action, ...] = (out, port.reach)
    straight: tuple[Action, ...] = (out, SEND.goto())
    back: Fields = {**here, **to_mac, "in_port": port.ofport}
    yield FORWARD.drop(620, Purpose.HAIRPIN, f"{port.endpoint} to itself", back)
    for fields in _about(port):
        why = f"{port.endpoint} tells of itself on {segment.name}"
        told = {**here, **fields, "in_port": port.ofport}
        yield FORWARD.flow(610, Purpose.NEIGHBOUR, _by_uplink(segment), why, told)
        why = f"{port.endpoint} is asked for on {segment.name}"
        yield FORWARD.flow(600, Purpose.NEIGHBOUR, straight, why, {**here, **fields})
    neighbourly: tuple[Fields, ...] = (ARP,) * port.ipv4 + (SOLICITATION, ADVERTISEMENT) * port.ipv6
    for fields in neighbourly:
        why = f"a neighbour and {port.endpoint}"
        yield FORWARD.flow(590, Purpose.NEIGHBOUR, straight, why, {**here, **to_mac, **fields})
    for address in port.addresses:
        why = f"{address} is {port.endpoint}, on {segment.name}"
        yield FORWARD.flow(580, Purpose.LOCAL, onward, why, {**here, **to_mac, **to_address(address)})
    yield FORWARD.drop(570, Purpose.NO_ENDPOINT, f"no address of {port.endpoint}", {**here, **to_mac})


def _about(port: EndpointPort) -> Iterator[Fields]:
    """Questions for the endpoint's addresses that go to a group, as the first one to a neighbour does."""
    for address in port.addresses:
        if isinstance(address, IPv4Address):
            yield {**ARP, **GROUP_MAC, "arp_tpa": address}
    for source in _sources(port):
        yield {**SOLICITATION, **GROUP_MAC, "ipv6_nd_target": source}


def _of_segment(segment: SegmentPort) -> Iterator[Flow]:
    here, name = segment.here, segment.name
    tagged: Fields = {"in_port": segment.uplink, "vlan_vid": TAG_PRESENT | segment.vlan}
    enter = (PopVlan(), SetField(SEGMENT, segment.vlan), FORWARD.goto())
    yield CLASSIFY.flow(510, Purpose.SEGMENT, enter, f"{name} of the uplink", tagged)
    from_uplink: Fields = {**here, "in_port": segment.uplink}
    yield FORWARD.drop(
        560, Purpose.MULTICAST, f"nobody here is asked for on {name}", {**from_uplink, **GROUP_MAC}
    )
    yield FORWARD.drop(550, Purpose.NO_ENDPOINT, f"for somebody else on {name}", from_uplink)
    for fields in (ARP, SOLICITATION, ADVERTISEMENT):
        why = f"the neighbours on {name} answer"
        yield FORWARD.flow(540, Purpose.NEIGHBOUR, _by_uplink(segment), why, {**here, **fields})
    yield FORWARD.drop(530, Purpose.MULTICAST, f"no group has receivers on {name}", {**here, **GROUP_MAC})
    yield FORWARD.flow(
        520, Purpose.SEGMENT, _by_uplink(segment), f"the rest of {name} is behind the uplink", here
    )
    yield from _send(segment)


def _by_uplink(segment: SegmentPort) -> tuple[Action, ...]:
    return (SetField(OUT, segment.uplink), SEND.goto())


def _send(segment: SegmentPort) -> Iterator[Flow]:
    tag = (PushVlan(), SetField("vlan_vid", TAG_PRESENT | segment.vlan))
    leaving: Fields = {OUT: segment.uplink, **segment.here}
    yield from send_flows(segment.uplink, (IPV4, IPV6), f"to {segment.name}", leaving=leaving, last=tag)
