"""An established TCP connection between two hosts, used once a millisecond, and its longest silence."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from lab import netns
from lab.host import Host

INTERVAL_S = 0.001
MESSAGE = b"x" * 64
CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What became of a connection."""

    answered: int
    """Bytes that came back."""
    longest_gap_s: float
    """The longest time in which nothing came back."""
    broken: str = ""
    """Why the connection ended before it was told to; empty when it did not."""


class Stream:
    """One end sends, the other sends back what it gets. In threads of this process, until `stop`.

    Args:
        client: who connects.
        server: who listens, on every address that it has.
        address: at which the client finds the server.
    """

    def __init__(self, client: Host, server: Host, address: str) -> None:
        listener = netns.within(server.netns, _listen)
        try:
            place = (address, listener.getsockname()[1])
            self._near = netns.within(client.netns, lambda: _connect(place))
            listener.settimeout(CONNECT_S)
            self._far, _ = listener.accept()
        finally:
            listener.close()
        for end in (self._near, self._far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.settimeout(None)
        self._answered, self._longest_s, self._last = 0, 0.0, time.monotonic()
        self._broken, self._ending = "", threading.Event()
        jobs = (self._send, self._echo, self._receive)
        self._threads = [threading.Thread(target=job, daemon=True) for job in jobs]
        for thread in self._threads:
            thread.start()

    @property
    def answered(self) -> int:
        """Bytes that came back so far."""
        return self._answered

    def stop(self) -> StreamReport:
        """End it and say what became of it. Idempotent. Blocking."""
        if not self._ending.is_set():
            self._longest_s = max(self._longest_s, time.monotonic() - self._last)
            self._ending.set()
            for end in (self._near, self._far):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            for thread in self._threads:
                thread.join()
            self._near.close()
            self._far.close()
        return StreamReport(self._answered, self._longest_s, self._broken)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _send(self) -> None:
        while not self._ending.wait(INTERVAL_S):
            try:
                self._near.sendall(MESSAGE)
            except OSError as fault:
                self._break(fault)
                return

    def _echo(self) -> None:
        try:
            while data := self._far.recv(1 << 16):
                self._far.sendall(data)
        except OSError as fault:
            self._break(fault)

    def _receive(self) -> None:
        try:
            while data := self._near.recv(1 << 16):
                now = time.monotonic()
                self._longest_s = max(self._longest_s, now - self._last)
                self._last, self._answered = now, self._answered + len(data)
        except OSError as fault:
            self._break(fault)

    def _break(self, fault: OSError) -> None:
        if not self._ending.is_set():
            self._broken = self._broken or str(fault)


def _listen() -> socket.socket:
    listener = socket.socket()
    listener.bind(("", 0))
    listener.listen(1)
    return listener


def _connect(place: tuple[str, int]) -> socket.socket:
    return socket.create_connection(place, CONNECT_S)
