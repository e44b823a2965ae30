"""The addresses and ports in the first bytes of an Ethernet frame, and nothing else of it. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from openflow.flow import IPAddress

ETHERNET_BYTES, TAG_BYTES = 14, 4
TAGS = frozenset({0x8100, 0x88A8})
"""Of VLANs (IEEE 802.1Q): another EtherType follows."""
IPV4, IPV6 = 0x0800, 0x86DD
IPV6_BYTES = 40
FRAGMENT = 44
EXTENSIONS = frozenset({0, 43, 60})
"""Of IPv6 (RFC 8200 §4): by hop, of routing and for the destination. Their lengths are told in eights."""
WITH_PORTS = frozenset({6, 17, 132})
_WORD = struct.Struct("!H")
_PORTS = struct.Struct("!HH")


class Headers(NamedTuple):
    """Who a packet is from and for. What it does not have, or what was cut off, is None."""

    eth_type: int
    source: IPAddress | None = None
    destination: IPAddress | None = None
    protocol: int | None = None
    """IANA's number; of IPv6 that behind the extension headers."""
    source_port: int | None = None
    destination_port: int | None = None


def headers(frame: bytes) -> Headers:
    """Read a frame that may be cut off anywhere. What somebody made up reads as whatever it says."""
    at = ETHERNET_BYTES
    eth_type = _number(frame, at - 2)
    while eth_type in TAGS:
        at += TAG_BYTES
        eth_type = _number(frame, at - 2)
    packet = frame[at:]
    if eth_type == IPV4 and len(packet) >= 20:
        return _ipv4(packet)
    if eth_type == IPV6 and len(packet) >= IPV6_BYTES:
        return _ipv6(packet)
    return Headers(eth_type)


def _ipv4(packet: bytes) -> Headers:
    # RFC 791 §3.1: the length of the header in words; the place of a fragment in the lower 13 bits
    later = _number(packet, 6) & 0x1FFF
    payload = b"" if later else packet[(packet[0] & 0xF) * 4 :]
    ends = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
    return Headers(IPV4, *ends, packet[9], *_ports(packet[9], payload))


def _ipv6(packet: bytes) -> Headers:
    ends = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    protocol, payload = packet[6], packet[IPV6_BYTES:]
    while protocol in EXTENSIONS | {FRAGMENT} and len(payload) >= 8:
        later = protocol == FRAGMENT and _number(payload, 2) >> 3
        length = 8 if protocol == FRAGMENT else (payload[1] + 1) * 8
        protocol, payload = payload[0], payload[length:]
        if later:
            return Headers(IPV6, *ends, protocol)
    return Headers(IPV6, *ends, protocol, *_ports(protocol, payload))


def _ports(protocol: int, payload: bytes) -> Iterator[int]:
    if protocol in WITH_PORTS and len(payload) >= _PORTS.size:
        yield from _PORTS.unpack_from(payload)


def _number(data: bytes, at: int) -> int:
    return int(_WORD.unpack_from(data, at)[0]) if len(data) >= at + _WORD.size else 0
