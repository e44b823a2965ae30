"""What one client does next: chance, in proportions that keep the pools nearly full."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network
from random import Random
from typing import Any

from tests.history.client import Client
from tests.history.op import Op, Outcome
from tests.history.site import ATTACH, NODES, POOLS, SIX, TENANTS

ENOUGH = 6
"""Endpoints of one client."""
HANG_UP = 0.06
REQUESTED = 0.2
BOTH_FAMILIES = 0.2
OF_A_TENANT = 0.5
ATTACHED = 0.25


@dataclass(slots=True)
class Workload:
    """The endpoints of one client, and its dice."""

    client: Client
    dice: Random
    twice: float
    """How often a request is sent to two controllers at once."""
    _made: int = 0
    _held: dict[str, str] = field(default_factory=dict)
    """Id to uid of what is certainly there."""
    _doubtful: set[str] = field(default_factory=set)
    """Perhaps there: to be released."""
    _free: list[str] = field(default_factory=list)
    """Ids that are certainly gone, and nothing that we sent can change that: they can be used again."""
    _loose: set[str] = field(default_factory=set)

    def step(self) -> None:
        """One operation."""
        if self._doubtful:
            self._release(self._doubtful.pop())
        elif not self._held or (len(self._held) < ENOUGH and self.dice.random() < 0.4):
            self._assign()
        else:
            name = self.dice.choice(sorted(self._held))
            doing = self.dice.choices((self._release, self._move, self._read), (45, 25, 30))[0]
            doing(name)

    def _assign(self) -> None:
        reuse = self._free and self.dice.random() < 0.5
        name = self._free.pop() if reuse else f"c{self.client.number}-{self._made}"
        self._made += not reuse
        labels = {ATTACH: "yes"} if self.dice.random() < ATTACHED else {}
        twice = self.dice.random() < self.twice
        op = self.client.assign(name, self._asked(), labels, twice=twice, hang_up=self._hangs_up())
        self._note(op)
        if op.outcome is Outcome.OK:
            self._held[name] = op.seen[0].uid
        elif op.loose or op.outcome is Outcome.UNKNOWN:
            self._doubtful.add(name)
        else:
            self._retire(name)

    def _asked(self) -> dict[str, Any]:
        """What a new endpoint is to be."""
        pool = self.dice.choice(POOLS)
        both = self.dice.random() < BOTH_FAMILIES
        asked = {"node": self.dice.choice(NODES), "pools": [pool.name, *([SIX.name] if both else [])]}
        if self.dice.random() < REQUESTED:
            asked["addresses"] = [str(self.dice.choice(list(ip_network(pool.cidr).hosts())))]
        if self.dice.random() < OF_A_TENANT:
            asked["tenant"] = self.dice.choice(sorted(TENANTS))
        return asked

    def _release(self, name: str) -> None:
        uid = self._held.pop(name, None)
        op = self.client.release(name, uid, hang_up=self._hangs_up())
        if uid is None:
            self._note(op)  # else it can only ever mean what is gone now
        if op.outcome is Outcome.OK:
            self._retire(name)
        else:
            self._doubtful.add(name)

    def _move(self, name: str) -> None:
        self._note(self.client.move(name, self.dice.choice(NODES), hang_up=self._hangs_up()))

    def _read(self, name: str) -> None:
        self.client.read(name)

    def _note(self, op: Op) -> None:
        if op.loose:
            self._loose.add(op.id)

    def _retire(self, name: str) -> None:
        if name not in self._loose:
            self._free.append(name)

    def _hangs_up(self) -> bool:
        return self.dice.random() < HANG_UP
