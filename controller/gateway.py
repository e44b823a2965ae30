"""From the server's event loop to the WSGI application and back.

The loop reads the body, so that a slow client costs no thread. A watch, and a request that is short and
frequent, then runs in the loop's own thread on a stack of its own (`controller.waiting`); any other runs in
one of a bounded number of threads, since a long list must not keep the loop. An answer whose body is an
iterator is sent piece by piece as the pieces come.
"""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from granian._granian import RSGIProtocolClosed, RSGIProtocolError

from controller.api.noun import MAX_BODY_BYTES
from controller.waiting import Stacks, complete

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

log = logging.getLogger(__name__)

DRAIN_BYTES = 1 << 25
"""Of a body that is too large so much is read: who is cut off sooner often cannot read why."""

QUICK = frozenset({("POST", "/v1/endpoints"), ("GET", "/healthz")})
"""What runs in the loop's thread: it takes a fraction of a millisecond, save for waiting."""

CONSTANT: Mapping[str, Any] = {
    "SCRIPT_NAME": "",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}


class _Head:
    """Takes status and header fields from the application: WSGI's `start_response`."""

    status = 500
    headers: list[tuple[str, str]]

    def __call__(self, status: str, headers: list[tuple[str, str]], _: object = None, /) -> Any:
        self.status, self.headers = int(status[:3]), headers


@runtime_checkable
class Closes(Protocol):
    """A body that has something to give back."""

    def close(self) -> None:
        """It is sent, or will not be."""


class Gateway:
    """An RSGI application: what the server calls for each request, in the thread of its event loop.

    Args:
        app: a WSGI application (PEP 3333).
        threads: requests handled at a time beside those in the loop's thread.
    """

    def __init__(self, app: WSGIApplication, threads: int) -> None:
        self._app = app
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._stacks = Stacks(loop, self._threads)

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        environ = environment(scope, await _body(scope, proto))
        if not _stays(scope):
            await self._loop.run_in_executor(self._threads, self._handle, environ, proto)
            return
        done = self._stacks.run(lambda: self._handle(environ, proto))
        if done is not None:
            await done

    def _handle(self, environ: dict[str, Any], proto: Any) -> None:
        head = _Head()
        body = self._app(environ, head)
        if not isinstance(body, list):
            _send_pieces(body, head, proto)
        elif body:
            proto.response_bytes(head.status, head.headers, b"".join(body))
        else:
            proto.response_empty(head.status, head.headers)


def environment(scope: Any, body: bytes) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) of a request."""
    host, _, port = scope.server.rpartition(":")
    environ = {
        **CONSTANT,
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": scope.path.encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": scope.scheme,
    }
    for name, value in scope.headers.items():
        key = name.upper().replace("-", "_")
        key = key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


async def _body(scope: Any, proto: Any) -> bytes:
    """The body, or the beginning of one that is too large."""
    if scope.method in {"GET", "HEAD"} and "content-length" not in scope.headers:
        return b""
    length = scope.headers.get("content-length", "")
    if length.isdigit() and int(length) <= MAX_BODY_BYTES:
        return bytes(await proto())
    kept, left = bytearray(), DRAIN_BYTES
    async for piece in proto:
        kept += piece[: MAX_BODY_BYTES + 2 - len(kept)]
        left -= len(piece)
        if left < 0:
            break
    return bytes(kept)


def _stays(scope: Any) -> bool:
    return (scope.method, scope.path) in QUICK or (
        scope.method == "GET"
        and ("watch=" in scope.query_string or "text/event-stream" in scope.headers.get("accept", ""))
    )


def _send_pieces(body: Iterable[bytes], head: _Head, proto: Any) -> None:
    """Until the iterator ends or the client goes away."""
    try:
        transport = proto.response_stream(head.status, head.headers)
        for piece in body:
            complete(_sent(transport, piece))
    except (RSGIProtocolClosed, RSGIProtocolError):
        log.debug("event=client-left")
    finally:
        if isinstance(body, Closes):
            body.close()


async def _sent(transport: Any, piece: bytes) -> None:
    await transport.send_bytes(piece)  # granian queues without a bound: see `watching.answer.STREAM_BYTES`
