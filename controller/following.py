"""Following a watch or a feed, and anew when it breaks, until another thread ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from store.client import Watch
from store.errors import StoreError
from store.feed import Feed

RETRY_S = 0.5


Followed = TypeVar("Followed", bound=Feed | Watch)


class Following:
    """What one thread follows, one at a time, until any thread calls `end`."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._opened: Feed | Watch | None = None

    def run(self, follow: Callable[[], None], lost: Callable[[StoreError], None]) -> None:
        """Call `follow` again and again. Blocking, until `end`.

        Args:
            follow: begins something and takes what it tells, as long as it lasts.
            lost: told why not, before the next try; a store that is away is no fault of `follow`.
        """
        while not self.ended.is_set():
            try:
                follow()
            except StoreError as fault:
                lost(fault)
                self.ended.wait(RETRY_S)

    def begin(self, opened: Followed) -> Followed:
        """Follow this from now on, and nothing else. It is closed at once where the end has come."""
        before, self._opened = self._opened, opened
        if before is not None:
            before.close()
        if self.ended.is_set():  # asked after it is known: else nobody would close what is opened just then
            opened.close()
        return opened

    def end(self) -> None:
        """Close what is followed, and what will be. Idempotent."""
        self.ended.set()
        if (opened := self._opened) is not None:
            opened.close()
