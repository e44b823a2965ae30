"""Assigning addresses to endpoints: choose by hints, decide by one transaction, try again when it lost.

No cache is trusted: the address keys are created only if absent, together with the endpoint, and only
while pools, node, tenant and blocks are what they were read as. So no crash, no stale hint and no second
controller can hand out an address twice, and a lost race costs a retry, never an address. An endpoint of
both families gets both addresses in that transaction or none.

One request and a thousand go the same way. In rounds, each request that has no answer yet is drafted: its
addresses are picked and its unit is made. Units are queued as they come and share transactions. What was
lost, or refused on hints, goes into the next round, which reads everything anew. A request is looked up
by its id only after it failed: the transaction itself tells whether the id is taken. How many are made all
or none is in `controller.ipam.together`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle

from controller.ipam.claims import Stale
from controller.ipam.committer import Committer
from controller.ipam.drafting import Clock, Draft, Drafter
from controller.ipam.known import Known
from controller.ipam.request import Request
from controller.ipam.tally import OverQuota
from controller.ipam.together import Together
from controller.problem import Problem
from controller.promise import Promise
from controller.reading import Found
from controller.unique import unique
from controller.waiting import wait
from store.client import Compare, Store
from store.errors import Corrupt, Restored, StoreError, Unavailable
from store.model import Endpoint, EndpointState, Pending

ATTEMPTS = 24
CHUNK = 40
"""Drafts that are queued together: what about fits into one transaction."""

MAX_MANY = 1000
"""Requests that are taken at a time."""

Answer = tuple[Endpoint, bool] | Problem
"""The endpoint and whether it is new, or why there is none."""


@dataclass(slots=True)
class _Job:
    """One request on its way to an answer."""

    request: Request
    id: str
    uid: str
    answer: Answer | None = None
    refused: Problem | None = None
    lost: Draft | None = None
    tried: bool = False
    """Something was queued for it, so that it may be there."""


@dataclass(slots=True)
class _Round:
    """What the jobs of one round share."""

    known: Known
    guards: tuple[Compare, ...]
    more: defaultdict[tuple[object, ...], int] = field(default_factory=lambda: defaultdict(int))
    """Requests of each kind that are still to be drafted."""
    refusals: dict[object, Problem] = field(default_factory=dict)
    """By kind of request."""


class Allocator:
    """Assigns addresses. Safe to call from many threads, and from many controllers at once."""

    def __init__(self, store: Store, committers: Sequence[Committer], clock: Clock) -> None:
        """The first of the `committers` takes what few ask for; the parts of a batch go to all in turn."""
        self._store = store
        self._committer = committers[0]
        self._lanes = cycle(committers)
        self._known = Known(store)
        self._drafter = Drafter(store, self._committer, clock)
        self._together = Together(store, self._committer, clock)

    def assign(self, request: Request) -> tuple[Endpoint, bool]:
        """The endpoint of a request, and whether it is new. Blocking.

        Idempotent: the same request with the same id gives the same endpoint.

        Raises:
            Problem: the request cannot be met; says why, and where in it.
        """
        answer = self.assign_many([request])[0]
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
        return [job.answer or _busy(job.request) for job in jobs]

    def _run(self, jobs: Sequence[_Job], pending: Found[Pending] | None = None) -> None:
        """Find an answer for each job; with `pending` only while every one is served."""
        known = self._known
        for _ in range(ATTEMPTS):
            left = [job for job in jobs if job.answer is None]
            if not left or (pending is not None and _refused(jobs)):
                return
            self._round(left, known, pending)
            known = Known(self._store)

    def _run_together(self, jobs: Sequence[_Job]) -> None:
        try:
            pending = self._together.begin([(job.id, job.uid) for job in jobs])
        except StoreError as fault:
            for job in jobs:
                job.answer = _failed(job, fault)
            return
        self._run(jobs, pending)
        for job in jobs:
            job.answer = job.answer or (None if _refused(jobs) else _busy(job.request))
        try:
            if not _refused(jobs):
                if not self._together.decide(pending):
                    _answer_rest(jobs, Problem("busy", "it took too long, nothing is made", retry_after_s=1))
                return
            self._together.undo(pending, perhaps_made=[(job.id, job.uid) for job in jobs if job.tried])
        except StoreError as fault:
            for job in jobs:
                if not isinstance(job.answer, Problem):
                    job.answer = _failed(job, Unavailable(str(fault), outcome_unknown=True))
        _answer_rest(jobs, Problem("undone", "another request of the batch was refused; nothing is made"))

    def _round(self, jobs: Sequence[_Job], known: Known, pending: Found[Pending] | None) -> None:
        """Try once for each job. A refusal on what was read before the request came does not count."""
        under_way: list[tuple[_Job, Draft, Promise[int]]] = []
        guards = () if pending is None else (pending.unchanged(),)
        turn = _Round(known, guards)
        for job in jobs:
            turn.more[job.request.kind] += 1
        # All or none: what cannot be should be found before anything is written.
        chunk = CHUNK if pending is None else len(jobs)
        for start in range(0, len(jobs), chunk):
            drafted = self._draft(jobs[start : start + chunk], turn)
            if pending is not None and len(drafted) < len(jobs):
                for _, draft in drafted:
                    draft.put_back()
            else:
                under_way += self._submit(drafted)
        for job, draft, future in under_way:
            self._collect(job, draft, future)
        for job in jobs:
            if job.answer is None:
                self._look_up(job, known is not self._known, pending)

    def _draft(self, jobs: Sequence[_Job], turn: _Round) -> list[tuple[_Job, Draft]]:
        drafted = []
        for job in jobs:
            kind = job.request.kind
            alike = None if job.request.addresses else kind
            if alike in turn.refusals:  # finding out that a pool is full is dear
                job.refused = turn.refusals[alike]
                continue
            turn.more[kind] -= 1
            try:
                draft = self._drafter.draft(
                    job.request, job.id, job.uid, turn.known, turn.guards, turn.more[kind]
                )
                drafted.append((job, draft))
            except Problem as problem:
                job.refused = problem
                if alike is not None:
                    turn.refusals[alike] = problem
            except Stale:
                self._known.forget()
            except StoreError as fault:
                job.answer = _failed(job, fault)
        return drafted

    def _submit(self, drafted: Sequence[tuple[_Job, Draft]]) -> list[tuple[_Job, Draft, Promise[int]]]:
        for job, _ in drafted:
            job.tried = True
        try:
            futures = self._lane(drafted).submit_all([draft.unit for _, draft in drafted])
        except Unavailable as fault:
            for job, draft in drafted:
                draft.put_back()
                job.answer = _failed(job, fault)
            return []
        return [(job, draft, future) for (job, draft), future in zip(drafted, futures, strict=True)]

    def _lane(self, drafted: Sequence[tuple[_Job, Draft]]) -> Committer:
        """Who commits these. While etcd writes what one committer sent, the next prepares its own."""
        # A few share the transaction of others; and two committers would vie for the sum of a tenant.
        if len(drafted) < CHUNK or any(draft.unit.charge is not None for _, draft in drafted):
            return self._committer
        return next(self._lanes)

    def _collect(self, job: _Job, draft: Draft, future: Promise[int]) -> None:
        try:
            applied = wait(future)
        except OverQuota as over:
            draft.put_back()
            try:
                job.refused = self._over_quota(over)
            except StoreError as fault:
                job.answer = _failed(job, fault)
        except StoreError as fault:
            # While a backup is restored callers ask again and again: that must not use a block up.
            draft.put_back() if isinstance(fault, Restored) else draft.settle()
            job.answer = _failed(job, fault)
        else:
            if applied:
                draft.settle()
                job.answer = (draft.endpoint, True)
            else:
                job.lost = draft

    def _look_up(self, job: _Job, final: bool, pending: Found[Pending] | None) -> None:
        """A job got nothing in this round: it was served before, or is refused, or goes on."""
        draft, job.lost = job.lost, None
        try:
            existing = self._existing(job, pending) if job.request.id is not None else None
            if existing is not None:
                job.answer = (existing, False)
            elif job.refused is not None and final:
                job.answer = job.refused
            elif draft is not None:
                self._known.forget()
                self._drafter.mistrust(draft)
                draft.settle()
                draft = None
        except Problem as problem:
            job.answer = problem
        except StoreError as fault:
            job.answer = _failed(job, fault)
        finally:
            job.refused = None
            if draft is not None:
                draft.put_back()  # its addresses were not what stood in the way

    def _existing(self, job: _Job, pending: Found[Pending] | None) -> Endpoint | None:
        found = self._together.find(job.id, but=pending.value.id if pending else None)
        if found is None:
            return None
        if not job.request.scope.has(found.value):
            raise Problem("conflict", f"id {job.id} is taken; use another id")
        if found.value.state is EndpointState.RELEASING:
            detail = f"endpoint {job.id} is being deleted; repeat when it is gone, or use another id"
            raise Problem("releasing", detail, retry_after_s=1)
        if not _is_answer(found.value, job.request):
            raise _taken(found.value)
        return found.value

    def _over_quota(self, over: OverQuota) -> Problem | None:
        """Why a charge is refused; None when the use has gone down since."""
        usage = self._committer.confirm(over)
        if usage is None:
            return None
        tenant = over.charge.tenant
        detail = (
            f"tenant {tenant} holds {over.charge.excess(usage)}; delete endpoints of it, or raise its quota"
        )
        return Problem("over-quota", detail, tenant=tenant)


def _refused(jobs: Sequence[_Job]) -> bool:
    return any(isinstance(job.answer, Problem) for job in jobs)


def _answer_rest(jobs: Sequence[_Job], problem: Problem) -> None:
    for job in jobs:
        if not isinstance(job.answer, Problem):
            job.answer = problem


def _is_answer(endpoint: Endpoint, request: Request) -> bool:
    same = (
        endpoint.node == request.node
        and endpoint.tenant == request.tenant
        and endpoint.labels == dict(request.labels)
        and endpoint.qos == request.qos
        and set(request.pools) <= set(endpoint.pools)
        and set(request.addresses) <= set(endpoint.addresses)
    )
    if request.families:
        return same and {address.version for address in endpoint.addresses} == set(request.families)
    if not request.pools and not request.addresses:
        return same and len(endpoint.addresses) == 1
    return same and all(
        pool in request.pools or address in request.addresses for address, pool in endpoint.placed
    )


def _taken(endpoint: Endpoint) -> Problem:
    where = f"on {endpoint.node} with {', '.join(map(str, endpoint.addresses))}"
    return Problem(
        "conflict", f"endpoint {endpoint.id} exists {where}, made by another request; use another id"
    )


def _busy(request: Request) -> Problem:
    return Problem("busy", f"too many others want addresses of {request.node}", retry_after_s=1)


def _failed(job: _Job, fault: StoreError) -> Problem:
    """The store's failure as the answer to a request."""
    if isinstance(fault, Corrupt):
        return Problem("corrupt", f"the value at {fault.key} cannot be read; the log says why")
    if isinstance(fault, Restored):
        return Problem("restoring", str(fault), retry_after_s=1)
    if not isinstance(fault, Unavailable) or not fault.outcome_unknown:
        return Problem("unavailable", f"etcd: {fault}", retry_after_s=1)
    # The caller may not know the id that we made up: without it nobody could ask again.
    return Problem(
        "unavailable",
        f"whether endpoint {job.id} was created is not known; repeat the request with this id",
        retry_after_s=1,
        endpoint=job.id,
    )
