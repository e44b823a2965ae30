"""One TCP connection between two hosts, over which something is asked now and again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lab import netns
from lab.host import Host

PORT = 7
ANSWER_S = 20.0


class Echo:
    """An established connection whose other end sends back what it gets."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def ask(self, words: bytes) -> bool:
        """Send words, and wait until they come back. Raises OSError when the connection is broken."""
        self._connection.sendall(words)
        got = b""
        while len(got) < len(words):
            part = self._connection.recv(1024)
            if not part:
                return False
            got += part
        return got == words


@contextmanager
def echo(client: Host, server: Host, address: str) -> Iterator[Echo]:
    """A connection from `client` to `server`, which has `address`."""
    listener = netns.within(server.netns, lambda: socket.create_server((address, PORT)))
    with listener:
        thread = threading.Thread(target=_serve, args=(listener,))
        thread.start()
        with netns.within(client.netns, lambda: socket.create_connection((address, PORT), ANSWER_S)) as made:
            yield Echo(made)
        thread.join()


def _serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        while data := connection.recv(1024):
            connection.sendall(data)
