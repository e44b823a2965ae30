"""`python -m bench [NAME ...]`: run the rows, all of them when none is named.

The last line of a row on standard output is one JSON object; progress goes to standard error. The exit
status is 1 when a row misses its goal or cannot be measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench import dataplane_ready, dataplane_throughput, e2e_latency
from bench.row import Row, progress
from lab.errors import LabError
from lab.lab import Lab

ROWS: dict[str, Callable[[Lab], Row]] = {
    "e2e.latency": e2e_latency.measure,
    "dataplane.ready": dataplane_ready.measure,
    "dataplane.throughput": dataplane_throughput.measure,
}


def main(argv: list[str] | None = None) -> int:
    """Run the rows that are asked for, each in a lab of its own. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ROWS)}")
    args = parser.parse_args(argv)
    unknown = [name for name in args.names if name not in ROWS]
    if unknown:
        parser.error(f"there is no row {unknown[0]}; there are {', '.join(ROWS)}")
    good = [_run(name) for name in args.names or ROWS]
    return 0 if all(good) else 1


def _run(name: str) -> bool:
    progress(f"{name}: building a lab")
    try:
        with Lab("bench") as lab:
            row = ROWS[name](lab)
    except LabError as fault:
        progress(f"{name}: not measured: {fault}")
        return False
    print(row.line(), flush=True)
    return row.ok


if __name__ == "__main__":
    sys.exit(main())
