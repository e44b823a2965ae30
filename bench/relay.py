"""Carries connections from a network namespace's loopback to this one's: a program in a lab reaches a server
that runs outside, by the server's own address."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

from lab import netns

CHUNK_BYTES = 1 << 16
LOOPBACK = "127.0.0.1"


class Relay:
    """Listens on a port of the loopback of `namespace`, and connects to that port here. A context manager."""

    def __init__(self, namespace: str, port: int) -> None:
        self._port = port
        self._listener = netns.within(namespace, lambda: socket.create_server((LOOPBACK, port)))
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: that is the end
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection((LOOPBACK, self._port))
                self._open |= {near, far}
                for each in (near, far):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=pair, daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK_BYTES):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
