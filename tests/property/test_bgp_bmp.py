"""Whatever a router sends is read as it was meant, the same however it is cut, or is `Malformed`."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bgp.bmp.framing import Frame, Framer
from bgp.bmp.message import Rib, parse
from bgp.bmp.table import RouterTable
from bgp.bmp.update import parse as parse_update
from bgp.bmp.wire import IPNetwork, Malformed
from tests.support import bmp

ipv4 = st.builds(
    lambda number, length: IPv4Network((number >> (32 - length) << (32 - length), length)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
ipv6 = st.builds(
    lambda number, length: IPv6Network((number >> (128 - length) << (128 - length), length)),
    st.integers(0, 2**128 - 1),
    st.integers(0, 128),
)
prefixes = st.lists(ipv4 | ipv6, max_size=12)
sound = st.one_of(
    st.just(bmp.initiation()),
    st.just(bmp.peer_up()),
    st.just(bmp.peer_down()),
    st.just(bmp.termination(0)),
    st.builds(lambda to, gone: bmp.monitoring(bmp.update(to, gone)), prefixes, prefixes),
)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A sound message of which some bytes are others, or are not there."""
    data = bytearray(draw(sound))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


streams = st.lists(sound | spoiled() | st.binary(max_size=80), max_size=6).map(b"".join)


def outcome(pieces: Sequence[bytes]) -> tuple[list[Frame], str]:
    """The frames of a stream that comes in pieces, and the error that ends it."""
    framer, frames = Framer(), []
    try:
        for piece in pieces:
            for frame in framer.take(piece):
                frames.append(frame)
    except Malformed as fault:
        return frames, str(fault)
    return frames, ""


@given(streams, st.lists(st.integers(0, 400), max_size=8))
def test_it_does_not_matter_where_a_stream_is_cut(stream: bytes, places: list[int]) -> None:
    cuts = [0, *sorted(min(place, len(stream)) for place in places), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(cuts)]
    assert outcome(pieces) == outcome([stream])
    assert outcome([bytes([byte]) for byte in stream]) == outcome([stream])


@given(streams)
def test_nothing_but_malformed_is_ever_raised(stream: bytes) -> None:
    table = RouterTable(max_sessions=2, max_prefixes=8)
    frames, _ = outcome([stream])
    for frame in frames:
        try:
            table.take(parse(frame))
        except Malformed:
            continue
    assert all(each.size <= 8 for each in table)


@given(st.binary(max_size=120) | spoiled())
def test_an_update_is_read_or_is_malformed(data: bytes) -> None:
    for update in (data, bmp.bgp(2, data)):
        try:
            parse_update(update)
        except Malformed:
            continue


@given(prefixes, prefixes)
def test_what_was_written_is_read(announced: list[IPNetwork], withdrawn: list[IPNetwork]) -> None:
    read = parse_update(bmp.update(announced, withdrawn))
    assert sorted(read.announced, key=str) == sorted(announced, key=str)
    assert sorted(read.withdrawn, key=str) == sorted(withdrawn, key=str)


@given(st.lists(st.tuples(prefixes, prefixes), max_size=4))
def test_the_table_is_what_a_set_would_be(steps: list[tuple[list[IPNetwork], list[IPNetwork]]]) -> None:
    stream = bmp.peer_up() + b"".join(bmp.monitoring(bmp.update(to, gone)) for to, gone in steps)
    table, expected = RouterTable(), set[IPNetwork]()
    for frame in Framer().take(stream):
        table.take(parse(frame))
    for announced, withdrawn in steps:
        expected = (expected - set(withdrawn)) | set(announced)
    (held,) = table
    assert held.tables.get(Rib.IN_POST_POLICY, set()) == expected
