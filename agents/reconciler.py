"""One driver's state, held between what is desired and what is actual.

The actual state is read once, kept as long as every change is acknowledged, and read again after
anything else: a resync, a refusal, a lost device. Puts and deletes are separate calls because their
order across drivers differs: up is neighbour, route, flow; down is the reverse.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from agents.delta import Delta, deletes, delta, puts
from agents.driver import Driver, Outcome, Unreadable

K = TypeVar("K")
V = TypeVar("V")

log = logging.getLogger(__name__)


class Reconciler(Generic[K, V]):
    """Brings one driver's state to what is desired. One thread at a time."""

    def __init__(self, name: str, driver: Driver[K, V]) -> None:
        self.name = name
        self._driver = driver
        self._actual: dict[K, V] | None = None
        self._believed: dict[K, V] | None = None
        self._fresh = False
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

    def forget(self) -> None:
        """Read the device again before the next change."""
        if self._actual is not None:
            self._believed = self._actual
        self._actual = None

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
        self._report_drift(self._actual)
        return True

    def put(self, desired: Mapping[K, V]) -> bool:
        """Add and change what `desired` has. Returns whether all of it is actual now."""
        if self.read() and self._actual is not None and self._fresh:
            self._adopt(desired, self._actual)
        return self._change(lambda actual: Delta(puts(desired, actual), {}))

    def delete(self, desired: Mapping[K, V]) -> bool:
        """Remove what `desired` lacks. Returns whether all of that is gone now."""
        return self._change(lambda actual: Delta({}, deletes(desired, actual)))

    def _change(self, wanted: Callable[[Mapping[K, V]], Delta[K, V]]) -> bool:
        for _attempt in range(2):
            if not self.read():
                return False
            change = wanted(self.actual)
            if not change:
                return True
            outcome = self._driver.apply(change)
            log.debug("applied driver=%s put=%d delete=%d", self.name, len(change.put), len(change.delete))
            if outcome is Outcome.DONE:
                self._record(change)
                return True
            self._actual = None
            if outcome is not Outcome.RESYNC:
                break
        if outcome is Outcome.REJECTED:
            self.read()
        else:
            self.wants_retry = True
        return False

    def _adopt(self, desired: Mapping[K, V], actual: dict[K, V]) -> None:
        """Hold the desired value where the device holds an equal one: later passes compare by identity."""
        self._fresh = False
        actual.update({key: value for key, value in desired.items() if actual.get(key) == value})

    def _record(self, change: Delta[K, V]) -> None:
        actual = self._actual if self._actual is not None else {}
        actual.update(change.put)
        for key in change.delete:
            actual.pop(key, None)
        self._actual = actual

    def _report_drift(self, found: Mapping[K, V]) -> None:
        if self._believed is None:
            return
        drift = delta(self._believed, found)
        self._believed = None
        self.repairs += len(drift.put) + len(drift.delete)
        for key in drift.put:
            log.warning("drift driver=%s missing_or_changed=%s found=%s", self.name, key, found.get(key))
        for key in drift.delete:
            log.warning("drift driver=%s unexpected=%s", self.name, key)
