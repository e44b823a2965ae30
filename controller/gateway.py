"""From the server's event loop to the WSGI application and back.

The loop reads the body, so that a slow client costs no thread. A watch, and a request that is short and
frequent, then runs in the loop's own thread on a stack of its own (`controller.waiting`); any other runs in
one of a bounded number of threads, since a long list must not keep the loop. An answer whose body is an
iterator is sent piece by piece as the pieces come, and no faster than its client takes them.

A body is not read for what only reads, which needs none, nor for who has no good token: the application
refuses him by the head of his request.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from urllib.parse import unquote_to_bytes

from aiohttp import web

from controller.bodies import SMALL_BYTES, Keep, Large, most_bytes
from controller.exchange import READS
from controller.problem import Problem
from controller.waiting import Runner, Stacks, complete
from controller.watching import asked

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

log = logging.getLogger(__name__)

DRAIN_BYTES = 1 << 25
"""Of a body that is too large so much is read: who is cut off sooner often cannot read why."""

BODY_S = 75.0
"""A body has to come whole in this time, as the head of a request (`controller.serve`)."""

STALL_S = 60.0
"""A client that takes nothing of a stream for so long is cut off."""

SERVER = {"Server": "polder"}
"""In place of a header that tells the versions of libraries."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

QUICK = re.compile(r"POST /v1/endpoints(:batch)?|(GET|DELETE) /v1/endpoints/[^/]+|GET /healthz")
"""What runs in the loop's thread beside watches: it gives way after some milliseconds at the most."""

QUICK_BYTES = SMALL_BYTES
"""A larger body takes too long to be looked through there."""

NOWHERE = "", 0
"""Where a request was sent to whose client has closed the connection behind it: it is served all the same."""

CONSTANT: Mapping[str, Any] = {
    "SCRIPT_NAME": "",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}


class _Answer:
    """What the application answers: WSGI's `start_response`, and where the body is kept."""

    status = 500
    headers: Mapping[str, str] = SERVER
    body: bytes = b""
    stream: web.StreamResponse | None = None
    """Set when the answer is sent already, piece by piece."""

    def __call__(self, status: str, headers: list[tuple[str, str]], _: object = None, /) -> Any:
        self.status, self.headers = int(status[:3]), {**dict(headers), **SERVER}

    def response(self) -> web.StreamResponse:
        """For the server, which sends what is not yet sent."""
        return self.stream or web.Response(status=self.status, headers=self.headers, body=self.body)


Whose = Callable[[Mapping[str, Any]], str | None]


@runtime_checkable
class Closes(Protocol):
    """A body that has something to give back."""

    def close(self) -> None:
        """It is sent, or will not be."""


class Gateway:
    """What the server calls for each request, in the thread of its event loop.

    Args:
        app: a WSGI application (PEP 3333).
        loop: the server's.
        threads: requests handled at a time beside those in the loop's thread.
        runner: does its work on stacks of the loop from now on.
        whose: who sends a request, by the WSGI environment without a body; None where the application does
            not read on.
    """

    def __init__(
        self,
        app: WSGIApplication,
        loop: asyncio.AbstractEventLoop,
        threads: int,
        runner: Runner,
        whose: Whose = lambda _: "somebody",
    ) -> None:
        self._app = app
        self._whose = whose
        self._loop = loop
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._stacks = Stacks(loop, self._threads)
        self._large = Large()
        runner.bind(self._stacks)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        environ, answer = environment(request), _Answer()
        if _is_here(request):
            body = request.content.read_nowait()
            environ["wsgi.input"] = io.BytesIO(body)
            await self._answer(environ, request, answer, len(body))
            return answer.response()
        whose = None if request.method in READS else self._whose(environ)
        if whose is None:
            environ["wsgi.input"] = Unread()
            await self._answer(environ, request, answer, 0)
        else:
            try:
                with self._large.place(whose) as keep:
                    body = await _body(request, most_bytes(environ["PATH_INFO"]), keep)
                    environ["wsgi.input"] = io.BytesIO(body)
                    await self._answer(environ, request, answer, len(body))
            except Problem as problem:
                return problem_response(problem)
        response = answer.response()
        if whose is None and _waits(request):
            response.force_close()  # what it sends next is a body or the next request: nobody knows
        return response

    async def _answer(
        self, environ: dict[str, Any], request: web.BaseRequest, answer: _Answer, size: int
    ) -> None:
        if not asked.is_asked(environ) and not _is_quick(environ, size):
            await self._loop.run_in_executor(self._threads, self._run, environ, request, answer)
        elif (done := self._stacks.run(lambda: self._run(environ, request, answer))) is not None:
            await done

    def _run(self, environ: dict[str, Any], request: web.BaseRequest, answer: _Answer) -> None:
        body = self._app(environ, answer)
        if isinstance(body, list):
            answer.body = b"".join(body)
        else:
            answer.stream = web.StreamResponse(status=answer.status, headers=answer.headers)
            _send_pieces(body, answer.stream, request)


class Unread:
    """A body that was not read."""

    def read(self, _: int = -1, /) -> bytes:
        """To who was let in after all, since his token became known between head and body."""
        raise Problem("unauthorized", "this token was not known when the request came; send it again")


def problem_response(problem: Problem) -> web.Response:
    """What cannot be answered by the application, before the connection is closed."""
    headers = {**problem.headers(), **SERVER}
    response = web.Response(status=problem.status, headers=headers, body=problem.body().encode())
    response.force_close()
    return response


def environment(request: web.BaseRequest) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) of a request, without its body."""
    target = request.raw_path
    if not target.startswith("/"):  # of a request to a proxy
        target = request.rel_url.raw_path_qs
    path, _, query = target.partition("?")
    host, port = request.get_extra_info("sockname", NOWHERE)[:2]
    environ = {
        **CONSTANT,
        "REQUEST_METHOD": request.method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1") if "%" in path else path,
        "QUERY_STRING": query,
        "REMOTE_ADDR": request.remote,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{request.version.major}.{request.version.minor}",
        "wsgi.url_scheme": request.scheme,
    }
    for name, value in request.headers.items():
        if key := _variable(name):
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


@lru_cache(maxsize=256)
def _variable(name: str) -> str:
    """Where a field of the header is in the environment; nowhere if it would pass for one with a hyphen."""
    if "_" in name:
        return ""
    key = name.upper().replace("-", "_")
    return key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"


def _is_here(request: web.BaseRequest) -> bool:
    """Whether a small body has come with the head, or there is none: nearly always."""
    if not request.content.is_eof():
        return False
    length = request.content_length
    return not request.body_exists if length is None else length <= SMALL_BYTES


async def _body(request: web.BaseRequest, most: int, keep: Keep) -> bytes:
    """The body, or the beginning of one that is larger than `most`. Raises `Problem`: it does not come."""
    try:
        async with asyncio.timeout(BODY_S):
            if _waits(request):
                await request.writer.write(CONTINUE)
            return await _read(request, most, keep)
    except TimeoutError:
        detail = f"the body did not come whole in {BODY_S:g} s; send it again"
        raise Problem("timeout", detail) from None


def _waits(request: web.BaseRequest) -> bool:
    """Whether the client waits for a word before it sends the body."""
    return request.headers.get("Expect", "").lower() == "100-continue"


async def _read(request: web.BaseRequest, most: int, keep: Keep) -> bytes:
    kept, left = bytearray(), DRAIN_BYTES
    async for piece in request.content.iter_any():
        kept += piece[: most + 2 - len(kept)]
        keep(min(len(kept), most))
        left -= len(piece)
        if left < 0:
            break
    return bytes(kept)


def _is_quick(environ: Mapping[str, Any], size: int) -> bool:
    line = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
    return size <= QUICK_BYTES and QUICK.fullmatch(line) is not None


def _send_pieces(body: Iterable[bytes], response: web.StreamResponse, request: web.BaseRequest) -> None:
    """Until the iterator ends, or the client goes away or takes no more."""
    try:
        complete(_sent(response.prepare, request))
        for piece in body:
            complete(_sent(response.write, piece))
    except (ConnectionError, TimeoutError) as fault:
        log.debug("event=client-left why=%r", str(fault))
        if request.transport is not None:
            request.transport.abort()
    finally:
        if isinstance(body, Closes):
            body.close()


async def _sent(send: Callable[[Any], Awaitable[object]], what: object) -> None:
    async with asyncio.timeout(STALL_S):
        await send(what)
