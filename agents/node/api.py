"""The agent's HTTP API on a unix socket: attach, detach, what is ready, and metrics.

Whoever may open the socket (mode 0600) may attach. Errors are application/problem+json (RFC 9457).
"""

from __future__ import annotations

import json
import logging
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agents.command import Refusal
from agents.node.attachments import Attachments
from agents.node.explain.exposition import MEDIA_TYPE
from agents.node.places import AttachRequest
from agents.node.wants import Refused

log = logging.getLogger(__name__)

BODY_LIMIT = 64 * 1024
DISCARD_LIMIT = 1024 * 1024
PREFIX = "/v1/attachments"

Readiness = Callable[[], dict[str, str]]
"""What is not ready, by name, with the reason; empty when all is."""


class ApiServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves the API in threads of its own until `stop`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        path: Path,
        attachments: Attachments,
        not_ready: Readiness,
        metrics: Callable[[], bytes] = bytes,
    ) -> None:
        self.attachments = attachments
        self.not_ready = not_ready
        self.metrics = metrics
        self._path = path
        _clear_stale(path)
        super().__init__(str(path), _Handler, bind_and_activate=False)
        os.fchmod(self.fileno(), 0o600)  # what bind gives the new file (Linux)
        self.server_bind()
        self.server_activate()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), name="api", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End, and remove the socket."""
        self.shutdown()
        self.server_close()
        self._path.unlink(missing_ok=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is its own affair; anything else is ours, and ends the program."""
        fault = sys.exception()
        if not isinstance(fault, ConnectionError):
            raise
        log.debug("client left why=%s", fault)


class SocketInUse(Refusal):
    """Another agent serves this socket."""


def _clear_stale(path: Path) -> None:
    """Remove the socket that a killed agent left; a live one is another agent's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise SocketInUse(f"{path} is served by another agent; stop it, or choose another --run-dir")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ApiServer

    def do_GET(self) -> None:
        if self.path == PREFIX:
            self._answer(200, {"items": self.server.attachments.all()})
        elif self.path == "/readyz":
            waiting = self.server.not_ready()
            items = [{"what": what, "why": why} for what, why in waiting.items()]
            self._answer(503 if waiting else 200, {"ready": not waiting, "not_ready": items})
        elif self.path == "/metrics":
            self._send(200, self.server.metrics(), MEDIA_TYPE)
        else:
            self._problem(404, f"{self.path[:128]} is not here; there are {PREFIX}, /readyz and /metrics")

    def do_POST(self) -> None:
        body = self._body()
        if body is None:
            return
        if self.path != PREFIX:
            self._problem(404, f"POST goes to {PREFIX}")
            return
        try:
            request = AttachRequest.model_validate_json(body)
            made, new = self.server.attachments.attach(request)
        except ValidationError as fault:
            self._problem(422, "the body is not an attachment", _errors(fault))
        except Refused as fault:
            self._problem(fault.status, str(fault))
        else:
            self._answer(201 if new else 200, made)

    def do_DELETE(self) -> None:
        endpoint = self.path.removeprefix(PREFIX + "/")
        if self._body() is None:
            return
        if endpoint == self.path or not endpoint or "/" in endpoint:
            self._problem(404, f"DELETE goes to {PREFIX}/ENDPOINT")
            return
        try:
            self.server.attachments.detach(endpoint)
        except Refused as fault:
            self._problem(fault.status, str(fault))
        else:
            self._answer(204, None)

    def _body(self) -> bytes | None:
        """The whole body; None when a problem was answered instead."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > BODY_LIMIT:
            self.close_connection = True
            if length.isdecimal():  # who closes with data unread takes the answer from the other end too
                self.rfile.read(min(int(length), DISCARD_LIMIT))
            self._problem(413, f"a body has a Content-Length of at most {BODY_LIMIT} bytes")
            return None
        return self.rfile.read(int(length))

    def _problem(self, status: int, detail: str, errors: list[dict[str, str]] | None = None) -> None:
        title = self.responses[status][0]
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        self._answer(status, {**body, "errors": errors} if errors else body, "application/problem+json")

    def _answer(self, status: int, body: Any, media_type: str = "application/json") -> None:
        self._send(status, b"" if body is None else json.dumps(body).encode(), media_type)

    def _send(self, status: int, data: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(data)))
        if status == 503:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        log.debug(format, *args)


def _errors(fault: ValidationError) -> list[dict[str, str]]:
    return [
        {"pointer": "".join(f"/{part}" for part in one["loc"]), "detail": one["msg"]}
        for one in fault.errors(include_url=False, include_input=False, include_context=False)
    ]
