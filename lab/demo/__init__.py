"""`make demo`: the main job shown in a lab of its own, each claim proven on the wire or in a kernel."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from lab.demo import failover, move, policy, reach, release, restart, routers
from lab.demo.cast import Cast
from lab.demo.report import Report
from lab.lab import Lab

ACTS: tuple[Callable[[Cast, Report], None], ...] = (
    reach.everyone_reaches_everyone,
    reach.nothing_is_translated,
    routers.both_hold_the_blocks,
    failover.one_router_is_cut_off,
    move.a_container_moves,
    policy.a_tenant_is_closed,
    restart.programs_are_killed,
    release.an_endpoint_is_deleted,
)


def main(argv: list[str]) -> int:
    """Show it. Returns the exit status: 0 when every check passed. Raises LabError."""
    parser = argparse.ArgumentParser(prog="python -m lab demo", description=__doc__)
    parser.add_argument("--name", default="demo", help="the lab's name (%(default)s)")
    args = parser.parse_args(argv)
    report = Report()
    began = time.monotonic()
    report.title("A lab: two ToR routers, three nodes, a bare-metal host")
    with Lab(args.name, say=report.note) as lab:
        report.note(f"up in {time.monotonic() - began:.1f} s")
        cast = Cast(lab, report)
        for act in ACTS:
            act(cast, report)
        report.title("Tear-down")
    report.note(f"done in {time.monotonic() - began:.0f} s, and nothing is left of the lab")
    return report.close()
