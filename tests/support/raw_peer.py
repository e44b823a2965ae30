"""A BGP peer that a test plays itself: it completes OPEN and KEEPALIVE, then sends the bytes it is given."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from ipaddress import IPv4Address
from typing import Self

from lab import netns
from lab.wait import wait_until

PORT = 179
MARKER = b"\xff" * 16
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4
UP_S = 10.0


def message(kind: int, body: bytes = b"", *, marker: bytes = MARKER, length: int | None = None) -> bytes:
    """One message (RFC 4271 §4.1); marker and length may be wrong."""
    return marker + struct.pack("!HB", 19 + len(body) if length is None else length, kind) + body


def attribute(kind: int, value: bytes, *, flags: int = 0x40, length: int | None = None) -> bytes:
    """One path attribute (RFC 4271 §4.3); the length may be wrong."""
    return struct.pack("!BBB", flags, kind, len(value) if length is None else length) + value


def update(attributes: bytes, nlri: bytes) -> bytes:
    """An UPDATE that withdraws nothing."""
    return message(UPDATE, struct.pack("!HH", 0, len(attributes)) + attributes + nlri)


class RawPeer:
    """Listens in a namespace at an address, and serves one session after the other. A context manager.

    `sessions` counts the sessions that came up, `updates` the UPDATEs of the last one.
    """

    def __init__(self, namespace: str, address: IPv4Address, asn: int) -> None:
        self.sessions = 0
        self.updates = 0
        self.notification: tuple[int, int] | None = None
        self._address, self._asn = address, asn
        self._listener = netns.within(namespace, lambda: socket.create_server((str(address), PORT)))
        self._session: socket.socket | None = None
        self._up = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        if self._session is not None:
            with contextlib.suppress(OSError):
                self._session.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def wait_sessions(self, count: int) -> None:
        """Wait until so many sessions have come up, the last of them with an UPDATE."""
        wait_until(lambda: self.sessions >= count and self.updates, UP_S, f"session {count} and an UPDATE")

    def wait_updates(self, count: int) -> None:
        """Wait until the session has brought so many UPDATEs."""
        wait_until(lambda: self.updates, UP_S, f"{count} UPDATEs", good=lambda seen: seen >= count)

    def send(self, data: bytes) -> None:
        """Send bytes on the session that is up. Raises OSError when it ends meanwhile."""
        assert self._session is not None
        self._session.sendall(data)

    def _serve(self) -> None:
        while True:
            try:
                session, _ = self._listener.accept()
            except OSError:
                return
            with session, contextlib.suppress(OSError), session.makefile("rb") as coming:
                self.updates, self._up, self._session = 0, False, session
                while header := coming.read(19):
                    length, kind = struct.unpack("!HB", header[16:])
                    self._take(session, kind, coming.read(length - 19))

    def _take(self, session: socket.socket, kind: int, body: bytes) -> None:
        if kind == OPEN:
            capabilities = b"\x01\x04\x00\x01\x00\x01" + b"\x41\x04" + struct.pack("!I", self._asn)
            options = struct.pack("!BB", 2, len(capabilities)) + capabilities
            identity = struct.pack("!BHH4sB", 4, self._asn, 90, self._address.packed, len(options))
            session.sendall(message(OPEN, identity + options) + message(KEEPALIVE))
        elif kind == KEEPALIVE and not self._up:
            self._up = True
            self.sessions += 1
        elif kind == UPDATE:
            self.updates += 1
        elif kind == NOTIFICATION:
            self.notification = (body[0], body[1])
