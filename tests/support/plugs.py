"""Plugs in memory: what outlives an agent as the switch's database does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from agents.node.plug import Busy, Plugged
from agents.node.wants import Refused, Want
from store.model import Endpoint, IPAddress


@dataclass
class MemoryPlug:
    """Plugs that are entries of a dictionary; survives the agent as the switch does."""

    plugged: dict[str, Plugged] = field(default_factory=dict)
    journal: list[tuple[str, str, Any]] = field(default_factory=list)
    refuse: Refused | None = None
    busy: bool = False
    stuck: set[str] = field(default_factory=set)
    """Endpoints that the kernel does not take, whatever is tried."""
    late: set[str] = field(default_factory=set)
    """Endpoints whose ports Open vSwitch does not add."""
    reads: int = 0
    made: int = 0

    def forget(self) -> None:
        """There is nothing to look at."""

    def read(self) -> dict[str, Plugged]:
        self.reads += 1
        if self.busy:
            raise Busy("the switch is away")
        return dict(self.plugged)

    def insert(
        self,
        want: Want,
        endpoint: Endpoint,
        services: frozenset[IPAddress] = frozenset(),
        *,
        closed: bool = False,
    ) -> Plugged:
        if self.refuse is not None:
            raise self.refuse
        self._refuse_stuck(endpoint.id)
        self.journal.append(("put", "plug", endpoint.id))
        there = self.plugged.get(endpoint.id)
        self.made += there is None
        ofport = self.made if there is None else there.ofport
        made = Plugged(want, f"pl-{endpoint.id}", ofport, endpoint, services, closed=closed)
        self.plugged[endpoint.id] = made
        return made

    def settle(self, there: Plugged) -> Plugged:
        if there.want.endpoint in self.late:
            raise Busy("Open vSwitch does not answer")
        return there

    def record(self, there: Plugged, want: Want, endpoint: Endpoint, *, closed: bool = False) -> Plugged:
        self.plugged[endpoint.id] = replace(there, want=want, endpoint=endpoint, closed=closed)
        return self.plugged[endpoint.id]

    def hold(self, there: Plugged, services: frozenset[IPAddress]) -> Plugged:
        name = there.want.endpoint
        self._refuse_stuck(name)
        for verb, changed in (("put", services - there.services), ("delete", there.services - services)):
            self.journal += [(verb, "address", (name, str(one))) for one in sorted(changed, key=str)]
        self.plugged[name] = replace(there, services=services)
        return self.plugged[name]

    def _refuse_stuck(self, endpoint: str) -> None:
        if endpoint in self.stuck:
            raise Busy(f"the kernel does not take {endpoint}")

    def remove(self, endpoint: str) -> None:
        self._refuse_stuck(endpoint)
        if self.plugged.pop(endpoint, None) is not None:
            self.journal.append(("delete", "plug", endpoint))
