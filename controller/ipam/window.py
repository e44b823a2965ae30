"""Many units through the committer: merged into large ones, of which some are under way at a time.

So a hundred thousand units cost a few thousand transactions, and a request of somebody else is in one of the
next. When a merged unit does not hold, its parts are committed one by one: each is lost on its own account.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from typing import Generic, TypeVar

from controller.ipam.committer import Committer
from controller.ipam.unit import Unit, merged
from store.client import Compare
from store.errors import LeaseExpired

UNDER_WAY = 2
FULL = 96
"""Operations, or compares, of a merged unit: the committer may have to add some of its own."""

T = TypeVar("T")


class Window(Generic[T]):
    """Commits units that do not meet, and remembers what the applied ones stood for. One thread at a time."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._next: list[tuple[Unit, T]] = []
        self._ops = 0
        self._compares: set[Compare] = set()
        self._under_way: deque[tuple[Future[int], list[tuple[Unit, T]]]] = deque()
        self._applied: list[T] = []
        self.lease_expired = False
        """A unit was refused because its lease had ended."""

    def submit(self, unit: Unit, stands_for: T) -> None:
        """Queue a unit. Blocking while too many are under way. Raises what the committer does."""
        compares = self._compares
        new = sum(compare not in compares for compare in unit.compares)
        if max(self._ops + len(unit.ops), len(compares) + new) > FULL:
            self._send()
        self._next.append((unit, stands_for))
        self._ops += len(unit.ops)
        self._compares.update(unit.compares)

    def drain(self) -> list[T]:
        """Wait for all; returns what was applied since the last time. Raises what the committer does."""
        self._send()
        while self._under_way:
            self._settle()
        applied, self._applied = self._applied, []
        return applied

    def _send(self) -> None:
        if not self._next:
            return
        if len(self._under_way) >= UNDER_WAY:
            self._settle()
        parts, self._next, self._ops, self._compares = self._next, [], 0, set()
        self._under_way.append((self._committer.submit(merged([unit for unit, _ in parts])), parts))

    def _settle(self) -> None:
        future, parts = self._under_way.popleft()
        if self._holds(future):
            self._applied.extend(stands_for for _, stands_for in parts)
        elif len(parts) > 1:
            alone = [(self._committer.submit(unit), stands_for) for unit, stands_for in parts]
            self._applied.extend(stands_for for each, stands_for in alone if self._holds(each))

    def _holds(self, future: Future[int]) -> bool:
        try:
            return bool(future.result())
        except LeaseExpired:
            self.lease_expired = True
            return False
