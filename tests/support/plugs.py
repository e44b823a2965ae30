"""Plugs in memory: what outlives an agent as the switch's database does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agents.node.plug import Busy, Plugged
from agents.node.wants import Refused, Want
from store.model import Endpoint


@dataclass
class MemoryPlug:
    """Plugs that are entries of a dictionary; survives the agent as the switch does."""

    plugged: dict[str, Plugged] = field(default_factory=dict)
    journal: list[tuple[str, str, Any]] = field(default_factory=list)
    refuse: Refused | None = None
    busy: bool = False
    stuck: set[str] = field(default_factory=set)
    """Endpoints that the kernel does not take, whatever is tried."""
    reads: int = 0
    made: int = 0

    def read(self) -> dict[str, Plugged]:
        self.reads += 1
        if self.busy:
            raise Busy("the switch is away")
        return dict(self.plugged)

    def insert(self, want: Want, endpoint: Endpoint) -> Plugged:
        if self.refuse is not None:
            raise self.refuse
        self._refuse_stuck(endpoint.id)
        self.journal.append(("put", "plug", endpoint.id))
        there = self.plugged.get(endpoint.id)
        self.made += there is None
        ofport = self.made if there is None else there.ofport
        made = Plugged(want, f"pl-{endpoint.id}", ofport, endpoint)
        self.plugged[endpoint.id] = made
        return made

    def record(self, want: Want, endpoint: Endpoint) -> Plugged:
        there = self.plugged[endpoint.id]
        self.plugged[endpoint.id] = Plugged(want, there.port, there.ofport, endpoint)
        return self.plugged[endpoint.id]

    def _refuse_stuck(self, endpoint: str) -> None:
        if endpoint in self.stuck:
            raise Busy(f"the kernel does not take {endpoint}")

    def remove(self, endpoint: str) -> None:
        self._refuse_stuck(endpoint)
        if self.plugged.pop(endpoint, None) is not None:
            self.journal.append(("delete", "plug", endpoint))
