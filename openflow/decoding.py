"""The flows that a switch tells of, read by hand: what os-ken would read, many times as fast.

A dump of thousands of flows consists of the same fields and actions again and again, and most of its flows
were in the last dump. So what bytes mean is asked of os-ken (`openflow.render`) once and kept.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from openflow.encoding import EXPERIMENTER
from openflow.errors import SwitchError
from openflow.flow import Flow, MatchValue
from openflow.render import actions_of, field_of

# OpenFlow 1.4.1 §7.3.5.2, the reply: message header, type, flags, padding; then the flows
BODY_AT = 16
# length, table, [duration], priority, [timeouts, flags, importance], cookie, packets, bytes
_STATS = struct.Struct("!HBx8xH10xQQQ")
_TLV = struct.Struct("!HH")
_FIELD_HEADER_BYTES = 4
"""OpenFlow 1.4.1 §7.2.2.2: class, field and whether it has a mask, length of what follows."""
_HAS_MASK = 1
_MAC_BYTES = 6
_FIELDS_KEPT = 1 << 16
_INSTRUCTIONS_KEPT = 1 << 14


class Counted(NamedTuple):
    """A flow as the switch holds it, and what it has counted; some hundred milliseconds late."""

    flow: Flow
    packets: int
    bytes: int


_Wire = tuple[int, int, int, bytes]
"""A flow as told, without what it has counted: table, priority, cookie; match and instructions. A plain
tuple of such values is none that Python looks through for garbage again and again."""


class Decoder:
    """Reads dumps, one at a time. An unchanged flow is the same object as in the last one."""

    def __init__(self) -> None:
        self._known: dict[_Wire, Flow] = {}

    def read(self, replies: Iterable[bytes]) -> list[Counted]:
        """The flows of one dump: of the messages that answer it.

        Raises:
            SwitchError: they make no sense.
        """
        return [counted for part in self.parts(replies) for counted in part]

    def parts(self, replies: Iterable[bytes]) -> Iterator[list[Counted]]:
        """The same, message by message, each read when it is asked for. Raises likewise."""
        before, self._known = self._known, {}
        for reply in replies:
            try:
                yield [*self._flows(reply, before)]
            except (struct.error, ValueError) as fault:
                raise SwitchError(f"the switch's answer does not decode: {fault}") from fault

    def _flows(self, reply: bytes, before: Mapping[_Wire, Flow]) -> Iterator[Counted]:
        start = BODY_AT
        while start < len(reply):
            length, table_id, priority, cookie, packets, octets = _STATS.unpack_from(reply, start)
            if length < _STATS.size or start + length > len(reply):
                raise ValueError(f"a flow of {length} bytes is none")
            wire = (table_id, priority, cookie, reply[start + _STATS.size : start + length])
            flow = before.get(wire) or _flow(wire)
            self._known[wire] = flow
            yield Counted(flow, packets, octets)
            start += length


def _flow(wire: _Wire) -> Flow:
    table_id, priority, cookie, rest = wire
    _, length = _TLV.unpack_from(rest)
    match = tuple(_fields(rest[_TLV.size : length]))
    instructions = rest[length + (-length & 7) :]
    return Flow(table_id, priority, match, _actions(instructions), cookie)


def _fields(data: bytes) -> Iterator[tuple[str, MatchValue]]:
    start = 0
    while start < len(data):
        end = start + _FIELD_HEADER_BYTES + data[start + _FIELD_HEADER_BYTES - 1]
        yield _field(data[start:end])
        start = end


@lru_cache(maxsize=_FIELDS_KEPT)
def _field(data: bytes) -> tuple[str, MatchValue]:
    name, read = _reader(data[:_FIELD_HEADER_BYTES])
    return field_of(data) if read is None else (name, read(data[_FIELD_HEADER_BYTES:]))


@lru_cache(maxsize=256)
def _reader(header: bytes) -> tuple[str, Callable[[bytes], MatchValue] | None]:
    """The field of a header and how its value is read, learnt from a sample; None leaves it to os-ken."""
    if header[:2] == EXPERIMENTER or header[2] & _HAS_MASK:
        return "", None
    name, sample = field_of(header + bytes(header[3]))
    if isinstance(sample, str):
        return name, _mac if header[3] == _MAC_BYTES else None
    return name, _READERS.get(type(sample))


def _mac(data: bytes) -> str:
    return data.hex(":")


_READERS: dict[type, Callable[[bytes], MatchValue]] = {
    int: lambda data: int.from_bytes(data, "big"),
    IPv4Address: IPv4Address,
    IPv6Address: IPv6Address,
}
_actions = lru_cache(maxsize=_INSTRUCTIONS_KEPT)(actions_of)
