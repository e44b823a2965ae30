"""How large the body of a request may be, and how many large ones there are at a time.

A body is kept whole while its request is handled, and takes many times its size once it is parsed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
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


class Large:
    """The places of large bodies."""

    def __init__(self, limit: int = MAX_LARGE) -> None:
        self._places = threading.Semaphore(limit)

    @contextmanager
    def place(self, size: int) -> Iterator[None]:
        """Held while there is a body of this size, if it is large. Raises `Problem` when none is free."""
        if size <= SMALL_BYTES:
            yield
            return
        if not self._places.acquire(blocking=False):
            detail = f"{MAX_LARGE} bodies over {SMALL_BYTES} bytes are here already; send less at a time"
            raise Problem("busy", detail, retry_after_s=1)
        try:
            yield
        finally:
            self._places.release()
