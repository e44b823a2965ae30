"""What a change would do at the routers: asked for with `--dry-run`, and bounded unless `--yes` is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from cli.rest import Json, place
from cli.session import Session

F = TypeVar("F", bound=Callable[..., Any])

MAX_WITHDRAW_PERCENT = 10
ANYTHING = 100
"""Percent: the bound of what is not bounded."""
MOST_FORETOLD = 1000
"""So many writes can be asked about at once."""
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


def foretold(session: Session, writes: Sequence[Json], max_withdraw: int | None = None) -> Json:
    """What writes would make of what is there, and do at the routers, one after the other.

    Each has `method`, `path` and, where it has one, `body`. With a bound it is not told what they would do at
    the routers. Raises `Failure` where one would be refused, or they withdraw more together than the bound.
    """
    query = {"max_withdraw": max_withdraw}
    return session.item("POST", place("impact"), {"items": list(writes)}, query=query, repeatable=True)


def show(session: Session, impact: Json) -> None:
    """Print an impact as `-o` says."""
    from cli.impact import lines

    if session.output in {"json", "yaml"}:
        session.print_item(impact)
        return
    for line in lines(impact):
        click.echo(line)
