"""A connection with the switch on which samples of packets come: its management socket, once more.

Who is connected there hears nothing until he asks for packets by how much of them he wants (nothing is the
default). So the connections by which flows are changed and questions are asked do not get any.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from openflow.channel import ECHO_REPLY, ECHO_REQUEST, HEADER, Channel
from openflow.errors import SwitchError
from openflow.flow import SAMPLED_BYTES
from openflow.switch import FRAGMENTS
from openflow.tables import OUT, WHY

log = logging.getLogger(__name__)

VERSION = 5
"""OpenFlow 1.4."""
HELLO, SET_CONFIG, PACKET_IN = 0, 9, 10
_CONFIG = struct.Struct("!HH")
# OpenFlow 1.4.1 §7.4.1: buffer, length, reason, table, cookie; the match; padding and the packet follow
_PACKET_IN = struct.Struct("!IHBBQ")
_MATCH_AT = HEADER.size + _PACKET_IN.size
_MATCH = struct.Struct("!HH")
PADDING_BYTES = 2
_FIELD = struct.Struct("!II")
"""Class, field and length (OpenFlow 1.4.1 §7.2.2.2), and a value of four bytes."""
_IN_PORT = 0x80000004
_NAMES = {_IN_PORT: "in_port"} | {1 << 16 | int(name[3:]) << 9 | 4: name for name in (OUT, WHY)}
"""The fields of interest by their headers: the port, and registers (nicira-ext.h)."""

REDIAL_S = 1.0
SILENT_S = 5.0
"""After so long without a message the switch is asked for an echo."""


class Sample(NamedTuple):
    """A packet that the switch sent a copy of: what it knew of it, and its first bytes."""

    metadata: Mapping[str, int]
    """The port that it came in by, and of `OUT` and `WHY` what is not 0."""
    frame: bytes


class Listener:
    """Listens in a thread of its own, again after each loss. `start` and `stop` once each.

    Args:
        path: of the management socket.
        heard: called with each sample, in that thread; it must not wait.
    """

    def __init__(self, path: Path, heard: Callable[[Sample], None]) -> None:
        self._path = path
        self._heard = heard
        self._ended = threading.Event()
        self._channel: Channel | None = None
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End; the switch goes on. Idempotent."""
        self._ended.set()
        if (channel := self._channel) is not None:
            channel.close()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self._path))
            except OSError:
                connection.close()
            else:
                self._channel = Channel(connection, VERSION)
                self._serve(self._channel)
                self._channel.release()
            self._ended.wait(REDIAL_S)

    def _serve(self, channel: Channel) -> None:
        """Until the connection ends."""
        config = _CONFIG.pack(FRAGMENTS, SAMPLED_BYTES)
        try:
            channel.send(_message(HELLO, b"") + _message(SET_CONFIG, config))
            asked = False
            while not self._ended.is_set():
                message = channel.receive(SILENT_S)
                if message is None:
                    if asked:
                        return
                    channel.send(_message(ECHO_REQUEST, b""))
                    asked = True
                    continue
                asked = False
                if message.type == PACKET_IN:
                    self._heard(sample_of(message.data))
                elif message.type == ECHO_REQUEST:
                    channel.send(_message(ECHO_REPLY, message.data[HEADER.size :], message.xid))
        except SwitchError as fault:
            log.debug("samples end why=%s", fault)
        finally:
            channel.close()


def sample_of(message: bytes) -> Sample:
    """Read a packet that the switch sends. Raises `SwitchError` when it makes no sense."""
    try:
        _, length = _MATCH.unpack_from(message, _MATCH_AT)
        metadata = dict(_fields(message[_MATCH_AT + _MATCH.size : _MATCH_AT + length]))
    except struct.error as fault:
        raise SwitchError(f"the switch's packet does not decode: {fault}") from fault
    return Sample(metadata, message[_MATCH_AT + length + (-length & 7) + PADDING_BYTES :])


def _fields(match: bytes) -> Iterator[tuple[str, int]]:
    """Those of interest. A packet of a connection has others, of which os-ken misreads some."""
    start = 0
    while start < len(match):
        header, value = _FIELD.unpack_from(match.ljust(start + _FIELD.size, b"\0"), start)
        if header in _NAMES:
            yield _NAMES[header], value
        start += 4 + (header & 0xFF)


def _message(kind: int, body: bytes, xid: int = 0) -> bytes:
    return HEADER.pack(VERSION, kind, HEADER.size + len(body), xid) + body
