"""How many addresses a tenant may have beside what it holds, asked before a block is claimed for them.

A hint: the transaction that assigns them is what decides. Without it a tenant at its quota could have block
after block claimed by requests that are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.ipam.committer import Committer
from controller.ipam.tally import Charge, OverQuota
from store.model import Tenant

Place = tuple[str, int]
"""A tenant and a family."""


@dataclass(slots=True)
class Drafted:
    """What is drafted in one round, and what there is room for after that."""

    together: bool
    """Nothing of it is committed before all is drafted. Else it may be committed by now: counted already."""
    left: dict[Place, int] = field(default_factory=dict)
    count: dict[Place, int] = field(default_factory=dict)


class Room:
    """That of one tenant, beside what is drafted for it already."""

    def __init__(self, committer: Committer, tenant: Tenant, drafted: Drafted) -> None:
        self._committer = committer
        self._tenant = tenant
        self._drafted = drafted

    def take(self, family: int, wanted: int) -> int:
        """How many there is room for: `wanted` at most, and one at least. Raises `OverQuota` for none."""
        if self._limit(family) is None:
            return wanted
        place = self._tenant.name, family
        left = self._drafted.left.get(place)
        if left is None:
            left = self._drafted.left[place] = self._committer.room(self._charge(family, 1), wanted)
        if left < 1:
            before = self._drafted.count.get(place, 0) if self._drafted.together else 0
            raise OverQuota(self._charge(family, before + 1))
        return min(left, wanted)

    def drafted(self, family: int, count: int) -> None:
        """So many more are drafted."""
        place = self._tenant.name, family
        if place in self._drafted.left:
            self._drafted.left[place] -= count
            self._drafted.count[place] = self._drafted.count.get(place, 0) + count

    def _limit(self, family: int) -> int | None:
        return self._tenant.max_ipv4 if family == 4 else self._tenant.max_ipv6

    def _charge(self, family: int, count: int) -> Charge:
        held = (count, 0) if family == 4 else (0, count)
        return Charge(self._tenant.name, *held, self._tenant.max_ipv4, self._tenant.max_ipv6)
