"""Assigning addresses to endpoints: choose by hints, decide by one transaction, try again when it lost.

No cache is trusted: the address keys are created only if absent, together with the endpoint, and only
while pools, node, tenant and blocks are what they were read as. So no crash, no stale hint and no second
controller can hand out an address twice, and a lost race costs a retry, never an address. An endpoint of
both families gets both addresses in that transaction or none.

One request and a thousand go the same way. In rounds, the requests that have no answer yet are drafted: their
addresses are picked and their units are made, at first one for as many that are alike as a transaction takes.
Units are queued as they come and share transactions. What was lost, or refused on hints, goes into the next
round, which reads everything anew and makes a unit for each: for a few at a time where pools or nodes change
all the time, so that less changes until they are written. A request is looked up by its id only after it
failed: the transaction itself tells whether the id is taken. How many are made all or none is in
`controller.ipam.together`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from controller.ipam.claims import Stale
from controller.ipam.committer import Committer
from controller.ipam.drafting import Clock, Column, Drafter, Drafts, Wanted
from controller.ipam.known import Known
from controller.ipam.outcome import busy, failed, served
from controller.ipam.request import Request
from controller.ipam.room import Drafted
from controller.ipam.tally import OverQuota
from controller.ipam.together import PATIENCE, Together
from controller.problem import Fault, Problem
from controller.promise import Promise
from controller.reading import Found
from controller.unique import unique
from controller.waiting import give_way, wait
from store.client import Compare, Store
from store.errors import Restored, StoreError, Unavailable
from store.model import Endpoint, Pending

ATTEMPTS = 24
FEW = 20
"""Drafts that do not fill a transaction."""

MAX_MANY = 1000
"""Requests that are taken at a time."""

Answer = tuple[Endpoint, bool] | Problem
"""The endpoint and whether it is new, or why there is none."""


@dataclass(slots=True)
class _Job(Wanted):
    """One request on its way to an answer."""

    answer: Answer | None = None
    refused: Problem | None = None
    lost: Sequence[Column] | None = None
    """Of a draft that was not committed, the spots."""
    tried: bool = False
    """Something was queued for it, so that it may be there."""


_Load = tuple[Sequence[_Job], Drafts]
"""Jobs that are done by one unit."""


@dataclass(slots=True)
class _Round:
    """What the jobs of one round share."""

    known: Known
    guards: tuple[Compare, ...]
    more: defaultdict[tuple[object, ...], int] = field(default_factory=lambda: defaultdict(int))
    """Requests of each kind that are still to be drafted."""
    drafted: Drafted = field(init=False)
    refusals: dict[object, Problem] = field(default_factory=dict)
    """By kind of request."""

    def __post_init__(self) -> None:
        self.drafted = Drafted(together=bool(self.guards))


class Allocator:
    """Assigns addresses. Safe to call from many threads, and from many controllers at once."""

    def __init__(
        self,
        store: Store,
        committers: Sequence[Committer],
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """The first of the `committers` takes what few ask for; those of a batch go to the others in turn."""
        self._store = store
        self._monotonic = monotonic
        self._committer = committers[0]
        self._lanes = cycle(committers[1:] or committers)
        self._known = Known(store)
        self._drafter = Drafter(store, self._committer, clock)
        self._together = Together(store, self._committer, clock)

    def assign(self, request: Request) -> tuple[Endpoint, bool]:
        """The endpoint of a request, and whether it is new. Blocking.

        Idempotent: the same request with the same id gives the same endpoint.

        Raises:
            Problem: the request cannot be met; says why, and where in it.
        """
        job = _Job(request, request.id or unique(), unique())
        self._run([job])
        answer = job.answer or busy(request)
        if isinstance(answer, Problem):
            raise answer
        return answer

    def assign_many(self, requests: Sequence[Request], *, atomic: bool = False) -> list[Answer]:
        """The answer to each of up to `MAX_MANY` requests, in their order. Blocking.

        Idempotent, as `assign` is, for requests with an id.

        Args:
            requests: what is asked for.
            atomic: all or none. When one is refused, those that could have been served are answered
                `undone`, and nothing of this call is left.
        """
        jobs = [_Job(request, request.id or unique(), unique()) for request in requests]
        if atomic:
            self._run_together(jobs)
        else:
            self._run(jobs)
        return [job.answer or busy(job.request) for job in jobs]

    def _run(self, jobs: Sequence[_Job], pending: Found[Pending] | None = None) -> None:
        """Find an answer for each job; with `pending` only while every one is served."""
        known, left, size = self._known, jobs, len(jobs)
        until = self._monotonic() + PATIENCE.total_seconds()  # they would be undone by then
        for _ in range(ATTEMPTS):
            at_once = size
            for some in [left[start : start + at_once] for start in range(0, len(left), at_once)]:
                if len(some) < len(left):
                    known = Known(self._store)
                self._try(some, known, pending)
                some = [job for job in some if job.answer is None]
                hinted = known is self._known and any(job.refused is not None for job in some)
                if some and not self._are_raced(some, known, pending):
                    known = Known(self._store)
                    size = at_once if hinted else max(1, min(FEW, at_once // 2))
                if (pending is not None and _refused(jobs)) or self._monotonic() > until:
                    return
            left = [job for job in left if job.answer is None]
            if not left:
                return

    def _run_together(self, jobs: Sequence[_Job]) -> None:
        try:
            pending = self._together.begin([(job.id, job.uid) for job in jobs])
        except StoreError as fault:
            _fail(jobs, fault)
            return
        self._run(jobs, pending)
        for job in jobs:
            job.answer = job.answer or (None if _refused(jobs) else busy(job.request))
        try:
            if not _refused(jobs):
                if not self._together.decide(pending):
                    _answer_rest(jobs, Problem("busy", "it took too long, nothing is made", retry_after_s=1))
                return
            self._together.undo(pending, perhaps_made=[(job.id, job.uid) for job in jobs if job.tried])
        except StoreError as fault:
            for job in jobs:
                if not isinstance(job.answer, Problem):
                    job.answer = failed(job.id, Unavailable(str(fault), outcome_unknown=True))
        _answer_rest(jobs, Problem("undone", "another request of the batch was refused; nothing is made"))

    def _try(self, jobs: Sequence[_Job], known: Known, pending: Found[Pending] | None) -> None:
        """Try once for each job."""
        drafted: Iterable[_Load]
        if len(jobs) == 1 and pending is None:
            load = self._draft(jobs, _Round(known, ()))
            drafted = () if load is None else (load,)
        else:
            drafted = self._draft_all(jobs, known, pending)
        under_way = [(load, future) for load in drafted if (future := self._submit(*load)) is not None]
        for load, future in under_way:
            self._collect(*load, future)

    def _are_raced(self, jobs: Sequence[_Job], known: Known, pending: Found[Pending] | None) -> bool:
        """Find out why jobs got nothing. A refusal on what was read before the request came does not count.

        Returns:
            Whether what is known has nothing to do with why.
        """
        again = known is not self._known
        lost = [job for job in jobs if self._look_up(job, again, pending)]
        return bool(lost) and self._mistrust(lost) and len(lost) == len(jobs)

    def _draft_all(
        self, jobs: Sequence[_Job], known: Known, pending: Found[Pending] | None
    ) -> Iterable[_Load]:
        """Draft all that can be, each load when it is asked for, if it may stand without the others."""
        turn = _Round(known, () if pending is None else (pending.unchanged(),))
        groups = _alike(jobs, alone=known is not self._known)
        for group in groups:
            turn.more[group[0].request.kind] += len(group)
        drafted = self._draft_groups(groups, turn)
        if pending is None:
            return drafted
        loads = list(drafted)  # all or none: what cannot be should be found before anything is written
        if sum(len(jobs) for jobs, _ in loads) == len(jobs):
            return loads
        for _, drafts in loads:
            drafts.put_back()
        return ()

    def _draft_groups(self, groups: Iterable[Sequence[_Job]], turn: _Round) -> Iterator[_Load]:
        for left in groups:
            while left and (load := self._draft_some(left, turn)):
                yield load
                give_way()
                left = left[len(load[0]) :]

    def _draft_some(self, jobs: Sequence[_Job], turn: _Round) -> _Load | None:
        """The first of these jobs, which are alike; None when none of them can be drafted now."""
        request = jobs[0].request
        kind = request.kind
        refusal = None if request.addresses else turn.refusals.get(kind)  # to find a pool full is dear
        if refusal is not None:
            for job in jobs:
                job.refused = refusal
            return None
        load = self._draft(jobs, turn, turn.more[kind] - len(jobs))
        if load is not None:
            turn.more[kind] -= len(load[0])
        elif jobs[0].refused is not None and not request.addresses:
            turn.refusals[kind] = jobs[0].refused
        return load

    def _draft(self, jobs: Sequence[_Job], turn: _Round, more: int = 0) -> _Load | None:
        """Likewise, whatever was found out before; see `Drafter.draft`."""
        try:
            drafts = self._drafter.draft(jobs, turn.known, turn.drafted, turn.guards, more)
            return jobs[: len(drafts.endpoints)], drafts
        except Problem as problem:
            for job in jobs:
                job.refused = problem
        except OverQuota as over:
            self._refuse(jobs, over)
        except Stale:
            self._known.forget()
        except StoreError as fault:
            _fail(jobs, fault)
        return None

    def _submit(self, jobs: Sequence[_Job], drafts: Drafts) -> Promise[int] | None:
        for job in jobs:
            job.tried = True
        try:
            return self._lane(drafts).submit(drafts.unit)
        except Unavailable as fault:
            drafts.put_back()
            _fail(jobs, fault)
            return None

    def _lane(self, drafts: Drafts) -> Committer:
        """Who commits these. While etcd writes what one committer sent, the next prepares its own."""
        # A few share the transaction of others; and two committers would vie for the sum of a tenant.
        if len(drafts.endpoints) < FEW or drafts.unit.charge is not None:
            return self._committer
        return next(self._lanes)

    def _collect(self, jobs: Sequence[_Job], drafts: Drafts, future: Promise[int]) -> None:
        try:
            applied = wait(future)
        except OverQuota as over:
            drafts.put_back()
            self._refuse(jobs, over)
        except StoreError as fault:
            # While a backup is restored callers ask again and again: that must not use a block up.
            drafts.put_back() if isinstance(fault, Restored) else drafts.settle()
            _fail(jobs, fault)
        else:
            if applied:
                drafts.settle()
                for job, endpoint in zip(jobs, drafts.endpoints, strict=True):
                    job.answer = (endpoint, True)
            else:
                for job, columns in zip(jobs, drafts.apart(), strict=True):
                    job.lost = columns

    def _refuse(self, jobs: Sequence[_Job], over: OverQuota) -> None:
        try:
            refusal = self._over_quota(over)
            for job in jobs:
                job.refused = refusal
        except StoreError as fault:
            _fail(jobs, fault)

    def _look_up(self, job: _Job, final: bool, pending: Found[Pending] | None) -> bool:
        """A job got nothing in this round: it was served before, or is refused, or goes on.

        Returns:
            Whether what it was drafted on cannot be trusted.
        """
        refused, job.refused = job.refused, None
        try:
            existing = self._existing(job, pending) if job.request.id is not None else None
            if existing is not None:
                job.answer = (existing, False)
            elif refused is not None and final:
                job.answer = refused
        except Problem as problem:
            job.answer = problem
        except StoreError as fault:
            job.answer = failed(job.id, fault)
        if job.answer is None:
            return job.lost is not None
        if job.lost is not None:
            for column in job.lost:
                column.put_back()  # its addresses were not what stood in the way
            job.lost = None
        return False

    def _mistrust(self, jobs: Sequence[_Job]) -> bool:
        """Whether others that took the addresses explain why these were lost."""
        lost = [job.lost for job in jobs if job.lost is not None]
        explained = False
        try:
            explained = self._drafter.mistrust(lost)
        except StoreError as fault:
            for column in (column for columns in lost for column in columns):
                column.settle()
            _fail(jobs, fault)
        if not explained:
            self._known.forget()
        for job in jobs:
            job.lost = None
        return explained

    def _existing(self, job: _Job, pending: Found[Pending] | None) -> Endpoint | None:
        found = self._together.find(job.id, pending)
        return None if found is None else served(found.value, job.request)

    def _over_quota(self, over: OverQuota) -> Problem | None:
        """Why a charge is refused; None when the use has gone down since."""
        usage = self._committer.confirm(over)
        if usage is None:
            return None
        tenant = over.charge.tenant
        detail = (
            f"tenant {tenant} holds {over.charge.excess(usage)}; delete endpoints of it, or raise its quota"
        )
        return Problem("over-quota", detail, errors=[Fault(detail, "/tenant")], tenant=tenant)


def _alike(jobs: Sequence[_Job], *, alone: bool) -> Collection[Sequence[_Job]]:
    """Jobs that may be drafted together; each `alone`, where it is to be lost on its own account."""
    if alone:
        return [[job] for job in jobs]
    found: dict[object, list[_Job]] = {}
    last: Request | None = None
    for job in jobs:
        if job.request is not last or job.request.addresses:
            last = job.request
            key = job.id if last.addresses else (last.kind, last.by, last.request)
            group = found.setdefault(key, [])
        group.append(job)
    return found.values()


def _refused(jobs: Sequence[_Job]) -> bool:
    return any(isinstance(job.answer, Problem) for job in jobs)


def _fail(jobs: Sequence[_Job], fault: StoreError) -> None:
    for job in jobs:
        job.answer = failed(job.id, fault)


def _answer_rest(jobs: Sequence[_Job], problem: Problem) -> None:
    for job in jobs:
        if not isinstance(job.answer, Problem):
            job.answer = problem
