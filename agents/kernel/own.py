"""What this program itself is changing, so that its monitor leaves that out of what it reports.

Most notifications name the socket that asked for the change. An interface that is being deleted goes down
first, in the name of nobody, so its index is noted beforehand.
"""

from __future__ import annotations

import threading

_lock = threading.Lock()
_ports: set[int] = set()
_leaving: set[int] = set()


def opened(port: int) -> None:
    """A socket of this program was opened; `port` is what the kernel names it by."""
    with _lock:
        _ports.add(port)


def closed(port: int) -> None:
    """A socket of this program was closed. Idempotent."""
    with _lock:
        _ports.discard(port)


def is_own(port: int) -> bool:
    """Whether a change was asked for by a socket of this program that is still open."""
    return port in _ports


def leaving(index: int) -> None:
    """This program is about to delete an interface."""
    with _lock:
        _leaving.add(index)


def is_leaving(index: int) -> bool:
    """Whether this program is deleting an interface."""
    return index in _leaving


def left(index: int) -> None:
    """An interface is gone; the kernel may give its index to another one. Idempotent."""
    with _lock:
        _leaving.discard(index)
