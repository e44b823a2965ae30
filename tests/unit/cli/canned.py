"""A real HTTP server with canned answers, on loopback TCP or a unix socket: it records what it was asked."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One canned answer. A body that is text is sent as it is, and only half of it when it is `cut`."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    target: str
    body: Any
    headers: dict[str, str]


class Canned:
    """Answers in the order given; the last answer is repeated."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[Asked] = []
        self.url = ""

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def problem(status: int, title: str, detail: str = "", **pointers: str) -> Reply:
    """A problem document; `cidr="why"` is an error with the pointer `/cidr`."""
    errors = [{"pointer": f"/{name}", "detail": why} for name, why in pointers.items()]
    kind = "/problems/not-found" if status == 404 else "about:blank"
    body = {"type": kind, "title": title, "status": status, "detail": detail, "errors": errors}
    return Reply(status, body, {"Content-Type": "application/problem+json"})


def withdrawing(percent: float, **parts: Any) -> Reply:
    """An impact that withdraws so much of what is announced."""
    totals: dict[str, float] = dict.fromkeys(
        ("appear", "change", "opens", "closes", "resets", "refused", "endpoints", "unreachable"), 0
    )
    totals |= {"advertised": 4, "vanish": round(percent * 4 / 100), "withdrawn_percent": percent}
    return Reply(200, {"peers": [], "endpoints": [], "totals": totals, "revision": 7, **parts})


def told(*writes: Any, impact: Reply | None = None) -> Reply:
    """What POST /v1/impact answers: what becomes of each write, and of the routers."""
    return Reply(200, {"writes": writes, "impact": impact.body if impact else None})


def write(result: str, before: Any = None, after: Any = None) -> Any:
    """What becomes of one write."""
    return {"result": result, "before": before, "after": after}


def _handler(canned: Canned) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw else None
            reply = canned.answer(Asked(self.command, self.path, body, dict(self.headers)))
            text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
            data = b"" if reply.body is None else text.encode()
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if reply.cut else data)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _handle  # noqa: N815 - names that http.server wants

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - likewise
            """Be quiet."""

        def address_string(self) -> str:
            return "test"

    return Handler


@contextmanager
def serving(*replies: Reply, socket: Path | None = None) -> Iterator[Canned]:
    """Serve canned answers on a free port of 127.0.0.1, or on a unix socket."""
    with answering(Canned(*replies), socket) as canned:
        yield canned


@contextmanager
def answering(canned: Canned, socket: Path | None = None) -> Iterator[Canned]:
    """Serve what answers."""
    server: socketserver.TCPServer | socketserver.UnixStreamServer
    if socket is None:
        server = socketserver.TCPServer(("127.0.0.1", 0), _handler(canned))
        canned.url = f"http://127.0.0.1:{server.server_address[1]}"
    else:
        server = socketserver.UnixStreamServer(str(socket), _handler(canned))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield canned
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
