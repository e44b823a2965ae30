"""One driver's state, held between what is desired and what is actual.

The actual state is read once, kept as long as every change is acknowledged, and read again after
anything else: a resync, a refusal, a lost device. At a resync a driver may read in parts, beside the
changes (`Review`): what is believed is corrected at the end, and no change waits.

Puts and deletes are separate calls because their order across drivers differs: up is neighbour, route, flow;
down is the reverse. When what is desired comes in parts, and the last pass left nothing open, only the parts
that are new or gone are looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Generic, TypeVar

from agents.delta import Delta, deletes, puts
from agents.drift import drift
from agents.driver import Driver, Outcome, Reading, Unreadable
from agents.parts import Parts
from agents.review import Review

K = TypeVar("K")
V = TypeVar("V")

log = logging.getLogger(__name__)


class Reconciler(Generic[K, V]):
    """Brings one driver's state to what is desired. One thread at a time.

    Args:
        name: of what it holds, for people.
        driver: reads and writes it.
        begin: begins to read it in parts; None where that does not do.
    """

    def __init__(
        self,
        name: str,
        driver: Driver[K, V],
        begin: Callable[[], Reading[K, V] | None] = lambda: None,
    ) -> None:
        self.name = name
        self._driver = driver
        self._begin = begin
        self._review: Review[K, V] | None = None
        self._actual: dict[K, V] | None = None
        self._believed: dict[K, V] | None = None
        self._fresh = False
        self._settled: Mapping[K, V] | None = None
        """What was desired when all of it was actual, and nothing else."""
        self._putting: Mapping[K, V] | None = None
        """What was put last."""
        self._touched: Set[K] | None = None
        """The only keys in which that may differ from what is actual; None when any may."""
        self._only: tuple[Parts[K, V], Set[K], Mapping[K, V]] | None = None
        """What was looked at last of what comes in parts: of which, by which keys."""
        self.wants_retry = False
        """A device did not take a change: come back soon."""
        self.repairs = 0
        """Changes that a resync found necessary: somebody else had been there."""

    @property
    def actual(self) -> Mapping[K, V]:
        """What is known to be there; empty when nothing is known."""
        return self._actual or {}

    @property
    def known(self) -> bool:
        """Whether the actual state is known."""
        return self._actual is not None

    @property
    def settled(self) -> bool:
        """Whether all of what was desired last is actual, and nothing else."""
        return self._settled is not None

    @property
    def can_look(self) -> bool:
        """Whether `look` has something to take in now."""
        return self._review is not None and not self._review.waits

    def forget(self) -> None:
        """Read the device again: before the next change, or beside the next ones by `look`."""
        if self._actual is not None:
            if self._review is not None:
                self._review.again = True
                return
            if (reading := self._begin()) is not None:
                self._review = Review(reading, self._actual)
                return
            self._believed = self._actual
        self._doubt()

    def learn(self, key: K, value: V) -> None:
        """Somebody else has made this actual. Nothing where it is not known what is."""
        if self._actual is not None:
            self._actual[key] = value
            self._settled = None
            self._judge_not([key])

    def look(self) -> bool:
        """Take in some of what is read in parts. Returns whether something is not as it was believed."""
        review = self._review
        if review is None or self._actual is None:
            return False
        try:
            if not review.take():
                return False
        except Unreadable as fault:
            log.info("not read in parts driver=%s why=%s", self.name, fault)
            self._believed = self._actual
            self._doubt()
            return True
        self._review = None
        believed, found = review.otherwise
        if believed or found:
            self.repairs += drift(self.name, believed, found)
            for key in believed:
                del self._actual[key]
            self._actual |= found
            self._settled = self._putting = self._touched = None
        if review.again:
            self.forget()
        return bool(believed or found)

    def read(self) -> bool:
        """Know the actual state. Returns false, and wants a retry, when the device cannot be read."""
        if self._actual is not None:
            return True
        try:
            self._actual = dict(self._driver.read())
            self._fresh = True
        except Unreadable as fault:
            if not self.wants_retry:  # once in each pass
                log.warning("cannot read driver=%s why=%s", self.name, fault)
            self.wants_retry = True
            return False
        if self._believed is not None:
            self.repairs += drift(self.name, self._believed, self._actual)
            self._believed = None
        return True

    def put(self, desired: Mapping[K, V]) -> bool:
        """Add and change what `desired` has. Returns whether all of it is actual now."""
        if self._settled is desired:
            return True
        self._touched = self._differ(desired)
        self._settled, self._putting = None, desired
        if self.read() and self._actual is not None and self._fresh:
            self._actual, self._fresh = _adopted(_whole(desired), self._actual), False
        return self._change(lambda actual: Delta(puts(self._looked_at(desired), actual), {}))

    def delete(self, desired: Mapping[K, V]) -> bool:
        """Remove what `desired` lacks. Returns whether all of that is gone now."""
        if self._settled is desired:
            return True
        if self._putting is not desired:
            self._touched = None
        done = self._change(
            lambda actual: Delta({}, deletes(self._looked_at(desired), self._looked_at(actual)))
        )
        if done and self._putting is desired:
            self._settled = desired
        self._putting = None
        return done

    def _differ(self, desired: Mapping[K, V]) -> Set[K] | None:
        if isinstance(desired, Parts) and isinstance(self._settled, Parts):
            return desired.touched(self._settled)
        return None

    def _looked_at(self, state: Mapping[K, V]) -> Mapping[K, V]:
        """As much of what is desired or actual as may differ from the other."""
        if self._touched is None:
            return _whole(state)
        if isinstance(state, Parts):
            if self._only is None or self._only[0] is not state or self._only[1] is not self._touched:
                self._only = state, self._touched, state.only(self._touched)
            return self._only[2]
        return {key: state[key] for key in self._touched if key in state}

    def _doubt(self) -> None:
        """What is there is not known any more."""
        self._actual = self._settled = self._putting = self._touched = self._review = None

    def _change(self, wanted: Callable[[Mapping[K, V]], Delta[K, V]]) -> bool:
        for _attempt in range(2):
            if not self.read():
                self._putting = None
                return False
            change = wanted(self.actual)
            if not change:
                return True
            outcome = self._driver.apply(change)
            log.debug("applied driver=%s put=%d delete=%d", self.name, len(change.put), len(change.delete))
            if outcome is Outcome.DONE:
                self._record(change)
                return True
            self._doubt()
            if outcome is not Outcome.RESYNC:
                break
        if outcome is Outcome.REJECTED:
            self.read()
        else:
            self.wants_retry = True
        return False

    def _record(self, change: Delta[K, V]) -> None:
        actual = self._actual if self._actual is not None else {}
        actual.update(change.put)
        for key in change.delete:
            actual.pop(key, None)
        self._actual = actual
        self._judge_not((*change.put, *change.delete))

    def _judge_not(self, keys: Iterable[K]) -> None:
        """What is read in parts may have been read before these changed."""
        if self._review is not None:
            self._review.changed(keys)


def _whole(state: Mapping[K, V]) -> Mapping[K, V]:
    return state.whole if isinstance(state, Parts) else state


def _adopted(desired: Mapping[K, V], actual: Mapping[K, V]) -> dict[K, V]:
    """What is actual, with the desired objects where they are equal: later passes compare by identity."""
    equal = {key: value for key, value in desired.items() if actual.get(key) == value}
    return equal | {key: value for key, value in actual.items() if key not in equal}
