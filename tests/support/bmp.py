"""What a router sends by BMP, made from values: the other side of `bgp.bmp`, written from RFC 7854."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from bgp.bmp.wire import IPAddress, IPNetwork

MARKER = b"\xff" * 16
ROUTER, NODE = ip_address("10.9.0.0"), ip_address("10.9.0.1")
ROUTER6, NODE6 = ip_address("fd09::"), ip_address("fd09::1")
POST, ADJ_OUT = 0x40, 0x10


def message(kind: int, body: bytes) -> bytes:
    """A message with its common header."""
    return struct.pack(">BIB", 3, len(body) + 6, kind) + body


def information(kind: int, text: str) -> bytes:
    """An Information TLV."""
    return struct.pack(">HH", kind, len(text)) + text.encode()


def initiation(name: str = "tor", description: str = "a router") -> bytes:
    return message(4, information(1, description) + information(2, name))


def termination(code: int) -> bytes:
    return message(5, struct.pack(">HHH", 1, 2, code))


def peer_header(node: IPAddress, flags: int = 0, kind: int = 0, instance: int = 0) -> bytes:
    """The per-peer header; the V flag follows from the address."""
    v_flag = 0x80 if node.version == 6 else 0
    return struct.pack(">BBQ", kind, flags | v_flag, instance) + _in_16(node) + bytes(16)


def peer_up(node: IPAddress = NODE, router: IPAddress = ROUTER, instance: int = 0) -> bytes:
    ends = _in_16(router) + struct.pack(">HH", 179, 40000)
    opens = bgp(1, bytes(10)) * 2
    return message(3, peer_header(node, instance=instance) + ends + opens)


def peer_down(node: IPAddress = NODE, reason: bytes = b"\x02\x00\x00") -> bytes:
    return message(2, peer_header(node) + reason)


def monitoring(update: bytes, node: IPAddress = NODE, flags: int = POST, kind: int = 0) -> bytes:
    return message(0, peer_header(node, flags, kind) + update)


def tells(
    *announced: object, withdrawn: Iterable[object] = (), node: IPAddress = NODE, flags: int = POST
) -> bytes:
    """Route Monitoring of prefixes, as text or not, of either family."""
    return monitoring(update(_networks(announced), _networks(withdrawn)), node, flags)


def bgp(kind: int, body: bytes) -> bytes:
    """A BGP message with its header."""
    return MARKER + struct.pack(">HB", len(body) + 19, kind) + body


def update(announced: Iterable[IPNetwork] = (), withdrawn: Iterable[IPNetwork] = ()) -> bytes:
    """An UPDATE: IPv4 in its own fields, IPv6 in MP_REACH_NLRI and MP_UNREACH_NLRI."""
    announced, withdrawn = tuple(announced), tuple(withdrawn)
    attributes = b"\x40\x01\x01\x00"  # ORIGIN IGP
    if gone := _nlri(withdrawn, 6):
        attributes += _attribute(15, b"\x00\x02\x01" + gone)
    if reached := _nlri(announced, 6):
        attributes += _attribute(14, b"\x00\x02\x01\x10" + NODE6.packed + b"\x00" + reached)
    old = _nlri(withdrawn, 4)
    body = struct.pack(">H", len(old)) + old + struct.pack(">H", len(attributes)) + attributes
    return bgp(2, body + _nlri(announced, 4))


def end_of_rib(version: int = 4) -> bytes:
    """RFC 4724 §2."""
    if version == 4:
        return bgp(2, bytes(4))
    attribute = _attribute(15, b"\x00\x02\x01")
    return bgp(2, bytes(2) + struct.pack(">H", len(attribute)) + attribute)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", 0x90, kind, len(value)) + value


def _nlri(prefixes: Iterable[IPNetwork], version: int) -> bytes:
    return b"".join(
        bytes([prefix.prefixlen]) + prefix.network_address.packed[: (prefix.prefixlen + 7) // 8]
        for prefix in prefixes
        if prefix.version == version
    )


def _networks(prefixes: Iterable[object]) -> list[IPNetwork]:
    return [ip_network(str(prefix)) for prefix in prefixes]


def _in_16(address: IPv4Address | IPv6Address) -> bytes:
    return address.packed.rjust(16, b"\0")
