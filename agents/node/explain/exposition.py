"""The agent's metrics on a TCP port of loopback, for a collector on the host that opens no unix sockets."""

from __future__ import annotations

import logging
import socketserver
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from typing import Any

from agents.command import Refusal

log = logging.getLogger(__name__)

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
IDLE_S = 10.0


def loopback(text: str) -> tuple[str, int]:
    """Host and port of `--metrics-listen`. Raises `Refusal` for what others could reach."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise Refusal(f"--metrics-listen: expected 127.0.0.1:PORT, not {text[:64]!r}")
    try:
        inside = ip_address(host).is_loopback and ip_address(host).version == 4
    except ValueError:
        inside = False
    if not inside:
        detail = (
            "metrics are served on 127.0.0.0/8 only, without TLS; let what collects them run on this host"
        )
        raise Refusal(f"--metrics-listen: {detail}, not at {host[:64]!r}")
    return host, int(port)


class MetricsServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves `GET /metrics` until `stop`. Raises `Refusal` when the port is taken."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, where: tuple[str, int], render: Callable[[], bytes]) -> None:
        self.render = render
        try:
            super().__init__(where, _Handler)
        except OSError as fault:
            raise Refusal(f"--metrics-listen: cannot listen at {where[0]}:{where[1]}: {fault}") from fault
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is its own affair; anything else is ours, and ends the program."""
        fault = sys.exception()
        if not isinstance(fault, OSError):
            raise
        log.debug("client left why=%s", fault)


class _Handler(BaseHTTPRequestHandler):
    timeout = IDLE_S
    server: MetricsServer

    def do_GET(self) -> None:
        # A page in a browser of this host, whose name was made to lead here, sends its own.
        if self.headers.get("Host", "").partition(":")[0] not in {"localhost", self.server.server_address[0]}:
            self.send_error(421, "ask by the address")
            return
        if self.path != "/metrics":
            self.send_error(404, "there is /metrics")
            return
        data = self.server.render()
        self.send_response(200)
        self.send_header("Content-Type", MEDIA_TYPE)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        log.debug(format, *args)
