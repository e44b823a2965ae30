"""Serving the application: granian's RSGI worker in this very process, on a socket of our own.

granian's own server forks its worker and lets several servers share a port. A killed parent would then
leave a worker behind that holds the port, and a second controller on a taken port would start without a
word. Its worker for threads does neither; it is meant for builds without a GIL, but needs nothing of them.
The worker runs an event loop, in which `controller.gateway` calls the application.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, Loops
from granian.server.mt import MTServer

from controller.admission import MAX_IN_HAND
from controller.gateway import Gateway

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

BACKLOG = 1024
THREADS = MAX_IN_HAND + 16
"""For requests that wait for etcd, and some that do not."""

GRACE_S = 2
"""Seconds that requests in hand have to end after a signal."""


class ListenError(Exception):
    """The address cannot be listened on. One line for people."""


class TlsError(Exception):
    """Certificate or key cannot be used. One line for people."""


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


class Interrupt:
    """What the main thread waits for, and a signal ends. To be made in the main thread.

    Not a `threading.Event`: its lock is not reentrant, so that a handler which sets it while the main thread
    holds that lock stops the program for good. And a handler in Python is not run when the signal comes just
    before the main thread blocks; a byte that the interpreter's own handler writes is there all the same.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)

    def set(self) -> None:
        """End one wait. From any thread."""
        with suppress(BlockingIOError):  # it is full: the wait ends anyway
            os.write(self._writing, b"\0")

    def wait(self) -> None:
        """Blocking until `set` or a signal, whose handler has run then."""
        os.read(self._reading, 4096)

    def clear(self) -> None:
        """Nothing: a wait forgets what ended it."""

    def close(self) -> None:
        """Give the descriptors back."""
        signal.set_wakeup_fd(-1)
        os.close(self._reading)
        os.close(self._writing)


class Server(MTServer):
    """Serves one application on a socket that is given, until SIGTERM or SIGINT."""

    def __init__(self, bound: socket.socket, *, cert: Path | None, key: Path | None) -> None:
        """With `cert` and `key` it speaks TLS. Raises `TlsError`."""
        self._bound = bound
        try:
            super().__init__(
                target="controller",
                interface=Interfaces.RSGI,
                loop=Loops.asyncio,
                http=HTTPModes.http1,
                websockets=False,
                backlog=BACKLOG,
                backpressure=BACKLOG,
                workers_kill_timeout=GRACE_S,
                log_enabled=False,
                ssl_cert=cert,
                ssl_key=key,
            )
        except OSError as fault:  # ssl.SSLError is one
            raise TlsError(f"cannot use {cert} with {key}: {fault.strerror or fault}") from fault
        self.main_loop_interrupt = Interrupt()  # type: ignore[assignment]

    def run(self, app: WSGIApplication, stopping: Callable[[], None] = lambda: None) -> None:
        """Blocking, until a signal; then `stopping` is called. Requests in hand have `GRACE_S` to end."""
        self._stopping = stopping
        gateway: Any = Gateway(app, THREADS)  # granian's stub knows applications that are functions only
        self.serve(target_loader=lambda: gateway, wrap_loader=False)

    def shutdown(self, exit_code: int = 0) -> None:
        """Stop serving."""
        self._stopping()
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]

    def signal_handler_reload(self, *_: Any) -> None:
        """SIGHUP does nothing: there is nothing to read again."""

    def _check_gil(self) -> None:
        """One worker, whose threads share the GIL as any threads do."""

    def _init_shared_socket(self) -> None:
        # granian closes the descriptor itself. Its stub has no constructor: descriptor, unix or not, backlog.
        self._shd = SocketHolder(self._bound.detach(), False, BACKLOG)  # type: ignore[assignment, call-arg]
