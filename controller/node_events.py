"""Events of what is amiss on nodes: one when something begins to be so, one when it no longer is.

What was told is read from the events themselves when a controller takes the duty up, so that a change of
hands tells nothing twice and misses nothing; what is still amiss when its event has expired is told again
then. A program that does not live, or has not looked yet, says nothing, and nothing is told of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from controller.events import Events
from controller.reading import scan
from store import keys
from store.client import Store
from store.model import Alive, Amiss, Event, Severity

NOUN = "uplink"
OVER = "-over"


class About(NamedTuple):
    """What is amiss where."""

    reason: str
    name: str
    """`node-1/eth0`."""


class NodeEvents:
    """Tells of nodes, as they are taken one after the other by one thread."""

    def __init__(self, store: Store, events: Events) -> None:
        self._store = store
        self._events = events
        self._told: dict[str, Mapping[About, str]] = {}
        """What is amiss, as far as it was told, and the words: by node."""

    def recall(self) -> None:
        """Find out what was told. Blocking. Raises what the store does."""
        self._told = standing(scan(self._store, keys.EVENTS, mark=f'"noun":"{NOUN}"'.encode()).values)

    def take(self, alive: Alive) -> None:
        """Tell what is new of a node. Blocking."""
        if alive.amiss is None:
            return
        before, now = self._told.get(alive.node, {}), by_name(alive.node, alive.amiss)
        self._told[alive.node] = now
        for about in now.keys() - before.keys():
            self._record(Severity.WARNING, about, now[about], alive.node)
        for about in before.keys() - now.keys():
            over = About(about.reason + OVER, about.name)
            self._record(Severity.INFO, over, f"no longer so: {before[about]}", alive.node)

    def _record(self, severity: Severity, about: About, detail: str, node: str) -> None:
        self._events.record(severity, about.reason, NOUN, about.name, detail, node=node)


def by_name(node: str, amiss: Iterable[Amiss]) -> dict[About, str]:
    """What is amiss on a node, with the words. Pure."""
    return {About(each.reason, f"{node}/{each.uplink}"): each.detail for each in amiss}


def standing(events: Iterable[Event]) -> dict[str, Mapping[About, str]]:
    """What began to be amiss by these events, in the order of time, and was not told to be over. Pure."""
    found: dict[str, dict[About, str]] = {}
    for each in events:
        if each.noun != NOUN or each.node is None:
            continue
        told = found.setdefault(each.node, {})
        if each.reason.endswith(OVER):
            told.pop(About(each.reason.removesuffix(OVER), each.name), None)
        else:
            told[About(each.reason, each.name)] = each.detail
    return dict(found)
