"""`polder restore`: how far a restored backup of etcd is completed with what nodes hold."""

from __future__ import annotations

import click

from cli.example import examples
from cli.group import Group
from cli.output import field, print_record, print_table
from cli.rest import Json, place
from cli.session import Session, takes_session

OUTCOMES = ("adopted", "ended", "refused")
"""What the report names one by one."""


@click.group(cls=Group)
def command() -> None:
    """Complete a restored backup of etcd with what nodes hold."""


@command.command(
    short_help="Show whether a restored backup is being completed, and how the last one was.",
    epilog=examples("polder restore status", "polder restore status -o json"),
)
@takes_session
def status(session: Session) -> None:
    """Show whether a backup was restored, what its completion waits for, and the last report."""
    session.refuse_names()
    _print(session, session.item("GET", place("restore")))


@command.command(
    short_help="Complete a restored backup now, without waiting for more nodes.",
    epilog=examples("polder restore finish"),
)
@takes_session
def finish(session: Session) -> None:
    """Complete a restored backup now.

    Addresses that nodes hold which were not heard of may then be assigned again. What no pool has the address
    of (no_pool of the status) is taken down: create the pool first.
    """
    session.refuse_names()
    _print(
        session, session.item("POST", place("restore:finish")), "polder restore status has the report soon"
    )


def _print(session: Session, found: Json, next_step: str = "") -> None:
    """What is waited for, and by what it ends; or the last report."""
    if not session.for_people:
        session.print_item(found)
        return
    report = found.get("report") or {}
    if found.get("restoring"):
        shown = ("restoring", "cluster", "heard", "waiting_for", "no_pool")
        print_record({**{name: found.get(name) for name in shown}, "next": next_step or _next(found)})
        return
    counts = {name: len(report.get(name, ())) for name in OUTCOMES}
    last = {name: report[name] for name in ("at", "heard", "unheard", "confirmed", "idle") if name in report}
    print_record(
        {"restoring": False, "cluster": found.get("cluster"), **({**last, **counts} if last else {})}
    )
    if rows := [{"result": name, "what": each} for name in OUTCOMES for each in report.get(name, ())]:
        click.echo()
        print_table(rows, (field("result"), field("what")))


def _next(found: Json) -> str:
    if found.get("waits_for_finish") or found.get("no_pool"):
        return "create what is missing, pools, nodes and peers, and then: polder restore finish"
    if found.get("waiting_for"):
        return "these nodes are waited for, 120 s at most; polder restore finish ends that"
    return "nodes that come back are waited for, for 15 s, and it goes on by itself"
