"""Matches as Open vSwitch writes them, to matches as flows have them, and packets the other way round. Pure.

`tcp,in_port=1,nw_src=10.64.0.7` (ovs-fields(7)) has short words for protocols and its own names for fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from openflow.flow import LOCAL, IPAddress, Match, MatchValue, match_of

_IPV4, _IPV6, _ARP = 0x0800, 0x86DD, 0x0806
_PROTOCOLS: dict[str, tuple[int, int | None]] = {
    "ip": (_IPV4, None),
    "ipv6": (_IPV6, None),
    "arp": (_ARP, None),
    "icmp": (_IPV4, 1),
    "tcp": (_IPV4, 6),
    "udp": (_IPV4, 17),
    "sctp": (_IPV4, 132),
    "icmp6": (_IPV6, 58),
    "tcp6": (_IPV6, 6),
    "udp6": (_IPV6, 17),
    "sctp6": (_IPV6, 132),
}
_TRANSPORT = {6: "tcp", 17: "udp", 132: "sctp"}
_RENAMED = {
    "dl_src": "eth_src",
    "dl_dst": "eth_dst",
    "dl_type": "eth_type",
    "vlan_tci": "vlan_vid",
    "nw_proto": "ip_proto",
    "nd_target": "ipv6_nd_target",
    "nd_sll": "ipv6_nd_sll",
    "nd_tll": "ipv6_nd_tll",
}
# ovs-fields(7)
_BITS = {
    "ct_state": {"new": 1, "est": 2, "rel": 4, "rpl": 8, "inv": 16, "trk": 32, "snat": 64, "dnat": 128},
    "tcp_flags": {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32},
}


def match_from(text: str) -> Match:
    """The match that Open vSwitch writes so. What is not known stays as it is written."""
    words = [word for word in text.split(",") if word]
    fields: dict[str, MatchValue] = {}
    for word in words:
        if word in _PROTOCOLS:
            kind, number = _PROTOCOLS[word]
            fields["eth_type"] = kind
            if number is not None:
                fields["ip_proto"] = number
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            known = _name(name, fields)
            fields[known] = _value(known, value)
    return match_of(fields)


def _name(name: str, fields: dict[str, MatchValue]) -> str:
    arp = fields.get("eth_type") == _ARP
    if name in {"nw_src", "nw_dst"}:
        return {"nw_src": "arp_spa", "nw_dst": "arp_tpa"}[name] if arp else f"ipv4{name[2:]}"
    number = fields.get("ip_proto")
    if name in {"tp_src", "tp_dst"} and isinstance(number, int) and number in _TRANSPORT:
        return f"{_TRANSPORT[number]}{name[2:]}"
    if name in {"icmp_type", "icmp_code"}:
        return f"icmpv{6 if number == 58 else 4}{name[4:]}"
    return _RENAMED.get(name, name)


def _value(name: str, text: str) -> MatchValue:
    if name in _BITS and text[:1] in ("+", "-"):
        return _flags(text, _BITS[name])
    if text == "LOCAL":
        return LOCAL
    address, slash, _ = text.partition("/")
    try:
        if slash and not text.startswith("0x"):
            return ip_network(text)
        return ip_address(address) if not slash else text
    except ValueError:
        pass
    try:
        return int(text, 0)
    except ValueError:
        return text


def _flags(text: str, names: Mapping[str, int]) -> MatchValue:
    """`+trk-new` is written with a mask that has both bits."""
    value = mask = 0
    for flag in text.replace("+", " +").replace("-", " -").split():
        bit = names.get(flag[1:], 0)
        mask |= bit
        value |= bit if flag[0] == "+" else 0
    return f"{value:#x}/{mask:#x}"


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of a way that is looked for: the first of a connection.

    Args:
        source: its IP source.
        destination: of the same family.
        protocol: `tcp`, `udp` or `icmp` (an echo request).
        port: the destination port of TCP and UDP.
        source_port: likewise.
    """

    source: IPAddress
    destination: IPAddress
    protocol: str
    port: int
    source_port: int


def flow_of(packet: Packet, *, in_port: int, eth_src: str, eth_dst: str, vlan: int | None = None) -> str:
    """The packet as `ofproto/trace` takes it, as it comes in by a port, with the tag of a VLAN or without."""
    tag = [f"dl_vlan={vlan}"] if vlan is not None else []
    return ",".join([*_words(packet, in_port, eth_src, eth_dst), *tag])


def _words(packet: Packet, in_port: int, eth_src: str, eth_dst: str) -> Iterator[str]:
    six = isinstance(packet.source, IPv6Address)
    yield f"{packet.protocol}{'6' if six else ''}"
    yield f"in_port={'LOCAL' if in_port == LOCAL else in_port}"
    yield f"dl_src={eth_src}"
    yield f"dl_dst={eth_dst}"
    prefix = "ipv6" if six else "nw"
    yield f"{prefix}_src={packet.source}"
    yield f"{prefix}_dst={packet.destination}"
    yield "nw_ttl=64"
    if packet.protocol == "icmp":
        yield f"icmp_type={128 if six else 8}"
        yield "icmp_code=0"
    else:
        yield f"tp_src={packet.source_port}"
        yield f"tp_dst={packet.port}"
    if packet.protocol == "tcp":
        yield "tcp_flags=syn"
