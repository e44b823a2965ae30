"""Is a history one that a correct address service can have? Pure.

An endpoint belongs to one client, which asks for one thing after the other. So what must be there is
known after each answer, except for what was asked for without an answer: that may have been done, and an
attempt that nobody heard of may still be on its way, to a controller that was paused for example.

The checks:
1. what was acknowledged is there: a read, a release, a move and the end of the run find it, unchanged;
2. what was released is gone, unless an attempt to assign it is on its way;
3. an address is held by one endpoint at a time: from the answer that gave it to the request that gives it up;
4. two answers to one request are the same, a requested address is the one that is given, nobody fails inside;
5. of what was asked for all or none, all was made or none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.history.op import Op, Outcome, Seen

INTERNAL = frozenset({"internal", "corrupt"})
MAY_CHANGE = frozenset({"node", "mark"})


@dataclass(frozen=True, slots=True)
class Hold:
    """A time in which an endpoint certainly held an address, in seconds of the clients' clock."""

    address: str
    id: str
    uid: str
    since: float
    until: float


@dataclass(slots=True)
class _Track:
    """What is known of one endpoint after the operations that were looked at."""

    holds: Seen | None = None
    """It is certainly there, like this, but for what may change."""
    now: dict[str, str] = field(default_factory=dict)
    """What may change of it: its node and its mark."""
    changing: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """What each may be instead: attempts to change it to that may still take effect."""
    unsure: bool = False
    """It may be there or not."""
    coming: bool = False
    """An attempt to assign it may still take effect."""
    undone: bool = False
    """It was made and ended with others, so that its node may be taking it down still."""
    since: float = 0.0


class Checker:
    """Looks at a history operation by operation. `faults` is what is wrong with it.

    `late` are the endpoints that are there at the end because of an attempt that its client had given up.
    """

    def __init__(self, history: Iterable[Op]) -> None:
        self.faults: list[str] = []
        self.late: list[str] = []
        self.holds: list[Hold] = []
        self._tracks: defaultdict[str, _Track] = defaultdict(_Track)
        self._together: defaultdict[str, list[Op]] = defaultdict(list)
        """What was asked for all or none, by batch."""
        for op in sorted(history, key=lambda op: op.begun):
            if op.why in INTERNAL:
                self._fault(op, f"the controller failed: {op.why}")
            getattr(self, f"_{op.kind}")(op, self._tracks[op.id])
        self.faults.extend(in_part(self._together))

    def end(self, at: float, left: Mapping[str, Seen]) -> None:
        """Compare with the endpoints that are there at the end, and see that no address was held twice."""
        for name, seen in left.items():
            if name not in self._tracks:
                self.faults.append(f"{name} is there at the end, and nobody asked for it: {seen}")
        for name, track in self._tracks.items():
            self._last(name, track, left.get(name))
            if track.holds is not None:
                self._close(name, track, at)
        self.faults.extend(doubled(self.holds))

    def _assign(self, op: Op, track: _Track) -> None:
        track.coming |= op.loose
        if op.atomic:
            self._together[op.batch].append(op)
        if len(set(op.seen)) > 1:
            self._fault(op, f"one request had two answers: {op.seen}")
        if op.outcome is Outcome.OK:
            self._assigned(op, track)
            return
        if op.seen:
            self._fault(op, f"it was made, and then refused: {op.seen[0]}, {op.why}")
        track.unsure |= op.loose
        track.undone |= op.atomic

    def _assigned(self, op: Op, track: _Track) -> None:
        if not {*op.asked.get("addresses", ())} <= {*op.seen[0].addresses}:
            self._fault(op, f"{op.asked['addresses']} was asked for and {op.seen[0].addresses} given")
        if track.holds is not None:
            self._compare(op, track)
            return
        track.holds, track.since = op.seen[0], op.ended
        track.now = {name: getattr(op.seen[0], name) for name in MAY_CHANGE}
        track.unsure = track.undone = False

    def _release(self, op: Op, track: _Track) -> None:
        if track.holds is not None:
            if op.why == "not-found" and not op.loose:
                self._fault(op, f"it was assigned and is lost: {track.holds}")
            self._close(op.id, track, op.begun)
        track.holds = None
        track.unsure = op.outcome is not Outcome.OK or track.coming

    def _change(self, op: Op, track: _Track) -> None:
        for name in MAY_CHANGE & op.asked.keys():
            if op.loose:
                track.changing[name].add(op.asked[name])
            if op.outcome is Outcome.OK:
                track.now[name] = op.asked[name]
        self._compare(op, track)

    _move = _relabel = _change

    def _read(self, op: Op, track: _Track) -> None:
        self._compare(op, track)

    def _compare(self, op: Op, track: _Track) -> None:
        if op.outcome is Outcome.OK or op.why == "not-found":
            for difference in _differences(track, op.seen[0] if op.seen else None):
                self._fault(op, difference)

    def _last(self, name: str, track: _Track, seen: Seen | None) -> None:
        for difference in _differences(track, seen):
            self.faults.append(f"{name} at the end: {difference}")
        if seen is not None and track.holds is None and track.coming:
            self.late.append(name)

    def _close(self, name: str, track: _Track, until: float) -> None:
        assert track.holds is not None
        self.holds.extend(
            Hold(address, name, track.holds.uid, track.since, until) for address in track.holds.addresses
        )

    def _fault(self, op: Op, what: str) -> None:
        self.faults.append(f"{op.id}, {op.kind} at {op.begun:.3f}: {what}")


def _differences(track: _Track, seen: Seen | None) -> Iterable[str]:
    """How what is seen cannot be, given what is known."""
    if track.holds is None:
        if seen is not None and not track.unsure and not (track.undone and seen.releasing):
            yield f"it was released, or never made, and is there: {seen}"
    elif seen is None:
        yield f"it was assigned and is lost: {track.holds}"
    elif (seen.uid, seen.addresses) != (track.holds.uid, track.holds.addresses):
        yield f"it was assigned as {track.holds} and is now {seen}"
    else:
        for name, value in track.now.items():
            if getattr(seen, name) not in (values := {value, *track.changing[name]}):
                yield f"its {name} should be {' or '.join(sorted(values))} and is {getattr(seen, name)}"


def in_part(together: Mapping[str, Sequence[Op]]) -> Iterable[str]:
    """Batches that were to be made all or none, and of which some are told to be made and others refused."""
    for batch, ops in together.items():
        outcomes = {op.outcome for op in ops}
        if len(outcomes) > 1:
            yield f"{batch} was to be all or none: {', '.join(f'{op.id} {op.outcome}' for op in ops)}"


def doubled(holds: Iterable[Hold]) -> Iterable[str]:
    """Addresses that two endpoints certainly held at the same time."""
    by_address: defaultdict[str, list[Hold]] = defaultdict(list)
    for hold in holds:
        by_address[hold.address].append(hold)
    for address, theirs in by_address.items():
        theirs.sort(key=lambda hold: hold.since)
        for sooner, later in pairwise(theirs):
            if later.since < sooner.until:
                yield f"{address} was held twice: {sooner} and {later}"
