"""`polder restore`: how far a restored backup of etcd is completed with what nodes hold."""

from __future__ import annotations

import click

from cli.example import examples
from cli.group import Group
from cli.rest import place
from cli.session import Session, takes_session


@click.group(cls=Group)
def command() -> None:
    """Complete a restored backup of etcd with what nodes hold."""


@command.command(
    short_help="Show whether a restored backup is being completed, and how the last one was.",
    epilog=examples("polder restore status", "polder restore status -o json"),
)
@takes_session
def status(session: Session) -> None:
    """Show whether a backup was restored, which nodes have said what they hold, and the last report."""
    session.refuse_names()
    session.print_item(session.item("GET", place("restore")))


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
    session.print_item(session.item("POST", place("restore:finish")))
