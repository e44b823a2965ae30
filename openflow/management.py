"""A second connection with the switch, for questions: its management socket, which every bridge has.

What is asked here takes no turn of the connection by which flows are changed (`openflow.switch`), so a
question that takes long delays no change. It is opened for one question and closed.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from openflow.channel import ERROR, HEADER, MULTIPART_FLAGS, MULTIPART_MORE, MULTIPART_REPLY
from openflow.cookie import OWNER, OWNER_MASK, Purpose, decode
from openflow.decoding import BODY_AT, Counted, Decoder
from openflow.errors import Disconnected, SwitchError
from openflow.meter import Meter, MeterCount
from openflow.meter_messages import ask_counts, ask_meters, read_counts, read_meters
from openflow.render import flow_stats_request

VERSION = 5
"""OpenFlow 1.4."""
HELLO = 0
# OpenFlow 1.4.1 §7.3.5: type, flags, padding; §7.3.5.7: port, padding
_PORTS_REQUEST = struct.Struct("!HH4xI4x")
_MULTIPART_REQUEST, _PORT_STATS, _ANY_PORT = 18, 4, 0xFFFFFFFF
_PORT = struct.Struct("!H2xI8xQQQQQQ")
"""Length, port, [duration]; packets, bytes and drops, each received and sent."""

OVS_RUN_DIR = Path("/var/run/openvswitch")
"""Where it is when the database is reached otherwise."""

TIMEOUT_S = 3.0
XID = 1


class PortCounted(NamedTuple):
    """What a port has counted, as the switch sees it: received is what came from the port."""

    received_packets: int
    sent_packets: int
    received_bytes: int
    sent_bytes: int
    received_dropped: int
    sent_dropped: int


def ovs_run_dir(ovsdb: str) -> Path:
    """The run directory of Open vSwitch: where the socket of its database is."""
    kind, _, where = ovsdb.partition(":")
    return Path(where).parent if kind == "unix" else OVS_RUN_DIR


def socket_path(run_dir: Path, bridge: str) -> Path:
    """Where the management socket of a bridge is, in the run directory of Open vSwitch."""
    return run_dir / f"{bridge}.mgmt"


class Management:
    """Questions to one bridge. Each call is a connection of its own; any thread may call.

    Every call blocks for at most some seconds. Raises `Disconnected` when the switch is away, and
    `SwitchError` when its answer makes no sense.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def flows(self) -> list[Counted]:
        """Every flow of ours with its counters."""
        return self._counters(OWNER, OWNER_MASK)

    def counters(self) -> list[Counted]:
        """Every flow of ours that counts: all but the parts of the matches of rules."""
        return self._counters(OWNER, OWNER_MASK | Purpose.CLAUSE << 16)

    def drops(self, decoder: Decoder | None = None) -> list[Counted]:
        """Every flow of ours that drops: the switch picks them out by a bit of their purpose.

        Args:
            decoder: of whoever asks again and again.
        """
        drops = Purpose.SPOOFED << 16
        return [
            one
            for one in self._counters(OWNER | drops, OWNER_MASK | drops, decoder)
            if (cookie := decode(one.flow.cookie)) is not None and cookie.purpose >= Purpose.SPOOFED
        ]

    def dump(self) -> list[bytes]:
        """The messages that tell every flow of ours, for a `Decoder`."""
        return self._told(OWNER, OWNER_MASK)

    def _counters(self, cookie: int, mask: int, decoder: Decoder | None = None) -> list[Counted]:
        return (decoder or Decoder()).read(self._told(cookie, mask))

    def _told(self, cookie: int, mask: int) -> list[bytes]:
        request = flow_stats_request(cookie, mask)
        request.set_xid(XID)
        request.serialize()
        return self._ask(bytes(request.buf))

    def ports(self) -> dict[int, PortCounted]:
        """What each port has counted, by its OpenFlow number."""
        body = _PORTS_REQUEST.pack(_PORT_STATS, 0, _ANY_PORT)
        request = HEADER.pack(VERSION, _MULTIPART_REQUEST, HEADER.size + len(body), XID) + body
        return dict(one for reply in self._ask(request) for one in _ports(reply))

    def meters(self) -> dict[int, Meter]:
        """The meters, by number."""
        return read_meters(self._ask(ask_meters(XID)))

    def meter_counts(self) -> dict[int, MeterCount]:
        """What each meter has let through and dropped, by number."""
        return read_counts(self._ask(ask_counts(XID)))

    def _ask(self, request: bytes) -> list[bytes]:
        with _opened(self._path) as stream:
            return list(_parts(stream, request))


def _ports(reply: bytes) -> Iterator[tuple[int, PortCounted]]:
    start = BODY_AT
    while start < len(reply):
        try:
            length, number, *counted = _PORT.unpack_from(reply, start)
        except struct.error as fault:
            raise SwitchError(f"the switch's answer does not decode: {fault}") from fault
        if length < _PORT.size:
            raise SwitchError(f"a port of {length} bytes is none")
        yield number, PortCounted(*counted)
        start += length


@contextmanager
def _opened(path: Path) -> Iterator[socket.socket]:
    """A connection whose handshake is done (OpenFlow 1.4.1 §6.3.1)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(TIMEOUT_S)
        try:
            stream.connect(str(path))
            stream.sendall(HEADER.pack(VERSION, HELLO, HEADER.size, XID))
            if _message(stream)[0] < VERSION:
                raise SwitchError("it does not speak OpenFlow 1.4")
            yield stream
        except OSError as fault:
            raise Disconnected(f"the switch cannot be asked at {path}: {fault.strerror or fault}") from fault


def _parts(stream: socket.socket, request: bytes) -> Iterator[bytes]:
    """Each message that answers a request."""
    stream.sendall(request)
    more = True
    while more:
        data = _message(stream)
        _version, kind, _length, xid = HEADER.unpack_from(data)
        if xid != XID or kind not in {ERROR, MULTIPART_REPLY}:
            continue
        if kind == ERROR:
            raise SwitchError("the switch refuses to tell")
        (flags,) = MULTIPART_FLAGS.unpack_from(data, HEADER.size + 2)
        more = bool(flags & MULTIPART_MORE)
        yield data


def _message(stream: socket.socket) -> bytes:
    header = _exactly(stream, HEADER.size)
    _version, _kind, length, _xid = HEADER.unpack(header)
    return header + _exactly(stream, max(0, length - HEADER.size))


def _exactly(stream: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise Disconnected("the switch ended the connection")
        data += piece
    return bytes(data)
