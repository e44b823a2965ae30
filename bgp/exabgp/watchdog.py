"""When a process counts as hung. Pure: it is told what was measured, and judges.

Two things are watched. An answer that is owed: silence counts while the process does nothing, and much
longer while it computes, so that neither a long list nor a loaded machine is taken for a hang. And the queue
of an established session: routes that wait although TCP has room are stuck in the process; where TCP is
full, it is the peer that does not read, which no new process mends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

SLICE_S = 1.0
"""Time that passed while nobody looked (a suspended machine) counts as so much at most."""


class Patience:
    """How long one answer may take.

    Args:
        idle_s: of silence in which the process uses no processor time.
        busy_s: of silence in any case.
        cpu_s: the processor time that the process has used, in seconds.
    """

    def __init__(self, idle_s: float, busy_s: float, cpu_s: Callable[[], float] = lambda: 0.0) -> None:
        self._idle_s = idle_s
        self._busy_s = busy_s
        self._cpu_s = cpu_s
        self._used_s: float | None = None
        self._idled_s = 0.0
        self._silent_s = 0.0
        self.slice_s = min(SLICE_S, idle_s / 4)
        """How long to wait for a word before `waited` is told."""

    def begin(self) -> None:
        """A word was heard, or a question asked."""
        self._used_s = None
        self._idled_s = self._silent_s = 0.0

    def waited(self, passed_s: float) -> bool:
        """So long nothing was heard, in addition. Returns whether that is too long."""
        counted_s = min(passed_s, SLICE_S)
        before, self._used_s = self._used_s, self._cpu_s()
        self._silent_s += counted_s
        self._idled_s = self._idled_s + counted_s if before in {None, self._used_s} else 0.0
        return self._idled_s >= self._idle_s or self._silent_s >= self._busy_s

    @property
    def silent_s(self) -> float:
        """How long nothing was heard."""
        return self._silent_s


@dataclass(frozen=True, slots=True)
class Queue:
    """What has still to reach the peer, as ExaBGP tells it.

    Args:
        established: whether the session is.
        waiting: whether there are routes that are not given to TCP yet.
        updates_sent: UPDATE messages of this session.
        unacknowledged: bytes that TCP keeps because the peer has not acknowledged them.
        acknowledged: bytes of this session that the peer has.
    """

    established: bool
    waiting: bool
    updates_sent: int
    unacknowledged: int
    acknowledged: int


class Verdict(Enum):
    """Of a queue."""

    DRAINS = "drains"
    PEER_READS_NOTHING = "the peer reads nothing"
    STUCK = "stuck"
    """Routes wait although TCP would take them: the process is to be replaced."""


class Drain:
    """Judges a queue that is looked at from time to time.

    Args:
        patience_s: for which nothing may move.
    """

    def __init__(self, patience_s: float) -> None:
        self._sent = _Still(patience_s)
        self._acknowledged = _Still(patience_s)

    def judge(self, queue: Queue, now: float) -> Verdict:
        """What to think of a queue, seen at a time in seconds that never goes back."""
        blocked = queue.established and queue.unacknowledged > 0
        waiting = queue.established and queue.waiting and not blocked
        stuck = self._sent.look(queue.updates_sent if waiting else None, now)
        if self._acknowledged.look(queue.acknowledged if blocked else None, now):
            return Verdict.PEER_READS_NOTHING
        return Verdict.STUCK if stuck else Verdict.DRAINS


class _Still:
    """Whether a count has stood still for too long. None is no count: nothing is waited for."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._count: int | None = None
        self._since = 0.0

    def look(self, count: int | None, now: float) -> bool:
        if count is None or count != self._count:
            self._count, self._since = count, now
        return count is not None and now - self._since >= self._patience_s
