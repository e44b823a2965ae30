"""Group commit: independent units of many requests go to the store in one transaction.

While one transaction is under way, requests queue; the next takes all that fit, and those that are on their
way to the queue. So a lone request waits for nobody, and many share the cost of one write to etcd's log.
Where compares fail the keys are read: the units that lose on their own account are told so, and the others
are tried again together. What a read does not explain is cut in two, and each half tried again.

No thread waits for units: whoever queues one while nothing is under way begins the work, which ends when
nothing is left. In the server that is done in the thread of the event loop (`controller.waiting`), beside the
requests: a thread of its own would have to wait for Python's lock after each answer of etcd.

An answer that got lost is no answer. The same transaction is tried again: its compares make a late first
attempt and the second one exclude each other. When the second finds that a compare does not hold, the
units are read back to tell "already applied by the first" from "lost to somebody else". So every unit
has to have a compare that its own success makes false.

The sums of what tenants hold are written beside the units that change them; see `controller.ipam.tally`.
When only a sum has moved, because another controller wrote it, the same units are tried again on the new
one. A unit that would break a limit is left out and told so.

What has waited for too long is not tried at all: a controller that was stopped for a while and goes on must
not do now what its clients have given up.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from controller import trail
from controller.ipam.tally import Account, Charge, OverQuota, Tally, usage_of
from controller.ipam.unit import Batch, Unit, applied_at, losers, merged
from controller.promise import Promise
from controller.waiting import Runner, give_way, pause, wait
from store.client import MAX_TXN_OPS, Compare, Op, Store, TxnResult
from store.errors import Invalid, LeaseExpired, Restored, StoreError, Unavailable
from store.model import Usage

log = logging.getLogger(__name__)

PAUSES_S = (0.0, 0.1, 0.4)
"""The pause before each attempt while answers are lost; after the last the caller is told."""

SUM_ATTEMPTS = 64
"""How often units are tried again because somebody else has written the sum of a tenant."""

PATIENCE_S = 5.0
"""How long a unit may wait before its transaction is sent."""

TURNS = 3
"""Turns of the event loop that a request takes from its socket to the queue; after so many that brought no
more a transaction is sent. Each costs as much as several requests that are in it, here and in etcd."""

CLOSE_S = 1.5

Observe = Callable[[int], None]
Txn = Callable[[Sequence[Compare], Sequence[Op]], TxnResult]


@dataclass(slots=True)
class _Item:
    """A unit that is to be applied."""

    unit: Unit
    future: Promise[int]
    since: float
    """When it was queued."""


class Commits(Protocol):
    """Where units go that are not part of a batch; see `Committer`."""

    def commit(self, unit: Unit) -> int:
        """Apply one unit; the revision at which it is, 0 when a compare did not hold."""
        ...

    def confirm(self, over: OverQuota) -> Usage | None:
        """What a tenant holds that stands in the way of a unit; None when it does no longer."""
        ...


class Committer:
    """Commits units, one transaction after the other. Safe to call from many threads; `close` once."""

    def __init__(
        self,
        store: Store,
        *,
        txn: Txn | None = None,
        runner: Runner | None = None,
        observe: Observe = lambda size: None,
        guard: Callable[[], None] = lambda: None,
        pauses_s: Sequence[float] = PAUSES_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`observe` is told the number of units of each transaction that was applied.

        `txn` is what each transaction goes to, `Store.txn` unless it says otherwise; it may add a compare.
        `runner` says where the work is done: in a thread each time, unless it says otherwise. `guard` raises
        where the store cannot be believed: asked before each transaction and after it.
        """
        self._monotonic = monotonic
        self._guard = guard
        self._store = store
        self._txn = txn or store.txn
        self._runner = runner or Runner()
        self._pauses_s = tuple(pauses_s)
        self._observe = observe
        self._tally = Tally(store)
        self._waiting: deque[_Item] = deque()
        self._entry = threading.Lock()
        self._closed = False
        self._idle = threading.Event()
        """Nothing is under way, and nothing waits."""
        self._idle.set()

    def close(self) -> None:
        """Commit what is queued, and take no more. Blocking, `CLOSE_S` at most. Idempotent."""
        with self._entry:
            self._closed = True
        self._idle.wait(CLOSE_S)

    def commit(self, unit: Unit) -> int:
        """Apply one unit. Blocking until the store has answered; see `submit`."""
        return wait(self.submit(unit))

    def submit(self, unit: Unit) -> Promise[int]:
        """Queue one unit; see `submit_all`."""
        return self.submit_all([unit])[0]

    def submit_all(self, units: Sequence[Unit]) -> list[Promise[int]]:
        """Queue units, each to be applied on its own account. What their futures give:

        Returns:
            The revision at which it is applied; 0 when a compare of this unit did not hold.

        Raises:
            Unavailable: no answer, or it waited for too long; with `outcome_unknown` when it may have been
                applied all the same.
            LeaseExpired: a lease that the unit names is gone.
            OverQuota: it would break a limit of its charge, as far as is known here; see `confirm`.
        """
        now = self._monotonic()
        items = [_Item(unit, Promise(), now) for unit in units]
        with self._entry:
            if self._closed:
                raise Unavailable("the controller is stopping")
            self._waiting += items
            begin = bool(items) and self._idle.is_set()
            if begin:
                self._idle.clear()
        if begin:
            self._runner.begin(self._run)
        if (request := trail.current()) is not None:
            for item in items:
                request.writes(item.unit.ops, item.future)
        return [item.future for item in items]

    def room(self, charge: Charge, wanted: int) -> int:
        """How many times a charge fits into its limits; see `Tally.room`."""
        return self._tally.room(charge, wanted)

    def confirm(self, over: OverQuota) -> Usage | None:
        """What a tenant holds that stands in the way of a unit, read now; None when it does no longer."""
        usage = usage_of(self._store, over.charge.tenant).usage
        if over.charge.excess(usage):
            return usage
        self._tally.drop(over.charge.tenant)
        return None

    def _run(self) -> None:
        """Commit what is queued until nothing is left."""
        while not self._rests():
            self._commit(self._next_batch())

    def _rests(self) -> bool:
        """Whether nothing waits; then the next unit that is queued begins the work again."""
        with self._entry:
            if not self._waiting:
                self._idle.set()
            return self._idle.is_set()

    def _next_batch(self) -> list[_Item]:
        """The units at the head of the queue that fit into one transaction and do not meet.

        While these are few, requests that are on their way to the queue go first.
        """
        batch = Batch()
        taken: list[_Item] = []
        met: list[_Item] = []
        turns = 0
        while True:
            while self._waiting and batch.has_room(self._waiting[0].unit):
                item = self._waiting.popleft()
                if batch.add(item.unit):
                    taken.append(item)
                    turns = TURNS
                else:
                    met.append(item)
            if self._waiting or batch.ops > MAX_TXN_OPS // 2 or not turns:
                break
            turns -= 1
            give_way()
        self._waiting.extendleft(reversed(met))
        return taken

    def _commit(self, items: list[_Item], *, unsure: bool = False) -> None:
        """Settle every item. `unsure`: a transaction that held these units may still be applied."""
        for _ in range(SUM_ATTEMPTS):
            try:
                items, account = self._admit(self._in_time(items, unsure), unsure=unsure)
                if not items:
                    return
                applied, unsure = self._attempt(merged([item.unit for item in items]), account, unsure=unsure)
                again = not applied and bool(account.before) and self._tally.has_moved(account.before)
            except (LeaseExpired, Invalid) as fault:
                if len(items) == 1:
                    _fail(items, fault)
                    return
                applied, again = 0, False
            except StoreError as fault:
                _fail(items, _unsure(fault) if unsure else fault)
                return
            if not again:
                break
        if applied or len(items) == 1:
            self._settle(items, applied)
            return
        for part in self._parts(items, unsure=unsure):
            self._commit(part, unsure=unsure)

    def _parts(self, items: list[_Item], *, unsure: bool) -> Iterable[list[_Item]]:
        """What to try of a transaction that failed; the items that lose on their own account are settled."""
        try:
            # Of what may be applied a compare fails because it is.
            lost = [] if unsure else losers(self._store, [item.unit for item in items])
        except StoreError as fault:
            _fail(items, fault)
            return []
        if any(lost):
            self._settle([item for item, is_lost in zip(items, lost, strict=True) if is_lost], 0)
            left = [item for item, is_lost in zip(items, lost, strict=True) if not is_lost]
            return [left] if left else []
        middle = len(items) // 2
        return [items[:middle], items[middle:]]

    def _in_time(self, items: list[_Item], unsure: bool) -> list[_Item]:
        """The items that have not waited for too long; the others are settled, unless they may be applied."""
        oldest = self._monotonic() - PATIENCE_S
        if unsure or all(item.since >= oldest for item in items):
            return items
        fault = Unavailable(f"it waited for more than {PATIENCE_S:g} s and was not tried")
        _fail([item for item in items if item.since < oldest], fault)
        return [item for item in items if item.since >= oldest]

    def _admit(self, items: list[_Item], *, unsure: bool) -> tuple[list[_Item], Account]:
        """The items that no limit stands against, and the account of them; the others are settled."""
        account = self._tally.open(item.unit.charge for item in items if item.unit.charge is not None)
        if not account.before:
            return items, account
        admitted = []
        for item in items:
            charge = item.unit.charge
            if charge is None or account.add(charge):
                admitted.append(item)
            elif unsure and (revision := applied_at(self._store, item.unit)):
                item.future.set_result(revision)  # what stands in its way is itself
            else:
                item.future.set_exception(OverQuota(charge))
        return admitted, account

    def _attempt(self, whole: Unit, account: Account, *, unsure: bool) -> tuple[int, bool]:
        """At which revision the unit is applied, 0 for not; and whether an attempt at it was ever left
        without an answer."""
        fault = Unavailable("not tried")
        compares, ops = whole.compares + account.compares, whole.ops + account.ops
        for pause_s in self._pauses_s:
            pause(pause_s)
            try:
                self._guard()
                answer = self._txn(compares, ops)
                self._guard()
                if answer.succeeded:
                    self._tally.applied(account, answer.revision)
                    return answer.revision, unsure
                if not unsure:
                    return 0, False
                # A lost attempt that was applied after all is what made this one fail.
                self._tally.forget(account)
                return applied_at(self._store, whole), True
            except Unavailable as refused:
                fault, unsure = refused, unsure or refused.outcome_unknown
                if not unsure:
                    raise
                log.warning("event=answer-lost why=%r", str(fault))
            except Restored:
                self._tally.forget(account)
                raise
        self._tally.forget(account)
        raise _unsure(fault)

    def _settle(self, items: list[_Item], applied: int) -> None:
        if applied:
            self._observe(len(items))
        for item in items:
            item.future.set_result(applied)


def _unsure(fault: StoreError) -> Unavailable:
    return Unavailable(str(fault), outcome_unknown=True)


def _fail(items: list[_Item], fault: StoreError) -> None:
    for item in items:
        item.future.set_exception(fault)
