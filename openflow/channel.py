"""One OpenFlow connection: whole messages in and out, and requests matched with their replies by xid.

Bytes only; what they mean is the business of `openflow.switch`. One thread reads (`serve`); any thread may
`exchange`, one at a time. A peer that is silent is asked for an echo, and given up when it stays silent.
"""

from __future__ import annotations

import logging
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple, Protocol

from openflow.errors import Disconnected

log = logging.getLogger(__name__)

# OpenFlow 1.4.1 §7.1.1: version, type, length, xid; the length covers the header
HEADER = struct.Struct("!BBHI")
ERROR, ECHO_REQUEST, ECHO_REPLY, MULTIPART_REPLY = 1, 2, 3, 19
MULTIPART_FLAGS = struct.Struct("!H")
MULTIPART_MORE = 1

ECHO_INTERVAL_S = 1.0
MAX_UNREPLIED_ECHOS = 3
SEND_TIMEOUT_S = 5
SENT_TOGETHER = 1024
"""Requests that are sent in one piece."""
UNSOLICITED_XID = 0
LAST_XID = 0x7FFFFFFF


class Requests(Protocol):
    """Requests of which the number is known; each is made when it is its turn."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...


class Message(NamedTuple):
    """One message as read: `data` is all of it, header included."""

    version: int
    type: int
    xid: int
    data: bytes


class Channel:
    """A connected socket that speaks OpenFlow of one version. It owns the socket.

    Args:
        connection: the socket.
        version: of OpenFlow.
        unasked: called by `serve` with what answers nothing; it must return at once.
    """

    def __init__(
        self,
        connection: socket.socket,
        version: int,
        unasked: Callable[[Message], None] = lambda _message: None,
    ) -> None:
        self._socket = connection
        self._version = version
        self._unasked = unasked
        self._received = bytearray()
        self._sending = threading.Lock()
        self._exchanging = threading.Lock()
        self._next_xid = 1
        self._answer = threading.Condition()
        self._expected: range = range(0)
        self._replies: list[Message] = []
        self._closed = False
        # A send must not wait for ever for a peer that stopped; reading has poll for that.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_TIMEOUT_S, 0))

    def send(self, data: bytes) -> None:
        """Send whole messages. Blocking, at most `SEND_TIMEOUT_S`. Raises `Disconnected`."""
        try:
            with self._sending:
                self._socket.sendall(data)
        except OSError as fault:
            self.close()
            raise Disconnected(f"sending to the switch: {fault}") from fault

    def exchange(self, build: Callable[[int], Requests], *, timeout_s: float) -> list[Message]:
        """Send requests and wait for the reply to the last one.

        Args:
            build: makes the requests when given the first xid; they take consecutive ones. They are sent
                while they are made, so that the peer works on the first ones already.
            timeout_s: seconds to wait.

        Returns:
            Every message that answers one of the requests, in the order of arrival. The last is the reply
            to the last request: all parts of it when it came in parts.

        Raises:
            Disconnected: the connection ended, or no reply came in time (which ends it too, as what
                the switch did is unknown).
        """
        with self._exchanging:
            requests = iter(self._expect(build))
            while part := b"".join(islice(requests, SENT_TOGETHER)):
                self.send(part)
            with self._answer:
                answered = self._answer.wait_for(lambda: self._closed or self._complete(), timeout_s)
                replies, complete = self._replies, self._complete()
                self._expected, self._replies = range(0), []
        if complete:
            return replies
        self.close()
        raise Disconnected("the connection ended" if answered else f"no reply within {timeout_s:g} s")

    def _expect(self, build: Callable[[int], Requests]) -> Requests:
        if self._next_xid > LAST_XID:
            self._next_xid = 1
        requests = build(self._next_xid)
        with self._answer:
            self._expected = range(self._next_xid, self._next_xid + len(requests))
        self._next_xid = self._expected.stop
        return requests

    def _complete(self) -> bool:
        return bool(self._replies) and self._ends(self._replies[-1])

    def _ends(self, message: Message) -> bool:
        if message.xid != self._expected.stop - 1:
            return False
        if message.type != MULTIPART_REPLY:
            return True
        (flags,) = MULTIPART_FLAGS.unpack_from(message.data, HEADER.size + 2)
        return not flags & MULTIPART_MORE

    def receive(self, timeout_s: float) -> Message | None:
        """The next message; None when the peer is gone, or silent for `timeout_s` seconds."""
        while True:
            if (message := self._cut()) is not None:
                return message
            if not self._readable(timeout_s) or not self._read():
                return None

    def serve(self) -> None:
        """Read until the connection ends: answer echos, hand replies to who waits for them. Blocking."""
        unreplied = 0
        try:
            while unreplied <= MAX_UNREPLIED_ECHOS:
                if not self._readable(ECHO_INTERVAL_S):
                    unreplied += 1
                    self.send(self._echo(ECHO_REQUEST, UNSOLICITED_XID, b""))
                    continue
                if not self._read():
                    return
                unreplied = 0
                while (message := self._cut()) is not None:
                    self._handle(message)
            log.warning("switch silent echos=%d", MAX_UNREPLIED_ECHOS)
        except Disconnected as fault:
            log.warning("switch lost reason=%s", fault)
        finally:
            self.close()

    def close(self) -> None:
        """End the connection, from any thread; whoever waits gets `Disconnected`. Idempotent."""
        with self._answer:
            self._closed = True
            self._answer.notify_all()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the peer was first

    def release(self) -> None:
        """Give the socket back. Only after `serve` has returned."""
        self._socket.close()

    def _handle(self, message: Message) -> None:
        if message.type == ECHO_REQUEST:
            self.send(self._echo(ECHO_REPLY, message.xid, message.data[HEADER.size :]))
            return
        with self._answer:
            if message.xid in self._expected:
                self._replies.append(message)
                if self._ends(message):
                    self._answer.notify_all()
                return
        if message.type == ERROR:
            log.warning("switch error unasked xid=%d data=%s", message.xid, message.data[HEADER.size :].hex())
            return
        self._unasked(message)

    def _echo(self, kind: int, xid: int, payload: bytes) -> bytes:
        return HEADER.pack(self._version, kind, HEADER.size + len(payload), xid) + payload

    def _readable(self, timeout_s: float) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def _read(self) -> bool:
        try:
            data = self._socket.recv(1 << 18)
        except OSError:
            return False
        self._received += data
        return bool(data)

    def _cut(self) -> Message | None:
        if len(self._received) < HEADER.size:
            return None
        version, kind, length, xid = HEADER.unpack_from(self._received)
        if length < HEADER.size:
            raise Disconnected(f"a message of {length} bytes is none")
        if len(self._received) < length:
            return None
        data = bytes(self._received[:length])
        del self._received[:length]
        return Message(version, kind, xid, data)
