"""What is told of what is amiss on nodes: when it begins, when it is over, and never twice."""

from __future__ import annotations

from datetime import timedelta

from controller.node_events import About, standing
from controller.reading import put
from store import keys
from store.client import Delete
from store.memory import MemoryStore
from store.model import Alive, Amiss, Event, Program, Severity
from tests.unit.controller.conftest import NOW
from tests.unit.controller.reported import on_duty, told_are

FOREIGN, FULL = "uplink-not-shared", "uplink-overbooked"


def say(
    store: MemoryStore,
    *found: tuple[str, str],
    words: str = "it is so",
    looked: bool = True,
    by: str = "node-1",
) -> None:
    """The agent of a node lives, and finds these things amiss on these uplinks; `by` has written that."""
    amiss = tuple(Amiss(reason=reason, uplink=uplink, detail=words) for reason, uplink in found)
    alive = Alive(
        node="node-1",
        program=Program.AGENT,
        boot_id="b",
        started=NOW,
        amiss=amiss if looked else None,
    )
    store.txn([], [put(keys.ALIVE, alive, by, "agent")])


def event(number: int, reason: str, name: str) -> Event:
    at = NOW + timedelta(seconds=number)
    return Event(
        id=f"{number:016d}-00000000",
        at=at,
        reason=reason,
        noun="uplink",
        name=name,
        detail=f"words {number}",
        node="node-1",
    )


def test_each_thing_on_each_uplink_is_told_once_and_when_it_is_over() -> None:
    store = MemoryStore()
    with on_duty(store):
        say(store, (FOREIGN, "up-a"))
        [began] = told_are(store, FOREIGN)
        say(store, (FOREIGN, "up-a"), (FOREIGN, "up-b"), words="in other words")
        told_are(store, FOREIGN, FOREIGN)
        say(store, (FULL, "up-a"), (FOREIGN, "up-b"))
        events = told_are(store, FOREIGN, FOREIGN, FULL, f"{FOREIGN}-over")
    assert (began.severity, began.noun, began.name, began.node) == (
        Severity.WARNING,
        "uplink",
        "node-1/up-a",
        "node-1",
    )
    [over] = [each for each in events if each.reason == f"{FOREIGN}-over"]
    assert (over.severity, over.name) == (Severity.INFO, "node-1/up-a")
    assert over.detail == "no longer so: in other words"


def test_a_program_that_is_away_or_has_not_looked_yet_mends_nothing() -> None:
    store = MemoryStore()
    with on_duty(store):
        say(store, (FOREIGN, "up-a"))
        told_are(store, FOREIGN)
        store.txn([], [Delete(keys.ALIVE.key("node-1", "agent"))])
        say(store, looked=False)
        say(store, (FOREIGN, "up-a"), (FULL, "up-a"))
        told_are(store, FOREIGN, FULL)


def test_a_node_tells_nothing_of_another() -> None:
    store = MemoryStore()
    with on_duty(store):
        say(store, (FULL, "up-a"), by="node-2")
        say(store, (FOREIGN, "up-a"))
        told_are(store, FOREIGN)


def test_another_controller_tells_nothing_twice_and_what_was_missed() -> None:
    store = MemoryStore()
    say(store, (FOREIGN, "up-a"))
    with on_duty(store):
        told_are(store, FOREIGN)
    say(store, (FOREIGN, "up-a"), (FULL, "up-a"))
    with on_duty(store):
        told_are(store, FOREIGN, FULL)
    say(store)
    with on_duty(store):
        told_are(store, FOREIGN, FULL, f"{FOREIGN}-over", f"{FULL}-over")


def test_what_stands_by_the_events() -> None:
    assert standing(
        [
            event(1, FOREIGN, "node-1/up-a"),
            event(2, FULL, "node-1/up-a"),
            event(3, f"{FOREIGN}-over", "node-1/up-a"),
            event(4, f"{FOREIGN}-over", "node-1/up-b"),
            event(5, FOREIGN, "node-1/up-b"),
            event(6, "node-lost", "node-1").model_copy(update={"noun": "node"}),
        ]
    ) == {"node-1": {About(FULL, "node-1/up-a"): "words 2", About(FOREIGN, "node-1/up-b"): "words 5"}}
