"""The duty of moves: the node that an endpoint leaves is told when the other one has it.

Until then both have it. With no controller at all that stays so, which loses nothing; a controller that
takes the duty over looks anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from controller.events import Events
from controller.ipam.arrival import Stage, stages
from controller.ipam.overlap import ending
from controller.prompted import Outlook
from controller.reading import Found, scan
from controller.sheet import Sheet
from store import keys
from store.client import Store
from store.model import Endpoint, EndpointState, Move, Severity

log = logging.getLogger(__name__)

REST_S = 0.2
"""Between two looks while a move is under way."""

SETTLE_S = {Stage.ANNOUNCED: 0.5, Stage.PRESUMED: 3.0}
"""How long it has been so before the old node goes: routers need a moment to act on it."""

DIRECT_SETTLE_S = 3.0
"""Likewise where others on the old node's segment send to it directly: they are told by another duty."""

LATE = "the time is over"


class Moves:
    """Looks after the moves that are not over, at each `look`."""

    def __init__(
        self,
        store: Store,
        events: Events,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._events = events
        self._monotonic = monotonic
        self._arrived: dict[str, float] = {}
        """When the old node of each may go, by the key and revision of the move."""
        self._seen: dict[str, float] = {}
        """When each was seen first, by the key and the beginning of the move: another controller wrote that
        down, whose clock may be minutes off."""

    def look(self) -> Outlook:
        """End what is over. While a move is under way it is looked at again and again."""
        listing = scan(self._store, keys.MOVES)
        if listing.items:
            self._end_some(listing.items)
            return Outlook(listing.revision, (keys.MOVES.prefix(),), REST_S)
        self._arrived, self._seen = {}, {}
        return Outlook(listing.revision, (keys.MOVES.prefix(),))

    def _end_some(self, found: Sequence[Found[Move]]) -> None:
        now = self._monotonic()
        self._seen = {name: self._seen.get(name, now) for name in map(_begun, found)}
        records = Sheet(self._store, [key for each in found for key in _keys(each.value)])
        far = zip(found, stages(self._store, [each.value for each in found]), strict=True)
        self._arrived = {
            _mark(each): self._arrived.get(_mark(each), now + _settle_s(each.value, stage, records))
            for each, stage in far
            if stage in SETTLE_S
        }
        for each in found:
            if (why := self._why_over(each, records, now)) is not None:
                self._end(each, why)

    def _why_over(self, found: Found[Move], records: Sheet, now: float) -> str | None:
        move, name = found.value, found.value.endpoint.id
        record = records.find(keys.ENDPOINTS, name)
        if not _is_meant(move, record):
            return "it is deleted or elsewhere"
        if not records.has(keys.ATTACHMENTS.key(move.source, name)):
            return f"{move.source} does not hold it any more"
        if self._arrived.get(_mark(found), float("inf")) <= now:
            return f"{move.target} delivers and announces it"
        if now - self._seen[_begun(found)] >= move.overlap_s:
            return LATE
        return None

    def _late(self, move: Move) -> None:
        detail = (
            f"{move.source} takes it down after {move.overlap_s} s, though {move.target} does not deliver "
            "and announce it; is it attached there?"
        )
        self._events.record(
            Severity.WARNING, "move-late", "endpoint", move.endpoint.id, detail, node=move.target
        )

    def _end(self, found: Found[Move], why: str) -> None:
        unit, move = ending(found), found.value
        if not self._store.txn(unit.compares, unit.ops).succeeded:
            return
        if why == LATE:
            self._late(move)
        log.info(
            "event=moved endpoint=%s from=%s to=%s why=%r", move.endpoint.id, move.source, move.target, why
        )


def _is_meant(move: Move, record: Found[Endpoint] | None) -> bool:
    """Whether the endpoint is where this move has brought it, and is to stay."""
    return (
        record is not None
        and record.value.uid == move.endpoint.uid
        and record.value.node == move.target
        and record.value.state is EndpointState.ASSIGNED
    )


def _keys(move: Move) -> Sequence[str]:
    name = move.endpoint.id
    return (
        keys.ENDPOINTS.key(name),
        keys.ATTACHMENTS.key(move.source, name),
        keys.NODES.key(move.source),
    )


def _settle_s(move: Move, stage: Stage, records: Sheet) -> float:
    source = records.find(keys.NODES, move.source)
    direct = source is not None and source.value.direct is not None
    return max(SETTLE_S[stage], DIRECT_SETTLE_S if direct else 0)


def _mark(found: Found[Move]) -> str:
    return f"{found.key} {found.mod_revision}"


def _begun(found: Found[Move]) -> str:
    return f"{found.key} {found.value.since.isoformat()}"
