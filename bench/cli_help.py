"""`cli.help`: how long `polder --help` takes, beside a Python that starts and does nothing."""

from __future__ import annotations

import subprocess
import sys
import time

from bench.row import Row, median, percentile

TURNS = 30
GOAL_MS = 150.0
HELP = (sys.executable, "-c", "from cli.main import main; main(['--help'])")
NOTHING = (sys.executable, "-c", "pass")


def measure() -> Row:
    """Measure; the two take turns."""
    times = [(_ms(HELP), _ms(NOTHING)) for _ in range(TURNS)]
    ours, theirs = [one for one, _ in times], [other for _, other in times]
    p50 = median(ours)
    return Row(
        name="cli.help",
        value=p50,
        unit="ms",
        p50=p50,
        p99=percentile(ours, 99),
        peer="python -c pass",
        peer_value=median(theirs),
        ratio=median(theirs) / p50,
        goal=f"at most {GOAL_MS:g} ms",
        ok=p50 <= GOAL_MS,
    )


def _ms(argv: tuple[str, ...]) -> float:
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000
