"""What one client does next: chance, in proportions that keep the pools nearly full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from random import Random

from tests.history.client import Client
from tests.history.op import Op, Outcome
from tests.history.site import ATTACH, Pool

ENOUGH = 6
"""Endpoints of one client."""
HANG_UP = 0.06
REQUESTED = 0.2
ATTACHED = 0.25


@dataclass(slots=True)
class Workload:
    """The endpoints of one client, and its dice."""

    client: Client
    dice: Random
    nodes: Sequence[str]
    pools: Sequence[Pool]
    twice: float
    """How often a request is sent to two controllers at once."""
    _made: int = 0
    _held: dict[str, str] = field(default_factory=dict)
    """Id to node of what is certainly there."""
    _doubtful: set[str] = field(default_factory=set)
    """Perhaps there: to be released."""
    _free: list[str] = field(default_factory=list)
    """Ids that are certainly gone, with no attempt of ours on its way: they can be used again."""
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
        node, pool = self.dice.choice(self.nodes), self.dice.choice(self.pools)
        asked = {"node": node, "pool": pool.name}
        if self.dice.random() < REQUESTED:
            asked["address"] = str(self.dice.choice(list(ip_network(pool.cidr).hosts())))
        labels = {ATTACH: "yes"} if self.dice.random() < ATTACHED else {}
        twice = self.dice.random() < self.twice
        op = self.client.assign(name, asked, labels, twice=twice, hang_up=not twice and self._hangs_up())
        self._note(op)
        if op.outcome is Outcome.OK:
            self._held[name] = node
        elif op.loose or op.outcome is Outcome.UNKNOWN:
            self._doubtful.add(name)
        else:
            self._retire(name)

    def _release(self, name: str) -> None:
        op = self.client.release(name, hang_up=self._hangs_up())
        self._note(op)
        self._held.pop(name, None)
        if op.outcome is Outcome.OK:
            self._retire(name)
        else:
            self._doubtful.add(name)

    def _move(self, name: str) -> None:
        node = self.dice.choice(self.nodes)
        op = self.client.move(name, node, hang_up=self._hangs_up())
        self._note(op)
        if op.outcome is Outcome.OK:
            self._held[name] = node

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
