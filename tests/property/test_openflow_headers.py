"""Headers read from frames: what was written is read, and whatever is cut off or made up breaks nothing."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from openflow.headers import WITH_PORTS, Headers, headers

ports = st.integers(0, 65535)
protocols = st.sampled_from([6, 17, 132, 1, 58, 47])
tags = st.lists(st.sampled_from([b"\x81\x00", b"\x88\xa8"]), max_size=2)
EXTENSIONS = st.lists(st.sampled_from([0, 43, 60, 44]), max_size=3)


def framed(eth_type: int, packet: bytes, tagged: list[bytes]) -> bytes:
    return bytes(12) + b"".join(tag + b"\x00\x64" for tag in tagged) + struct.pack("!H", eth_type) + packet


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), protocols, ports, ports, st.integers(5, 15), tags)
def test_ipv4(
    source: IPv4Address,
    target: IPv4Address,
    protocol: int,
    sport: int,
    dport: int,
    words: int,
    tag: list[bytes],
) -> None:
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, 0, 0, 0x4000, 64, protocol, 0)
    packet = head + source.packed + target.packed + bytes(words * 4 - 20) + struct.pack("!HH", sport, dport)
    has = (sport, dport) if protocol in WITH_PORTS else (None, None)
    assert headers(framed(0x0800, packet, tag)) == Headers(0x0800, source, target, protocol, *has)


@given(st.ip_addresses(v=6), st.ip_addresses(v=6), protocols, ports, ports, EXTENSIONS, tags)
def test_ipv6(
    source: IPv6Address,
    target: IPv6Address,
    protocol: int,
    sport: int,
    dport: int,
    extensions: list[int],
    tag: list[bytes],
) -> None:
    chain = [*extensions, protocol]
    head = struct.pack("!IHBB", 6 << 28, 0, chain[0], 64) + source.packed + target.packed
    packet = (
        head + b"".join(bytes([after]) + bytes(7) for after in chain[1:]) + struct.pack("!HH", sport, dport)
    )
    has = (sport, dport) if protocol in WITH_PORTS else (None, None)
    assert headers(framed(0x86DD, packet, tag)) == Headers(0x86DD, source, target, protocol, *has)


@given(st.sampled_from([0x0800, 0x86DD, 0x8100, 0x0806]), st.binary(max_size=120), st.integers(0, 134))
def test_what_is_made_up_or_cut_off_is_read_as_far_as_it_goes(kind: int, made_up: bytes, length: int) -> None:
    found = headers(framed(kind, made_up, [])[:length])
    assert (found.source is None) == (found.protocol is None)
    assert found.source_port is None or found.protocol in WITH_PORTS


def test_a_later_fragment_has_no_ports() -> None:
    four = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0x0001, 64, 17, 0) + bytes(12)
    six = struct.pack("!IHBB", 6 << 28, 0, 44, 64) + bytes(32) + struct.pack("!BBHI", 17, 0, 8, 0) + bytes(4)
    assert headers(framed(0x0800, four, []))[3:] == (17, None, None)
    assert headers(framed(0x86DD, six, []))[3:] == (17, None, None)
