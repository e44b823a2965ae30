"""The history: written to a file line by line as it happens, and kept."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

from tests.history.op import Op, Outcome


class History:
    """Operations in the order in which they ended. Safe to call from many threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ops: list[Op] = []
        self._lock = threading.Lock()
        self._file = path.open("w")

    def record(self, op: Op) -> Op:
        """Add one operation that has ended; returns it."""
        with self._lock:
            self.ops.append(op)
            self._file.write(op.line() + "\n")
        return op

    @property
    def requests(self) -> int:
        """How many requests these operations were: a batch is one."""
        with self._lock:
            return sum(op.part == 0 for op in self.ops)

    def close(self) -> None:
        """Nothing more comes."""
        with self._lock:
            self._file.close()

    def silence_s(self, since: float, until: float) -> float:
        """The longest time between two operations that went well, in a part of the history."""
        with self._lock:
            ends = [op.ended for op in self.ops if op.outcome is Outcome.OK and since <= op.ended <= until]
        marks = [since, *sorted(ends), until]
        return max(later - sooner for sooner, later in pairwise(marks))
