"""The duty of draining: each drain goes on to its next stage when it is time, and ends when it is over.

The stages are stored, so that nodes need no clock and a controller that dies in between loses nothing: the
next one goes on. With no controller at all a drain stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from controller.events import Events
from controller.prompted import RELOOK_S, Outlook
from controller.reading import Found, put, scan
from store import keys
from store.client import Delete, Op, Store
from store.model import Drain, Drained, DrainStage, Severity

PERIOD_S = 1.0

OVER = "over"

DETAILS = {
    DrainStage.WITHDRAWING: "its routes had {wait_s} s with GRACEFUL_SHUTDOWN and are withdrawn now",
    DrainStage.DRAINED: "nothing of it is announced any more",
    OVER: "its routes are announced as usual again",
}


def following(drain: Drain, announced: int, now: datetime) -> DrainStage | str | None:
    """The stage that comes now, or `OVER`; None when it stays as it is.

    Args:
        announced: how many routes of it are announced.
    """
    if drain.until is not None and now >= drain.until:
        return OVER
    if drain.stage is DrainStage.GRACEFUL and now >= drain.since + timedelta(seconds=drain.wait_s):
        return DrainStage.WITHDRAWING
    if drain.stage is DrainStage.WITHDRAWING and not announced:
        return DrainStage.DRAINED
    return None


def announced(store: Store, drain: Drain) -> int:
    """How many routes the speakers say that they announce: of a node, or to a peer."""
    if drain.noun is Drained.PEER:
        return sum(each.advertised for each in scan(store, keys.SESSIONS).values if each.peer == drain.name)
    return len(scan(store, keys.ADVERTISED, drain.name).values)


class Drains:
    """Looks after the drains at each `look`."""

    def __init__(self, store: Store, clock: Callable[[], datetime], events: Events) -> None:
        self._store = store
        self._clock = clock
        self._events = events

    def look(self) -> Outlook:
        """Move on what it is time for. While there is a drain it is looked at again and again."""
        drains = scan(self._store, keys.DRAINS)
        for found in drains.items:
            drain = found.value
            # Only the last stage asks what is announced, which takes a read of all that a node says.
            left = announced(self._store, drain) if drain.stage is DrainStage.WITHDRAWING else 0
            after = following(drain, left, self._clock())
            if after is not None:
                self._move(found, after)
        again_s = PERIOD_S if drains.items else RELOOK_S
        return Outlook(drains.revision, (keys.DRAINS.prefix(),), again_s)

    def _move(self, found: Found[Drain], after: DrainStage | str) -> None:
        drain = found.value
        op: Op = Delete(found.key)
        if isinstance(after, DrainStage):
            op = put(keys.DRAINS, drain.model_copy(update={"stage": after}), drain.noun.value, drain.name)
        if self._store.txn((found.unchanged(),), (op,)).succeeded:
            detail = DETAILS[after].format(wait_s=drain.wait_s)
            node = drain.name if drain.noun is Drained.NODE else None
            reason = f"drain-{after}"
            self._events.record(Severity.INFO, reason, drain.noun.value, drain.name, detail, node=node)
