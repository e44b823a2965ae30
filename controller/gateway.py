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
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask, Request, Response
from granian._granian import RSGIProtocolClosed, RSGIProtocolError
from werkzeug.routing import MapAdapter

from controller.api.noun import MAX_BODY_BYTES
from controller.waiting import Stacks, complete

log = logging.getLogger(__name__)

DRAIN_BYTES = 1 << 25
"""Of a body that is too large so much is read: who is cut off sooner often cannot read why."""

QUICK = frozenset({("POST", "/v1/endpoints"), ("GET", "/healthz")})
"""What runs in the loop's thread: it takes a fraction of a millisecond, save for waiting."""

TAKE = "polder.take"
"""In the environment of a request: who takes the response as it is, instead of WSGI's `start_response`."""

CONSTANT: Mapping[str, Any] = {
    "SCRIPT_NAME": "",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}


class Reply(Response):
    """A response that can be handed over without being made into WSGI's form first."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        take: Callable[[Response], None] | None = environ.get(TAKE)
        if take is None:
            return super().__call__(environ, start_response)
        take(self)
        return ()


class Application(Flask):
    """Flask without what costs time in each request and has no use here."""

    response_class = Reply

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Nothing is a coroutine; Flask would look again at each call."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """No route depends on the host."""
        if request is None:
            return super().create_url_adapter(request)
        return self.url_map.bind(
            "controller",
            url_scheme=request.scheme,
            default_method=request.method,
            path_info=request.path,
            query_args=request.query_string.decode("latin-1"),
        )


class Gateway:
    """An RSGI application: what the server calls for each request, in the thread of its event loop.

    Args:
        app: whose responses are `Reply`s.
        threads: requests handled at a time beside those in the loop's thread.
    """

    def __init__(self, app: Flask, threads: int) -> None:
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
        done = self._loop.create_future()

        def handle() -> None:
            try:
                self._handle(environ, proto)
            finally:
                done.set_result(None)

        self._stacks.run(handle)
        if not done.done():
            await done

    def _handle(self, environ: dict[str, Any], proto: Any) -> None:
        taken: list[Response] = []
        environ[TAKE] = taken.append
        self._app(environ, _refuse)
        response = taken[0]
        headers = [(name.lower(), value) for name, value in response.headers]
        if environ["REQUEST_METHOD"] == "HEAD" or response.status_code == 204:
            proto.response_empty(response.status_code, headers)
        elif response.is_streamed:
            _send_pieces(response, headers, proto)
        else:
            proto.response_bytes(response.status_code, headers, response.get_data())


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


def _send_pieces(response: Response, headers: list[tuple[str, str]], proto: Any) -> None:
    """Until the iterator ends or the client goes away."""
    try:
        transport = proto.response_stream(response.status_code, headers)
        for piece in response.iter_encoded():
            complete(_sent(transport, piece))
    except (RSGIProtocolClosed, RSGIProtocolError):
        log.debug("event=client-left")
    finally:
        response.close()


async def _sent(transport: Any, piece: bytes) -> None:
    await transport.send_bytes(piece)  # granian queues without a bound: see `watching.answer.STREAM_BYTES`


def _refuse(*_: object) -> Any:
    raise TypeError("the application's responses are not of class Reply")
