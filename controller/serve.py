"""Serving the application: aiohttp's HTTP protocol, in an event loop of this very thread.

The loop calls the application by `controller.gateway`. What is no request at all is answered here: by a
problem, as everything else.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from controller.admission import MAX_IN_HAND
from controller.audit import LONGEST_PATH
from controller.gateway import Gateway, Whose, problem_response
from controller.problem import Problem
from controller.tls import ServerTls
from controller.waiting import Runner

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

log = logging.getLogger(__name__)

BACKLOG = 1024
THREADS = MAX_IN_HAND + 16
"""For requests that wait for etcd, and some that do not."""

IDLE_S = 75.0
"""A connection is closed that sends no whole head of a request for so long."""

OPTIONS: Mapping[str, Any] = {"access_log": None, "auto_decompress": False, "keepalive_timeout": IDLE_S}
"""There is an audit log. A body is not decompressed: a small one could become anything."""

GRACE_S = 2.0
"""Seconds that requests in hand have to end after a signal, and then what must be canceled."""


class ListenError(Exception):
    """The address cannot be listened on. One line for people."""


def listen(host: str, port: int, *, option: str = "--listen") -> socket.socket:
    """A listening socket. Port 0 is any free one. Raises `ListenError`."""
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as fault:
        raise ListenError(f"cannot listen on {where}: {fault.strerror or fault}") from fault
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as fault:
        bound.close()
        if fault.errno == errno.EADDRINUSE:
            raise ListenError(
                f"{where} is in use by another program; stop it or choose another {option}"
            ) from fault
        cure = "; run as root, or choose a port from 1024 on" if fault.errno == errno.EACCES else ""
        raise ListenError(f"cannot listen on {where}: {os.strerror(fault.errno or 0)}{cure}") from fault
    bound.setblocking(False)
    return bound


class Protocol(web.RequestHandler):
    """One connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is not HTTP, and where the gateway failed."""
        if status >= 500 and not isinstance(exc, web.RequestPayloadError | ConnectionError):
            path = quoted(request.path[:LONGEST_PATH])
            log.error("event=failed method=%s path=%s", request.method, path, exc_info=exc)
            problem = Problem("internal", "the controller failed; its log says where")
        else:
            why = (message or str(exc)).partition("\n")[0].partition(" when reading:")[0].rstrip(":")
            problem = Problem("malformed", f"the request is not HTTP: {why}")
        return problem_response(problem)


class Server:
    """Serves one application on a socket that is given, until SIGTERM or SIGINT. In the main thread."""

    def __init__(self, bound: socket.socket, *, cert: Path | None, key: Path | None) -> None:
        """With `cert` and `key` it speaks TLS. Raises `TlsError`."""
        self._bound = bound
        self._tls = ServerTls(cert, key) if cert and key else None

    def run(
        self,
        app: WSGIApplication,
        runner: Runner | None = None,
        *,
        whose: Whose,
        stopping: Callable[[], None] = lambda: None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Blocking, until a signal. Requests in hand have `GRACE_S` to end.

        Args:
            app: a WSGI application (PEP 3333).
            runner: does its work in the event loop meanwhile.
            whose: who sends a request, by the rest of it; None where the application does not read its body.
            stopping: called after the signal.
            ended: called in another thread when no request is left; the runner still works.
        """
        gateway = partial(Gateway, app, threads=THREADS, runner=runner or Runner(), whose=whose)
        asyncio.run(self._serve(gateway, stopping, ended))

    async def _serve(
        self, gateway: Callable[..., Gateway], stopping: Callable[[], None], ended: Callable[[], None]
    ) -> None:
        loop, signaled = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, signaled.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)  # there is nothing to read again
        manager = web.Server(gateway(loop=loop).handle, access_log=None)
        server = await loop.create_server(
            lambda: Protocol(manager, loop=loop, **OPTIONS),
            sock=self._bound,
            ssl=self._tls.context if self._tls else None,
            backlog=BACKLOG,
        )
        following = asyncio.create_task(self._tls.follow()) if self._tls else None
        await signaled.wait()
        stopping()
        server.close()
        if following:
            following.cancel()
        transports = [each.transport for each in manager.connections if each.transport]
        manager.pre_shutdown()
        await manager.shutdown(GRACE_S)
        for each in transports:  # what its client does not take would keep it open
            with suppress(AttributeError):  # of TLS, as its client has just closed it too (CPython 3.11)
                each.abort()
        await asyncio.to_thread(ended)
