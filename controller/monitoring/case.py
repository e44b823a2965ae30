"""One session under comparison: since when each difference is there, and what people were told. Pure.

A difference counts when it has been there for a while: an announcement is on its way for a moment, and what
is compared was not read at one moment either. As long is waited for a session that came up, and for one whose
router came: not every router says when it has told all that it holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from controller.monitoring.station import Report
from intent.verification import Differences
from store.model import SHOWN_DIFFERENCES, Difference, DifferenceKind, IPNetwork, Session, Verified

GRACE_S = 10.0
RESYNC_S = 30.0
PATIENCE = 10
"""A comparison that takes long is not made again before so many times as long have passed."""

Key = tuple[DifferenceKind, IPNetwork]


@dataclass(slots=True)
class Seen:
    """A difference as it was found first, and its cause as it was found last."""

    at_s: float
    at: datetime
    cause: str


@dataclass(slots=True)
class Case:
    """The comparison of one session. Times are seconds that never go back, but for `datetime`s."""

    session: Session
    report: Report
    grace_s: float
    settled_s: float
    """When its prefixes count, unless the router says earlier that it has told all."""
    due_s: float
    earliest_s: float = float("-inf")
    verdict: Verified | None = None
    """What is to be told of it; None before the first comparison."""
    said: Verified | None = None
    """The verdict that was told last."""
    lasting: list[Difference] = field(default_factory=list)
    """The differences that count, in the order of their prefixes."""
    seen: dict[Key, Seen] = field(default_factory=dict)
    told: set[Key] = field(default_factory=set)
    """The differences that people were told of, and not yet that they are over."""

    @classmethod
    def begin(cls, session: Session, report: Report, now_s: float, grace_s: float) -> Case:
        """A session that was not there before."""
        return cls(session, report, grace_s, now_s + grace_s, due_s=now_s)

    def hear(self, session: Session, report: Report, now_s: float) -> None:
        """Take what is new of the session, at its node and at its router."""
        if report.began != self.report.began:
            self.settled_s, self.seen, self.verdict = now_s + self.grace_s, {}, None
        if report.version != self.report.version or session != self.session:
            self.due_s = min(self.due_s, now_s)
        self.session, self.report = session, report

    def is_due(self, now_s: float) -> bool:
        """Whether to compare now."""
        settled = self.report.whole or now_s >= self.settled_s
        return settled and now_s >= max(self.due_s, self.earliest_s)

    def compared(self, found: Differences, now_s: float, now: datetime, took_s: float) -> None:
        """Take what a comparison has found, and how many seconds it took."""
        self.seen = {
            key: Seen(before.at_s, before.at, cause)
            if (before := self.seen.get(key))
            else Seen(now_s, now, cause)
            for key, cause in found.items()
        }
        self.lasting = [
            Difference(kind=kind, prefix=prefix, cause=seen.cause, since=seen.at)
            for (kind, prefix), seen in sorted(self.seen.items(), key=lambda item: _order(item[0]))
            if now_s - seen.at_s >= self.grace_s
        ]
        pending = [
            each.at_s + self.grace_s for each in self.seen.values() if now_s - each.at_s < self.grace_s
        ]
        self.due_s = min([now_s + RESYNC_S, *pending])
        self.earliest_s = now_s + PATIENCE * took_s

    def conclude(self, controller: str, accepted: int, now: datetime) -> None:
        """Make the verdict of what was compared last. One that says the same stays since when it is."""
        missing = sum(each.kind is DifferenceKind.MISSING for each in self.lasting)
        verdict = Verified(
            node=self.session.node,
            peer=self.session.peer,
            router=self.session.address,
            controller=controller,
            since=now,
            accepted=accepted,
            missing=missing,
            unexpected=len(self.lasting) - missing,
            differences=tuple(self.lasting[:SHOWN_DIFFERENCES]),
            unreadable=self.report.unreadable,
        )
        before = self.verdict
        if before is None or before.model_copy(update={"since": now}) != verdict:
            self.verdict = verdict

    @property
    def news(self) -> list[Difference]:
        """The differences that count and that people were not told of."""
        return [each for each in self.lasting if (each.kind, each.prefix) not in self.told]

    @property
    def over(self) -> list[Key]:
        """The differences that people were told of and that are there no more."""
        return sorted(self.told - self.seen.keys(), key=_order)


def _order(key: Key) -> tuple[str, int, int, int]:
    kind, prefix = key
    return kind.value, prefix.version, int(prefix.network_address), prefix.prefixlen
