"""A row: one measurement, its peer in the same run, and the goal. Printed as one JSON object."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


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


def alone(
    name: str, samples: Sequence[float], unit: str, goal: str, *, ok: bool, value: float | None = None
) -> Row:
    """The row of a job that no peer does: the median of the samples, or another `value` of them."""
    p50, p99 = median(samples), percentile(samples, 99)
    return Row(name, p50 if value is None else value, unit, p50, p99, None, None, None, goal, ok)


def beside(
    name: str, ours_s: Sequence[float], theirs_s: Sequence[float], peer: str, goal: str, *, ok: bool
) -> Row:
    """The row of a job that was done in turns with a peer: milliseconds, and the median of the ratios.

    Args:
        name: the row's.
        ours_s: seconds of each of our turns.
        theirs_s: those of the peer, as many.
        peer: what it is.
        goal: what is to be reached, in words.
        ok: whether it is.
    """
    p50 = median(ours_s) * 1000
    p99, theirs = percentile(ours_s, 99) * 1000, median(theirs_s) * 1000
    return Row(name, p50, "ms", p50, p99, peer, theirs, ratio_of(ours_s, theirs_s), goal, ok)


def ratio_of(ours_s: Sequence[float], theirs_s: Sequence[float]) -> float:
    """How many times as fast as a peer that took turns: the median over the turns."""
    return median([their / our for our, their in zip(ours_s, theirs_s, strict=True)])


def percentile(samples: Sequence[float], percent: int) -> float:
    """The smallest sample that at least so many percent of the samples do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def median(samples: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(samples)


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def progress(text: str) -> None:
    """Tell how far it is, on standard error."""
    print(text, file=sys.stderr, flush=True)
