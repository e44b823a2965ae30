"""What a change would do at the routers: asked for with `--dry-run`, and bounded unless `--yes` is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from cli.failure import Failure
from cli.rest import Json, place
from cli.session import Session

F = TypeVar("F", bound=Callable[..., Any])

MAX_WITHDRAW_PERCENT = 10
ANYTHING = 100
"""Percent: the bound of what is not bounded."""
MOST_FORETOLD = 1000
"""So many writes can be asked about at once."""
FORBIDDEN = 403
DRY_RUN = {"dry_run": "true"}
"""The query of a write that is not to be made."""


def dry_run_option(*, routers: bool) -> Callable[[F], F]:
    """`--dry-run` of what can change what routers are told, or else who reaches whom."""
    what = "what would happen at each router" if routers else "who would reach whom then"
    return click.option("--dry-run", is_flag=True, help=f"Show {what}, and change nothing.")


def bound_options(function: F) -> F:
    """Add `--max-withdraw` and `--yes`."""
    yes = click.option(
        "--yes", is_flag=True, help="Withdraw as much as it takes: --max-withdraw does not count."
    )
    bound = click.option(
        "--max-withdraw",
        metavar="PERCENT",
        type=click.IntRange(0, 100),
        default=MAX_WITHDRAW_PERCENT,
        show_default=True,
        help="Refuse to withdraw more of all that is announced.",
    )
    return bound(yes(function))


def bound(max_withdraw: int, yes: bool) -> dict[str, object]:
    """The query that bounds a write."""
    return {} if yes else {"max_withdraw": max_withdraw}


def foretold(session: Session, writes: Sequence[Json]) -> Json:
    """What writes would do, one after the other: each has `method`, `path` and, where it has one, `body`."""
    return session.item("POST", place("impact"), {"items": list(writes)}, repeatable=True)


def foretold_if_shown(session: Session, writes: Sequence[Json]) -> Json | None:
    """Likewise; None for a tenant, who is not shown what happens at routers."""
    try:
        return foretold(session, writes)
    except Failure as fault:
        if _is_not_shown(fault, writes):
            return None
        raise


def weigh(session: Session, writes: Sequence[Json], max_withdraw: int) -> None:
    """Refuse writes of which one would be refused, or that withdraw too much together; not for a tenant.

    Raises `Failure`.
    """
    query = {"max_withdraw": max_withdraw}
    try:
        session.request("POST", place("impact"), {"items": list(writes)}, query=query, repeatable=True)
    except Failure as fault:
        if not _is_not_shown(fault, writes):
            raise


def _is_not_shown(fault: Failure, writes: Sequence[Json]) -> bool:
    of_tenants = (place("services"), place("policies"), place("endpoints"))
    return fault.status == FORBIDDEN and all(each["path"].startswith(of_tenants) for each in writes)


def show(session: Session, impact: Json) -> None:
    """Print an impact as `-o` says."""
    from cli.impact import lines

    if session.output in {"json", "yaml"}:
        session.print_item(impact)
        return
    for line in lines(impact):
        click.echo(line)
