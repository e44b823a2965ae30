"""What a write would do is told before it is done (`dry_run`), or bounded (`max_withdraw`).

The handler of the write itself is run with parts that write nowhere (`controller.rehearsal`), so it checks
and refuses all that it does in earnest. With a bound it is run once more with the real parts, and those may
commit only what was rehearsed, of the same state of the same things.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from controller.answer import Answer
from controller.anycast import Anycast
from controller.api.parameter import Number, Parameter
from controller.exchange import argument, current
from controller.impact import foresee, withdraws_nothing
from controller.impact_view import ImpactView, totals, view
from controller.ipam.committer import Commits
from controller.ipam.unit import Unit
from controller.joining import Joining
from controller.parts import Parts
from controller.policy_impact import policies_foreseen
from controller.principal import principal
from controller.problem import Problem
from controller.registry import Registry
from controller.rehearsal import Rehearsal
from controller.retire import Retirer
from intent import cluster
from store.client import Absent, Compare, DeletePrefix, Op, Put, Store, Unchanged

DRY_RUN = Parameter(
    "dry_run",
    "with `true` nothing is written; the answer is what would happen at each router, and who reaches whom",
    {"type": "string", "enum": ["true", "false"]},
    example="true",
)
MAX_WITHDRAW = Number(
    "max_withdraw",
    "refuse to withdraw more than so many percent of what is announced",
    {"type": "integer", "minimum": 0, "maximum": 100},
    example="10",
)
PARAMETERS = (DRY_RUN, MAX_WITHDRAW)

ATTEMPTS = 4

READ = cluster.watched()
"""Where that is which speakers read."""

Do = Callable[[], Answer]
Essence = tuple[Sequence[Op], frozenset[Compare]]


def answered(do: Do) -> Answer:
    """What a write is answered with: what it would do, or what it did; refused where that is too much."""
    if argument(DRY_RUN.name) == "true":
        _refuse_part()
        return Answer(foreseen(rehearse(do)))
    limit = MAX_WITHDRAW.given(None)
    return do() if limit is None else _bounded(do, limit)


def _refuse_part() -> None:
    """The routers, and what all others announce, are not shown to whom only a part is."""
    if not principal().scope.whole:
        detail = f"what happens at the routers is not shown to role {principal().role}; leave dry_run out"
        raise Problem("forbidden", detail)


def foreseen(rehearsal: Rehearsal) -> ImpactView:
    """What the rehearsed writes would do at each router, and who reaches whom then."""
    store = current().parts.store
    return view(*foresee(store, rehearsal), policies_foreseen(store, rehearsal))


def rehearse(do: Callable[[], object]) -> Rehearsal:
    """Do it with parts that write nowhere. Raises what it raises."""
    real = current().parts
    rehearsal = Rehearsal(real.store)
    joining = Joining(rehearsal, real.clock, None)
    believing = _Believing(rehearsal, real.epoch.check)
    with _using(replace(_over(real, rehearsal, rehearsal, believing), store=rehearsal, joining=joining)):
        do()
    return rehearsal


def _bounded(do: Do, limit_percent: int) -> Answer:
    """Do it unless it withdraws more than a share of what is announced. Raises `Problem`."""
    real = current().parts
    for _ in range(ATTEMPTS):
        rehearsal = rehearse(do)
        refuse_too_much(rehearsal, limit_percent)
        left = [_essence(unit) for unit in rehearsal.units]
        bounds = (_AsRehearsed(each, left) for each in (real.naming, real.committer))
        try:
            with _using(_over(real, real.store, *bounds)):
                return do()
        except _Otherwise:
            continue  # somebody was faster: what was weighed is not what would be done
    raise Problem("busy", "it keeps changing while it is weighed what a change would do", retry_after_s=1)


def refuse_too_much(rehearsal: Rehearsal, limit_percent: int) -> None:
    """Refuse rehearsed writes that withdraw more than a share of what is announced. Raises `Problem`."""
    store = current().parts.store
    if withdraws_nothing(store, rehearsal):
        return
    found, _ = foresee(store, rehearsal)
    if found.withdrawn_percent <= limit_percent:
        return
    if not principal().scope.whole:
        raise Problem(
            "too-much-withdrawn", f"it would withdraw more than max_withdraw {limit_percent} allows"
        )
    what = totals(found)
    detail = (
        f"it would withdraw {what.vanish} of {what.advertised} announced prefixes "
        f"({what.withdrawn_percent:g} %), more than max_withdraw {limit_percent}; "
        f"endpoints in them: {what.endpoints}"
    )
    raise Problem("too-much-withdrawn", detail, totals=what.model_dump())


def _over(real: Parts, store: Store, naming: Commits, committer: Commits) -> Parts:
    """The same parts, but for those that make the writes of which there is a foresight."""
    return replace(
        real,
        registry=Registry(store, naming),
        retirer=Retirer(store, committer),
        anycast=Anycast(store, committer, real.clock),
    )


@contextmanager
def _using(parts: Parts) -> Iterator[None]:
    """Let the request that is handled now work with other parts."""
    exchange = current()
    real, exchange.parts = exchange.parts, parts
    try:
        yield
    finally:
        exchange.parts = real


class _Otherwise(Exception):
    """What would be committed is not what was rehearsed."""


class _Believing:
    """A committer that takes nothing while the store is not believed, like that which it stands for."""

    def __init__(self, committer: Commits, check: Callable[[], None]) -> None:
        self._committer = committer
        self._check = check
        self.confirm = committer.confirm

    def commit(self, unit: Unit) -> int:
        """See `Commits`. Raises `Restored`."""
        self._check()
        return self._committer.commit(unit)


class _AsRehearsed:
    """A committer that takes only what was rehearsed, in its order: of `left`, what it takes is removed."""

    def __init__(self, committer: Commits, left: list[Essence]) -> None:
        self._committer = committer
        self._left = left
        self.confirm = committer.confirm

    def commit(self, unit: Unit) -> int:
        """See `Commits`. Raises `_Otherwise`."""
        if not self._left or self._left[0] != _essence(unit):
            raise _Otherwise
        revision = self._committer.commit(unit)
        if not revision:
            raise _Otherwise
        del self._left[0]
        return revision


def _essence(unit: Unit) -> Essence:
    """What a unit writes, and of which state of these keys. What else it compares is read anew each time.

    Of what no speaker reads it counts that it is written: it may have the time in it, or a lease.
    """
    keys = {op.key for op in unit.ops if not isinstance(op, DeletePrefix)}
    compares = (each for each in unit.compares if isinstance(each, Absent | Unchanged))
    ops = [Put(op.key, b"") if isinstance(op, Put) and not op.key.startswith(READ) else op for op in unit.ops]
    return ops, frozenset(each for each in compares if each.key in keys)
