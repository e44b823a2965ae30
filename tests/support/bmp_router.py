"""A router that speaks BMP to a monitoring station: a connection, and what is sent by it."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Self

from tests.support import bmp

SOON_S = 10


class BmpRouter:
    """One connection. A context manager that closes it."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection((host, port), timeout=SOON_S)

    def send(self, *messages: bytes) -> None:
        """Send all of it."""
        self._socket.sendall(b"".join(messages))

    def begin(self, *announced: object) -> None:
        """Name itself, and tell of the session of `tests.support.bmp` that it has these and no more."""
        self.send(bmp.initiation(), bmp.peer_up(), bmp.tells(*announced), bmp.monitoring(bmp.end_of_rib()))

    def is_closed(self) -> bool:
        """Wait until the station has closed the connection."""
        with suppress(ConnectionResetError):
            return self._socket.recv(1) == b""
        return True

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
