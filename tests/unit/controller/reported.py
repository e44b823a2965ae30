"""A controller that has the duty of telling what nodes report, and the events that it has written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from controller.events import Events
from controller.reading import scan
from controller.reported import Reported
from lab.wait import wait_until
from store import keys
from store.memory import MemoryStore
from store.model import Event
from tests.unit.controller.conftest import NOW

SOON_S = 5.0


@contextmanager
def on_duty(store: MemoryStore) -> Iterator[None]:
    """While the block runs a controller tells what is reported."""
    duty = Reported(store, lambda: NOW, Events(store, lambda: NOW))
    thread = threading.Thread(target=duty.run)
    thread.start()
    try:
        yield
    finally:
        duty.stop()
        thread.join(SOON_S)
    assert not thread.is_alive()


def told_are(store: MemoryStore, *reasons: str) -> list[Event]:
    """Wait until these events are all that there are."""
    expected = sorted(reasons)
    wait_until(lambda: sorted(told(store)), SOON_S, "the events", good=expected.__eq__)
    return scan(store, keys.EVENTS).values


def told(store: MemoryStore) -> list[str]:
    """The reasons of all events."""
    return [each.reason for each in scan(store, keys.EVENTS).values]
