"""What a duty follows, a watch or a feed: another thread ends it, also one that is opened just then."""

from __future__ import annotations

import threading
from typing import Protocol, TypeVar


class Closes(Protocol):
    """What can be closed from another thread, which ends its iteration."""

    def close(self) -> None:
        """Idempotent."""


C = TypeVar("C", bound=Closes)


class Following:
    """One at a time, until `end`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: Closes | None = None
        self._ended = False

    def begin(self, opened: C) -> C:
        """Follow this from now on. It is closed at once where the end has come."""
        with self._lock:
            self._opened = opened
            ended = self._ended
        if ended:
            opened.close()
        return opened

    def end(self) -> None:
        """Close what is followed, and what will be. Idempotent."""
        with self._lock:
            self._ended = True
            opened = self._opened
        if opened is not None:
            opened.close()
