"""One line for each write that was asked for: who, from where, what, how it ended, and what changed.

It goes to the logger `audit`, cut where it is long, and whole to the audit file if there is one: JSON, one
object a line. The values are those of the store, so that a secret, which is never stored, cannot be in it;
the hashes that are stored in its place are left out. A line follows its write: a controller that dies
between the two leaves none, but the store keeps with each address who asked for it. Nor do those leave
one that are refused for their number: whoever sends them would fill the disk.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Any

from falcon import Response

from controller import trail
from controller.exchange import READS, Exchange
from controller.trail import Change
from controller.unique import unique
from store import keys

log = logging.getLogger("audit")

TOO_MANY = 429
HEADER = "X-Request-Id"
LONGEST_LINE = 2000
"""Characters of the changes in the log; a batch changes a thousand things."""

LONGEST_PATH = 256
LINE = "event=write who=%s role=%s from=%s request=%s method=%s path=%s status=%d changes=%s"
FIELDS = ("time", "who", "role", "from", "request", "method", "path", "status")
HASHED = (keys.TOKENS.prefix(), keys.JOINS.prefix())

_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)


class AuditFileError(Exception):
    """The audit file cannot be used. One line for people."""


class AuditFile:
    """A file that lines are appended to, each by one write, so that several programs may share it.

    It is opened again when another file has its name (logrotate), and goes on at the end when it was
    cut (copytruncate). Made readable for its owner only. Safe to use from many threads.
    """

    def __init__(self, path: Path) -> None:
        """Raises `AuditFileError`."""
        self._path = path
        self._lock = threading.Lock()
        try:
            self._file = self._open()
        except OSError as fault:
            raise AuditFileError(f"cannot append to {path}: {fault.strerror}") from fault

    def append(self, line: str) -> None:
        """Append a line. A failure is reported in the log: what it tells of is done already."""
        try:
            with self._lock:
                self._follow()
                os.write(self._file, line.encode() + b"\n")
        except OSError as fault:
            log.error("event=audit-failed file=%s why=%r line=%s", self._path, fault.strerror, line)

    def close(self) -> None:
        """Close it. Once, when nobody appends any more."""
        os.close(self._file)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _follow(self) -> None:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            there = None
        have = os.fstat(self._file)
        if there is None or (there.st_ino, there.st_dev) != (have.st_ino, have.st_dev):
            opened = self._open()
            os.close(self._file)
            self._file = opened


class Auditor:
    """Writes the lines of one application.

    Args:
        clock: the time of day.
        file: where the whole lines go; None for the log alone.
    """

    def __init__(self, clock: Callable[[], datetime], file: AuditFile | None) -> None:
        self._clock = clock
        self._file = file

    def begin(self, exchange: Exchange) -> None:
        """Gather what a request does."""
        exchange.request_id = request_id(exchange.env.get("HTTP_X_REQUEST_ID"))
        if exchange.method not in READS:
            trail.begin()

    def finish(self, exchange: Exchange, response: Response) -> None:
        """Tell of it."""
        response.set_header(HEADER, exchange.request_id)
        if exchange.method not in READS and response.status_code != TOO_MANY:
            self._write(exchange, response.status_code)

    def _write(self, exchange: Exchange, status: int) -> None:
        logged = log.isEnabledFor(logging.INFO)
        if not logged and self._file is None:
            return
        who = exchange.principal
        found = trail.current()
        changes = found.changes() if found is not None else {}
        name, role = (who.name, who.role.value) if who else ("-", "-")
        path = exchange.path[:LONGEST_PATH]
        asked = exchange.remote_addr, exchange.request_id, exchange.method
        if logged:
            log.info(LINE, name, role, *asked, quoted(path), status, _cut(changes))
        if self._file is not None:
            line = dict(
                zip(FIELDS, (self._clock().isoformat(), name, role, *asked, path, status), strict=True)
            )
            self._file.append(f'{json.dumps(line)[:-1]}, "changes": {{{",".join(_told(changes))}}}}}')


def request_id(given: str | None) -> str:
    """The id of a request: the one that was sent, if it can stand in a log as it is, else a new one."""
    if given is not None and _WELL_FORMED.fullmatch(given):
        return given
    return unique()[16:]  # the half that is no time: two controllers have many in a millisecond


def _cut(changes: dict[str, Change]) -> str:
    """The changes, or as many as a line of the log has room for."""
    text = ""
    for told in _told(changes):
        text += f",{told}" if text else told
        if len(text) > LONGEST_LINE:
            return f"{{{text[:LONGEST_LINE]}... ({len(changes)} in all)"
    return f"{{{text}}}"


def _told(changes: dict[str, Change]) -> Iterator[str]:
    for key, (before, after) in changes.items():
        name = quoted(key.removeprefix(keys.ROOT))
        yield f'{name}:{{"before":{_value(key, before)},"after":{_value(key, after)}}}'


def _value(key: str, stored: bytes | None) -> str:
    if stored is None:
        return "null"
    # The codec writes JSON on one line, of ASCII only. That need not be parsed to be written again; what
    # somebody else put there is, so that it cannot begin a line of its own.
    if stored.isascii() and (text := stored.decode()).isprintable() and not key.startswith(HASHED):
        return text
    return json.dumps(_without_hashes(json.loads(stored)), separators=(",", ":"))


def _without_hashes(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_hashes(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_hashes(each) for name, each in value.items() if name != "sha256"}
    return value
