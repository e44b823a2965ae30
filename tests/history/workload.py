"""What one client does next: chance, in proportions that keep the pools nearly full."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network
from random import Random
from typing import Any

from controller.api.idempotency import derived_for
from tests.history.client import Client, Manner, Wanted
from tests.history.op import Op, Outcome
from tests.history.site import ATTACH, NODES, POOLS, SIX, TENANTS

BEARER = "file:1"
"""Whose token the clients have: the first of the lab's token file."""

ENOUGH = 6
"""Endpoints of one client; a batch may make it more."""
BATCH = 5
"""Endpoints in one request at most."""
HANG_UP = 0.06
REQUESTED = 0.2
BOTH_FAMILIES = 0.2
OF_A_TENANT = 0.5
ATTACHED = 0.25
BATCHES = 0.25
ATOMIC = 0.5
KEYED = 0.25


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
        """One operation, or those of a batch."""
        if self._doubtful:
            self._release(self._doubtful.pop())
        elif not self._held or (len(self._held) < ENOUGH and self._happens(0.4)):
            self._assign_many() if self._happens(BATCHES) else self._assign()
        else:
            name = self.dice.choice(sorted(self._held))
            doing = self.dice.choices(
                (self._release, self._move, self._relabel, self.client.read), (38, 17, 10, 35)
            )[0]
            doing(name)

    def _assign(self) -> None:
        manner = self._manner(f"{self.client.number}-{self._made}")
        name = derived_for(BEARER, manner.key) if manner.key else self._name()
        self._took(self.client.assign(self._wanted(name), manner))

    def _assign_many(self) -> None:
        batch = f"b{self.client.number}-{self._made}"
        manner = self._manner(batch)
        names = [
            derived_for(BEARER, manner.key, part) if manner.key else self._name()
            for part in range(self.dice.randint(2, BATCH))
        ]
        wanted = [self._wanted(name) for name in names]
        ops = self.client.assign_many(batch, wanted, manner, atomic=self._happens(ATOMIC))
        for op in ops:
            self._took(op)
        if ops[0].atomic and ops[0].outcome is Outcome.REFUSED:
            self.client.read(self.dice.choice(names))  # none of it is there

    def _took(self, op: Op) -> None:
        """Note what came of an attempt to have an endpoint."""
        self._note(op)
        if op.outcome is Outcome.OK:
            self._held[op.id] = op.seen[0].uid
        elif op.loose or op.outcome is Outcome.UNKNOWN:
            self._doubtful.add(op.id)
        else:
            self._retire(op.id)

    def _name(self) -> str:
        """An id that nothing has."""
        if self._free and self._happens(0.5):
            return self._free.pop()
        self._made += 1
        return f"c{self.client.number}-{self._made}"

    def _manner(self, key: str) -> Manner:
        self._made += 1
        return Manner(
            key=key if self._happens(KEYED) else "",
            hang_up=self._happens(HANG_UP),
            twice=self._happens(self.twice),
        )

    def _wanted(self, name: str) -> Wanted:
        """What a new endpoint is to be."""
        pool = self.dice.choice(POOLS)
        both = self._happens(BOTH_FAMILIES)
        asked: dict[str, Any] = {
            "node": self.dice.choice(NODES),
            "pools": [pool.name, *([SIX.name] if both else [])],
        }
        if self._happens(REQUESTED):
            asked["addresses"] = [str(self.dice.choice(list(ip_network(pool.cidr).hosts())))]
        if self._happens(OF_A_TENANT):
            asked["tenant"] = self.dice.choice(sorted(TENANTS))
        return Wanted(name, asked, {ATTACH: "yes"} if self._happens(ATTACHED) else {})

    def _release(self, name: str) -> None:
        uid = self._held.pop(name, None)
        op = self.client.release(name, uid, Manner(hang_up=self._happens(HANG_UP)))
        if uid is None:
            self._note(op)  # else it can only ever mean what is gone now
        if op.outcome is Outcome.OK:
            self._retire(name)
        else:
            self._doubtful.add(name)

    def _move(self, name: str) -> None:
        manner = Manner(hang_up=self._happens(HANG_UP))
        self._note(self.client.move(name, self.dice.choice(NODES), manner))

    def _relabel(self, name: str) -> None:
        manner = Manner(hang_up=self._happens(HANG_UP))
        self._note(self.client.relabel(name, f"m{self.dice.randrange(100)}", manner))

    def _note(self, op: Op) -> None:
        if op.loose:
            self._loose.add(op.id)

    def _retire(self, name: str) -> None:
        if name not in self._loose:
            self._free.append(name)

    def _happens(self, how_often: float) -> bool:
        return self.dice.random() < how_often
