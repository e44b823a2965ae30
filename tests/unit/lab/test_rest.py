from __future__ import annotations

import gc
import json
import socket
import ssl
import struct
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

import pytest

from lab.errors import LabError
from lab.rest import Link, Rest, Unanswered
from lab.wait import wait_until


class Echo(BaseHTTPRequestHandler):
    """Answers what it was sent: 404 below /absent, nothing in the body below /empty, 503 twice at /later."""

    elections = 2

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        echo = {"method": self.command, "body": json.loads(body) if body else None}
        status = 404 if self.path.startswith("/absent") else 200
        if self.path == "/later" and Echo.elections:
            Echo.elections -= 1
            status = 503
        raw = {"/empty": b"", "/text": b"plain"}.get(self.path, json.dumps(echo).encode())
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_DELETE = respond  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        return "unix"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Rest]:
    path = tmp_path / "sock"
    with UnixStreamServer(str(path), Echo) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield Rest.unix(path)
        serving.shutdown()
        thread.join()


def test_status_body_and_headers_come_back(server: Rest) -> None:
    answer = server.request("POST", "/v1/pools", {"name": "default"})
    assert (answer.status, answer.ok) == (200, True)
    assert answer.body == {"method": "POST", "body": {"name": "default"}}
    assert answer.headers["retry-after"] == "1"


def test_a_refusal_is_an_answer_and_do_raises_it(server: Rest) -> None:
    assert server.get("/absent").status == 404
    with pytest.raises(LabError, match=r"DELETE /absent/x at .*: 404"):
        server.do("DELETE", "/absent/x")


def test_do_asks_again_for_what_is_not_done_now(server: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Echo, "elections", 2)
    assert server.get("/later").status == 503
    assert server.do("POST", "/later", 1) == {"method": "POST", "body": 1}
    assert Echo.elections == 0


def test_a_body_may_be_empty_or_no_json(server: Rest) -> None:
    assert server.do("DELETE", "/empty") is None
    assert server.get("/text").body == "plain"


def test_answers_is_false_when_nobody_is_there(server: Rest, tmp_path: Path) -> None:
    assert server.answers("/readyz")
    assert not server.answers("/absent")
    nobody = Rest.unix(tmp_path / "none")
    assert not nobody.answers("/readyz")
    with pytest.raises(Unanswered, match="GET /readyz at "):
        nobody.get("/readyz")


def test_a_link_that_is_reset_before_its_handshake_is_closed() -> None:
    """pytest makes an error of the warning that a socket was not closed."""
    context = ssl.create_default_context()
    context.sslsocket_class = Link
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = socket.create_connection(server.getsockname())
        other, _ = server.accept()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.close()
        wait_until(lambda: _is_reset(link), 10, "the reset")
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with pytest.raises(ConnectionResetError):
                context.wrap_socket(link, server_hostname="localhost").do_handshake()
            gc.collect()
    assert [str(each.message) for each in said] == []


def _is_reset(link: socket.socket) -> bool:
    try:
        link.getpeername()
    except OSError:
        return True
    return False
