"""Events are kept for some hours, in the order of time, and never stop what they tell of."""

from __future__ import annotations

import pytest

from controller.events import KEPT_S, SHARED_S, Events
from controller.reading import scan
from store import keys
from store.memory import MemoryStore
from store.model import Event, Severity
from tests.unit.controller.conftest import NOW, Clock


def told(store: MemoryStore) -> list[Event]:
    return scan(store, keys.EVENTS).values


def test_an_event_is_there_for_some_hours() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    events = Events(store, lambda: NOW, clock)
    events.record(Severity.WARNING, "node-lost", "node", "n1", "it is gone", node="n1")
    events.record(Severity.INFO, "node-back", "node", "n1", "it is back")
    assert {(each.reason, each.noun, each.name, each.at) for each in told(store)} == {
        ("node-lost", "node", "n1", NOW),
        ("node-back", "node", "n1", NOW),
    }
    clock.now_s = SHARED_S + 1
    events.record(Severity.INFO, "later", "node", "n1", "another lease")
    clock.now_s = KEPT_S + 1
    assert [each.reason for each in told(store)] == ["later"]


def test_a_lease_that_was_ended_is_made_anew() -> None:
    store = MemoryStore()
    events = Events(store, lambda: NOW)
    events.record(Severity.INFO, "one", "node", "n1", "")
    for item in store.range("").items:
        store.revoke(item.lease_id)
    events.record(Severity.INFO, "two", "node", "n1", "")
    assert [each.reason for each in told(store)] == ["two"]


def test_a_store_that_is_away_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    store.set_available(False)
    Events(store, lambda: NOW).record(Severity.ALARM, "restored", "store", "etcd", "all is old")
    assert "event=restored" in caplog.text
    assert "event=not-recorded" in caplog.text
