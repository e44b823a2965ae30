"""A row: one measurement, its peer in the same run, and the goal. Printed as one JSON object."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """The result of a measurement. `ratio` is how many times as good as the peer; more is better."""

    name: str
    value: float
    unit: str
    p50: float
    p99: float
    peer: str | None
    peer_value: float | None
    ratio: float | None
    goal: str
    ok: bool

    def line(self) -> str:
        """The row as the last line of standard output."""
        fields = {
            name: round(field, 3) if isinstance(field, float) else field
            for name, field in asdict(self).items()
        }
        return json.dumps(fields)


def percentile(samples: Sequence[float], percent: int) -> float:
    """The smallest sample that at least so many percent of the samples do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def median(samples: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(samples)


def progress(text: str) -> None:
    """Tell how far it is, on standard error."""
    print(text, file=sys.stderr, flush=True)
