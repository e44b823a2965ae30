"""`python -m bench [NAME ...]`: run the rows, all of them when none is named.

The last line of a row on standard output is one JSON object; progress goes to standard error. The exit
status is 1 when a row misses its goal or cannot be measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench import (
    agent_start,
    auth_revoke,
    bgp_aggregate,
    bgp_burst,
    bgp_churn,
    bgp_latency,
    bgp_reconnect,
    bgp_sessions,
    cli_help,
    dataplane_ready,
    dataplane_throughput,
    e2e_latency,
    flows_bulk,
    ipam_batch,
    ipam_fill,
    ipam_one,
    ipam_reclaim,
    ipam_scale,
    ipam_single,
    move_gap,
    policy_scale,
    routes_bulk,
    tenant_first,
    watch_fanout,
)
from bench.row import Row, progress
from lab.errors import LabError
from lab.lab import Lab


def _in_lab(measure: Callable[[Lab], Row]) -> Callable[[], Row]:
    """A row that is measured in a lab of its own."""

    def build_and_measure() -> Row:
        progress("building a lab")
        with Lab("bench") as lab:
            return measure(lab)

    return build_and_measure


ROWS: dict[str, Callable[[], Row]] = {
    "cli.help": cli_help.measure,
    "e2e.latency": _in_lab(e2e_latency.measure),
    "dataplane.ready": _in_lab(dataplane_ready.measure),
    "dataplane.dense": _in_lab(dataplane_ready.measure_dense),
    "dataplane.throughput": _in_lab(dataplane_throughput.measure),
    "move.gap": _in_lab(move_gap.measure),
    "agent.start": agent_start.measure,
    "flows.bulk": flows_bulk.measure,
    "routes.bulk": routes_bulk.measure,
    "bgp.burst": bgp_burst.measure,
    "bgp.aggregate": bgp_aggregate.measure,
    "bgp.latency": bgp_latency.measure,
    "bgp.reconnect": bgp_reconnect.measure,
    "bgp.churn": bgp_churn.measure,
    "bgp.sessions": bgp_sessions.measure,
    "ipam.single": ipam_single.measure,
    "ipam.batch": ipam_batch.measure,
    "ipam.read": ipam_one.measure_read,
    "ipam.delete": ipam_one.measure_delete,
    "ipam.reclaim": ipam_reclaim.measure,
    "ipam.fill": ipam_fill.measure,
    "ipam.scale": ipam_scale.measure,
    "policy.scale": policy_scale.measure,
    "tenant.first": tenant_first.measure,
    "watch.fanout": watch_fanout.measure,
    "auth.revoke": auth_revoke.measure,
}


def main(argv: list[str] | None = None) -> int:
    """Run the rows that are asked for. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ROWS)}")
    args = parser.parse_args(argv)
    unknown = [name for name in args.names if name not in ROWS]
    if unknown:
        parser.error(f"there is no row {unknown[0]}; there are {', '.join(ROWS)}")
    good = [_run(name) for name in args.names or ROWS]
    return 0 if all(good) else 1


def _run(name: str) -> bool:
    progress(f"{name}: begins")
    try:
        row = ROWS[name]()
    except LabError as fault:
        progress(f"{name}: not measured: {fault}")
        return False
    print(row.line(), flush=True)
    return row.ok


if __name__ == "__main__":
    sys.exit(main())
