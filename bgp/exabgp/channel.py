"""Commands to ExaBGP and what it says, over the bridge's socket.

`ask` sends commands and waits for the answer of each. Commands of one kind are answered in their order;
`end_of_rib` and `show` are asked alone, because ExaBGP may refuse them before it has answered what came
earlier. Events that arrive meanwhile are kept for `events`.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bgp.exabgp.events import Answer, Event, Said, SessionEvent, Shown, parse
from bgp.exabgp.watchdog import Patience

READ_BYTES = 65536
WINDOW = 8
"""Commands under way at once; together they fit into the socket's buffers, so that sending never blocks."""


class ChannelLost(Exception):
    """The bridge or ExaBGP went away, or never was there. Connect again."""


class Hung(ChannelLost):
    """ExaBGP does not answer. Only a new process helps."""


class Busy(ChannelLost):
    """Another program speaks with this peer's ExaBGP. Wait until it is gone."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one command, and what was shown before it."""

    ok: bool
    shown: tuple[Shown, ...] = ()


class Channel:
    """One connection to the bridge. Not thread-safe.

    Args:
        path: the bridge's socket.
        patience: how long an answer may take before ExaBGP counts as hung; each line begins it anew.

    Raises:
        ChannelLost: nobody listens, or (`Busy`, `Hung`) no greeting came.
    """

    def __init__(self, path: Path, patience: Patience) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._patience = patience
        self._rest = b""
        self._lines: deque[str] = deque()
        self._events: deque[Event] = deque()
        try:
            self._socket.connect(str(path))
            self._greet()
        except OSError as fault:
            self.close()
            raise ChannelLost(f"{path}: {fault.strerror}") from fault
        except ChannelLost:
            self.close()
            raise

    def fileno(self) -> int:
        """A descriptor that is readable when ExaBGP said something."""
        return self._socket.fileno()

    @property
    def pending(self) -> bool:
        """Whether `events` has something that was read already: the descriptor does not tell of that."""
        return bool(self._lines or self._events)

    @property
    def session_changed(self) -> bool:
        """Whether the session changed since the last call of `events`."""
        return any(isinstance(event, SessionEvent) for event in self._events)

    def close(self) -> None:
        """Close the connection; ExaBGP goes on. Idempotent."""
        self._socket.close()

    def ask(self, commands: Sequence[str]) -> list[Reply]:
        """Send commands and wait for all their answers, which come in the order of the commands.

        Raises:
            ChannelLost: the connection ended, or (`Hung`) an answer took too long.
        """
        replies: list[Reply] = []
        sent = 0
        shown: list[Shown] = []
        while len(replies) < len(commands):
            while sent < len(commands) and sent - len(replies) < WINDOW:
                self._send(commands[sent])
                sent += 1
            said = self._next()
            if isinstance(said, Answer):
                replies.append(Reply(said.ok, tuple(shown)))
                shown = []
            elif isinstance(said, Shown):
                shown.append(said)
            elif said is not None:
                self._events.append(said)
        return replies

    def events(self) -> list[Event]:
        """The events heard since the last call, without waiting.

        Raises:
            ChannelLost: the connection ended.
        """
        self._socket.setblocking(False)
        try:
            while True:
                self._receive()
        except BlockingIOError:
            pass
        for line in self._lines:
            if isinstance(event := parse(line), Event):
                self._events.append(event)
        self._lines.clear()
        heard = list(self._events)
        self._events.clear()
        return heard

    def _greet(self) -> None:
        while (line := self._line()) != "ready":
            if line == "busy":
                raise Busy("another program speaks with this peer's ExaBGP")
            if isinstance(event := parse(line), Event):
                self._events.append(event)

    def _send(self, command: str) -> None:
        rest = command.encode() + b"\n"
        self._patience.begin()
        while rest:
            began = time.monotonic()
            self._socket.settimeout(self._patience.slice_s)
            try:
                rest = rest[self._socket.send(rest) :]
            except TimeoutError:
                self._still_silent(began, "ExaBGP reads nothing for")
            except OSError as fault:
                raise ChannelLost(f"cannot send: {fault}") from fault

    def _next(self) -> Said | None:
        return parse(self._line())

    def _line(self) -> str:
        if not self._lines:
            self._patience.begin()
        while not self._lines:
            began = time.monotonic()
            self._socket.settimeout(self._patience.slice_s)
            try:
                self._receive()
            except TimeoutError:
                self._still_silent(began, "no answer from ExaBGP in")
        return self._lines.popleft()

    def _still_silent(self, since: float, words: str) -> None:
        if self._patience.waited(time.monotonic() - since):
            raise Hung(f"{words} {self._patience.silent_s:.0f} s")

    def _receive(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except ConnectionError as fault:
            raise ChannelLost(str(fault)) from fault
        if not data:
            raise ChannelLost("ExaBGP's bridge closed the connection")
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines.extend(line.decode("ascii", "replace").rstrip("\r") for line in lines)
