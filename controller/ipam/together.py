"""Making up to a thousand endpoints, all or none, where one transaction takes forty.

First a key `pending/<id>` names all that will be made. Each of them is written on condition that this key
is unchanged. When all are there the key says so, which decides; when one cannot be made it says the
opposite, no more are written, and those that were are ended. Whoever dies in between leaves the key: after
its deadline a duty of the controllers does the undoing, or whoever asks for one of them again.

Until it is decided the endpoints can be seen: this is all-or-none, not all-at-once. But nobody is told that
he has one of them: the request that makes them has no answer yet, and another one for the same id is told
to come back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from controller.ipam.committer import Committer
from controller.ipam.release import Releaser
from controller.ipam.unit import Unit
from controller.problem import Problem
from controller.reading import Found, put, read, scan
from controller.unique import unique
from controller.waiting import pause
from store import keys
from store.client import Absent, Delete, Store
from store.errors import Unavailable
from store.model import Endpoint, Pending, PendingState

log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=10)
"""For how long they may be in the making: a thousand take less than one second."""

ATTEMPTS = 24
STEP_S = 0.02
"""The pauses while another one gives way grow by it: to some seconds in all."""


class Together:
    """Endpoints in the making. Safe to call from many threads, and from many controllers at once."""

    def __init__(self, store: Store, committer: Committer, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._releaser = Releaser(store, committer, clock)

    def begin(self, endpoints: Sequence[tuple[str, str]]) -> Found[Pending]:
        """Announce endpoints, each by id and uid. Raises `StoreError`; then nothing will be made."""
        value = Pending(id=unique(), endpoints=tuple(endpoints), deadline=self._clock() + PATIENCE)
        operation = put(keys.PENDING, value, value.id)
        revision = self._committer.commit(Unit((Absent(operation.key),), (operation,)))
        return Found(value, operation.key, revision)

    def decide(self, pending: Found[Pending]) -> bool:
        """All are there: say so. False when it was undone meanwhile, for it took too long.

        Raises:
            StoreError: it is not known. What is not made by then will be undone.
        """
        made = self._become(pending, PendingState.MADE)
        if made is not None:
            self._forget(made)
        return made is not None

    def undo(self, pending: Found[Pending], *, perhaps_made: Sequence[tuple[str, str]] | None = None) -> bool:
        """End those that were made; True when none is left, False when it turned out to be decided.

        Idempotent: what a crash leaves of it is done by `undo_overdue`.

        Args:
            perhaps_made: those that can be there; all of them when not given.

        Raises:
            StoreError: the store does not answer; the rest is left to the duty.
        """
        if pending.value.state is PendingState.MADE:
            self._forget(pending)
            return False
        if pending.value.state is PendingState.MAKING:
            stopped = self._become(pending, PendingState.UNDOING)
            if stopped is None:
                return False
            pending = stopped
        for endpoint_id, uid in pending.value.endpoints if perhaps_made is None else perhaps_made:
            self._end(endpoint_id, uid)
        self._forget(pending)
        return True

    def undo_overdue(self) -> int:
        """Undo what nobody makes any more; returns how many endpoints that concerned.

        What cannot be undone now is left for the next time, and keeps nothing else.
        """
        concerned = 0
        for found in scan(self._store, keys.PENDING).items:
            overdue = self._clock() >= found.value.deadline
            try:
                undone = overdue and self.undo(found)
            except Unavailable as fault:
                log.warning("event=undo-put-off pending=%s why=%r", found.value.id, str(fault))
                continue
            if undone:
                concerned += len(found.value.endpoints)
                log.warning(
                    "event=undone pending=%s endpoints=%d", found.value.id, len(found.value.endpoints)
                )
        return concerned

    def find(self, endpoint_id: str, mine: Found[Pending] | None = None) -> Found[Endpoint] | None:
        """An endpoint that is nobody's in the making, save those of `mine`; None when there is none.

        Of two that want the same the one that was announced first waits until the other has given way.

        Raises:
            Problem: it is in the making: whether it stays is not known yet.
        """
        for attempt in range(ATTEMPTS):
            pending = scan(self._store, keys.PENDING)
            found = read(self._store, keys.ENDPOINTS, endpoint_id)
            if found is None:
                return None
            if found.mod_revision > pending.revision:
                continue  # it came after the look at who makes it
            wanted = (endpoint_id, found.value.uid)
            makers = [
                each
                for each in pending.items
                if wanted in each.value.endpoints and _is_open(each.value)
                if mine is None or each.value.id != mine.value.id
            ]
            if not makers:
                return found
            if all(self._clock() >= each.value.deadline for each in makers):
                for each in makers:
                    self.undo(each)
            elif all(_gives_way(each, mine) for each in makers):
                pause(attempt * STEP_S)
            else:
                break
        detail = f"endpoint {endpoint_id} is being made together with others; repeat in a moment"
        raise Problem("busy", detail, retry_after_s=1)

    def _become(self, pending: Found[Pending], state: PendingState) -> Found[Pending] | None:
        value = pending.value.model_copy(update={"state": state})
        unit = Unit((pending.unchanged(),), (put(keys.PENDING, value, value.id),))
        revision = self._committer.commit(unit)
        return Found(value, pending.key, revision) if revision else None

    def _forget(self, pending: Found[Pending]) -> None:
        self._committer.commit(Unit((pending.unchanged(),), (Delete(pending.key),)))

    def _end(self, endpoint_id: str, uid: str) -> None:
        try:
            # Nobody was told of it, so nobody used its addresses: they need not cool down.
            self._releaser.release(endpoint_id, uid=uid, cooldown=False)
        except Problem as problem:
            if problem.kind not in {"not-found", "conflict"}:
                raise Unavailable(problem.detail) from problem


def _gives_way(other: Found[Pending], mine: Found[Pending] | None) -> bool:
    """Whether another one is undone when it meets mine, or is being undone."""
    if mine is None or other.value.state is PendingState.UNDOING:
        return mine is not None
    # As long as it is in the making it is as it was announced.
    return (other.mod_revision, other.value.id) > (mine.mod_revision, mine.value.id)


def _is_open(pending: Pending) -> bool:
    return pending.state is not PendingState.MADE
