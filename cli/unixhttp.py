"""HTTP over a unix socket: the agent's API is open to whoever may open its file, and to nobody else."""

from __future__ import annotations

import socket
from http.client import HTTPConnection
from pathlib import Path


class UnixConnection(HTTPConnection):
    """An HTTP connection to the socket at `path`."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Open the socket. Raises OSError: absent, not open to this user, or nobody listens."""
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(self.timeout)
        try:
            link.connect(str(self._path))
        except OSError:
            link.close()
            raise
        self.sock = link
