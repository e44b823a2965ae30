"""Many units through the committer, some under way at a time.

So many that its transactions are full, and so few that a request of somebody else is in the next one.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from typing import Generic, TypeVar

from controller.ipam.committer import Committer
from controller.ipam.unit import Unit
from store.errors import LeaseExpired

UNDER_WAY = 192
"""Units; a transaction takes some forty of those that end an endpoint."""

T = TypeVar("T")


class Window(Generic[T]):
    """Commits units and remembers what the applied ones stood for. One thread at a time."""

    def __init__(self, committer: Committer, size: int = UNDER_WAY) -> None:
        self._committer = committer
        self._size = size
        self._under_way: deque[tuple[Future[int], T]] = deque()
        self._applied: list[T] = []
        self.lease_expired = False
        """A unit was refused because its lease had ended."""

    def submit(self, unit: Unit, stands_for: T) -> None:
        """Queue a unit. Blocking while too many are under way. Raises what the committer does."""
        if len(self._under_way) >= self._size:
            self._settle()
        self._under_way.append((self._committer.submit(unit), stands_for))

    def drain(self) -> list[T]:
        """Wait for all; returns what was applied since the last time. Raises what the committer does."""
        while self._under_way:
            self._settle()
        applied, self._applied = self._applied, []
        return applied

    def _settle(self) -> None:
        future, stands_for = self._under_way.popleft()
        try:
            if future.result():
                self._applied.append(stands_for)
        except LeaseExpired:
            self.lease_expired = True
