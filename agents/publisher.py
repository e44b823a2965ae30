"""Keeps a program's reports in the store up to date, in a thread of its own.

The store may be away for as long as it likes: the thread that drives the dataplane never waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from agents.loop import Loop
from agents.reconciler import Reconciler
from agents.report import StoreDriver
from store.model import Value

RETRY_S = 0.5


class Publisher:
    """Makes the store say what the program last said. Every method may be called from any thread.

    Args:
        drivers: one for each family of keys, by a name of the caller's choice; written in this order, and
            one that has to be tried again holds up those behind it.
    """

    def __init__(self, drivers: Mapping[str, StoreDriver[Any]]) -> None:
        self._drivers = dict(drivers)
        self._reconcilers = {name: Reconciler[str, Value](name, driver) for name, driver in drivers.items()}
        self._desired: dict[str, Mapping[str, Value]] = {}
        self._doubted: set[str] = set()
        self._noted: dict[str, dict[str, tuple[Value, int]]] = {}
        """What other threads have written, until something is said of the family: that knows of it."""
        self._written: list[tuple[str, str, Value, int]] = []
        self._lock = threading.Lock()
        self._loop = Loop(self._step, self._forget)
        self._thread = threading.Thread(target=self._loop.run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin. A family is left alone until something was said of it."""
        self._thread.start()

    def stop(self) -> None:
        """End after the pass that is under way; the reports stay."""
        self._loop.stop()
        self._thread.join(timeout=2)

    def say(self, name: str, desired: Mapping[str, Value]) -> None:
        """Make these all the keys of the family; returns at once."""
        with self._lock:
            noted = self._noted.pop(name, {})
            self._written += [(name, key, *each) for key, each in noted.items()]
            if not noted and self._desired.get(name) == desired:
                return
            self._desired[name] = dict(desired)
        self._loop.mark()

    def written(self, name: str, key: str, value: Value, revision: int) -> None:
        """Take note that another thread has written a key of the family, so that it is not written again.

        Nothing happens with it before the family is spoken of again, or it would be nobody's and be deleted.
        """
        with self._lock:
            self._noted.setdefault(name, {})[key] = value, revision

    def recheck(self, name: str) -> None:
        """Read the family again, soon: a key may be there that nobody says any more."""
        with self._lock:
            self._doubted.add(name)
        self._loop.mark()

    def _forget(self) -> None:
        for reconciler in self._reconcilers.values():
            reconciler.forget()

    def _step(self) -> float | None:
        with self._lock:
            desired = dict(self._desired)
            doubted, self._doubted = self._doubted, set()
            written, self._written = self._written, []
        for name, key, value, revision in written:
            self._drivers[name].saw(key, revision)
            self._reconcilers[name].learn(key, value)
        for name in doubted:
            self._reconcilers[name].forget()
        for name, reconciler in self._reconcilers.items():
            if name not in desired:
                continue
            reconciler.wants_retry = False
            reconciler.put(desired[name])
            reconciler.delete(desired[name])
            if reconciler.wants_retry:
                return RETRY_S
        return None
