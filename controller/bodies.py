"""How large the body of a request may be, and how many large ones there are at a time.

A body is kept whole while its request is handled, and takes many times its size once it is parsed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from controller.problem import Problem
from controller.roles import OPEN

MAX_BODY_BYTES = 1 << 20
MAX_BATCH_BYTES = 1 << 22
"""A thousand endpoints, each with some labels."""

SMALL_BYTES = 1 << 16
"""Of bodies that are no larger there are as many as there are connections."""

MAX_LARGE = 16


def most_bytes(path: str) -> int:
    """How large a body may be that is sent to a path."""
    if path in OPEN:  # whoever sends it is nobody's bearer
        return SMALL_BYTES
    return MAX_BATCH_BYTES if path == "/v1/endpoints:batch" else MAX_BODY_BYTES


Keep = Callable[[int], None]
"""Told how much is kept of a body, again and again as it comes. Raises `Problem` when that is too much."""


class Large:
    """The places of large bodies. For one thread.

    Nobody gets a place who holds as many as are left for all others: so one sender alone gets half of them.
    """

    def __init__(self, limit: int = MAX_LARGE) -> None:
        self.free = limit
        self._held: Counter[str] = Counter()

    @contextmanager
    def place(self, whose: str) -> Iterator[Keep]:
        """For one body of a sender, which takes its place when it is large, and not sooner."""
        taken = False

        def keep(size: int) -> None:
            nonlocal taken
            if size > SMALL_BYTES and not taken:
                self._take(whose)
                taken = True

        try:
            yield keep
        finally:
            if taken:
                self._give_back(whose)

    def _take(self, whose: str) -> None:
        held = self._held[whose]
        if held >= self.free:
            here = (
                f"{self._held.total()} bodies over {SMALL_BYTES} bytes are here already, {held} of them yours"
            )
            raise Problem("busy", f"{here}; send less at a time", retry_after_s=1)
        self.free -= 1
        self._held[whose] += 1

    def _give_back(self, whose: str) -> None:
        self.free += 1
        self._held[whose] -= 1
        if not self._held[whose]:
            del self._held[whose]
