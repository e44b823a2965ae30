"""The helper that ExaBGP starts: carries lines between ExaBGP's pipes and one client on a unix socket.

ExaBGP gives its pipes to nobody but its own child, stops when a helper dies too often, and freezes when
its answers are not read. So this one stays small, uses the standard library only (it is run with
`-I -S`), always reads what ExaBGP says, and outlives the clients, which come and go:

    client -> commands, whole lines only -> ExaBGP
    client <- what a new client has to know, `ready`, then everything ExaBGP says <- ExaBGP

Answers carry no number, so those to commands of a client that has gone would be taken for answers to the
next one's. They are counted and swallowed before the next client is greeted. A second client at the same
time is told `busy`.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys

READ_BYTES = 65536
TO_CLIENT_BYTES = 16 * 1024 * 1024
"""More than this unread, and the client is dropped; it reads everything back when it returns."""
TO_EXABGP_BYTES = 256 * 1024
"""More than this unsent, and the client is not read until ExaBGP has taken some."""

LINE_BYTES = 1024 * 1024
"""A longer command is no command; ExaBGP would end this program for it."""

ENDS = (b"done", b"error")
STATE, NEGOTIATED, OPEN = b'"type": "state"', b'"type": "negotiated"', b'"type": "open"'
ENDED = {b'"eor": { "afi" : "ipv4"': b"ended ipv4", b'"eor": { "afi" : "ipv6"': b"ended ipv6"}
"""What is in a line that tells of the peer's End-of-RIB, and what that is remembered by."""
REMEMBERED = {OPEN: OPEN, NEGOTIATED: NEGOTIATED, **ENDED}
END_OF_RIB, MARKED = b"announce eor ", b"marked"
"""`marked` tells a new client that End-of-RIB was asked for since the session came up."""


class Lines:
    """Bytes in, whole lines out."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def rest_bytes(self) -> int:
        """How much of an unfinished line is kept."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their ends."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines


class Bridge:
    """Between ExaBGP's pipes and at most one client."""

    def __init__(self, listener: socket.socket, source: int, sink: int) -> None:
        self._listener = listener
        self._source = source
        self._sink = sink
        self._said = Lines()
        self._to_exabgp = bytearray()
        self._unanswered = 0
        self._remembered: dict[bytes, bytes] = {}
        self._client: socket.socket | None = None
        self._asked = Lines()
        self._to_client = bytearray()
        self._greeted = False

    def run(self) -> None:
        """Carry lines until ExaBGP closes its end."""
        while self._step():
            pass
        self._drop()

    def _step(self) -> bool:
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        poll.register(self._listener, select.POLLIN)
        if self._to_exabgp:
            poll.register(self._sink, select.POLLOUT)
        if self._client is not None:
            poll.register(self._client, self._client_mask())
        ready = dict(poll.poll())
        if self._source in ready and not self._read_exabgp():
            return False
        if self._sink in ready and not self._write_exabgp():
            return False
        if self._client is not None and (mask := ready.get(self._client.fileno(), 0)):
            self._serve(self._client, mask)
        if self._listener.fileno() in ready:
            self._accept()
        self._greet()
        return True

    def _client_mask(self) -> int:
        mask = select.POLLOUT if self._to_client else 0
        if self._greeted and len(self._to_exabgp) < TO_EXABGP_BYTES:
            mask |= select.POLLIN
        return mask

    def _read_exabgp(self) -> bool:
        data = os.read(self._source, READ_BYTES)
        for line in self._said.feed(data):
            if line in ENDS:
                self._unanswered -= 1
            elif line.startswith(b"{"):
                self._remember(line)
            if self._greeted:
                self._to_client += line + b"\n"
        if len(self._to_client) > TO_CLIENT_BYTES:
            self._drop()
        return bool(data)

    def _remember(self, line: bytes) -> None:
        if STATE in line:
            self._remembered[STATE] = line
            for kind in (MARKED, *ENDED.values()):
                self._remembered.pop(kind, None)
            if b'"state": "up"' not in line:
                self._remembered.pop(NEGOTIATED, None)
            return
        for found, kind in REMEMBERED.items():
            if found in line:
                self._remembered[kind] = line
                return

    def _write_exabgp(self) -> bool:
        try:
            sent = os.write(self._sink, self._to_exabgp)
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        del self._to_exabgp[:sent]
        return True

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        client.setblocking(False)
        if self._client is not None:
            with contextlib.suppress(OSError):
                client.send(b"busy\n")
            client.close()
            return
        self._client, self._asked, self._greeted = client, Lines(), False

    def _greet(self) -> None:
        """Welcome the client once nothing is owed to the one before it."""
        if self._client is None or self._greeted or self._unanswered > 0:
            return
        self._greeted = True
        for kind in (OPEN, NEGOTIATED, STATE, MARKED, *ENDED.values()):
            if kind in self._remembered:
                self._to_client += self._remembered[kind] + b"\n"
        self._to_client += b"ready\n"

    def _serve(self, client: socket.socket, mask: int) -> None:
        try:
            if mask & select.POLLOUT:
                sent = client.send(self._to_client)
                del self._to_client[:sent]
            if mask & select.POLLIN:
                self._read_client(client)
            elif mask & (select.POLLHUP | select.POLLERR):
                self._drop()
        except BlockingIOError:
            pass
        except OSError:
            self._drop()

    def _read_client(self, client: socket.socket) -> None:
        data = client.recv(READ_BYTES)
        lines = self._asked.feed(data)
        self._unanswered += len(lines)
        for line in lines:
            if line.startswith(END_OF_RIB):
                self._remembered[MARKED] = MARKED
            self._to_exabgp += line + b"\n"
        if not data or self._asked.rest_bytes > LINE_BYTES:
            self._drop()

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client, self._greeted = None, False
        self._to_client.clear()


def listen(path: str) -> socket.socket:
    """Listen at the path, for this user only. A socket left there by an earlier process is replaced."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)  # noqa: PTH107 - pathlib would double the time this takes to start
    listener = socket.socket(socket.AF_UNIX)
    os.fchmod(listener.fileno(), 0o600)  # what bind gives the new file (Linux)
    listener.bind(path)
    listener.listen(4)
    return listener


def main(path: str) -> None:
    """Serve at the path until ExaBGP goes away."""
    for descriptor in (0, 1):
        os.set_blocking(descriptor, False)
    Bridge(listen(path), 0, 1).run()


if __name__ == "__main__":
    main(sys.argv[1])
