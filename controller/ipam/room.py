"""How many addresses a tenant may have beside what it holds, asked before a block is claimed for them.

A hint: the transaction that assigns them is what decides. Without it a tenant at its quota could have block
after block claimed by requests that are refused.
"""

from __future__ import annotations

from collections import Counter

from controller.ipam.committer import Committer
from controller.ipam.tally import Charge, OverQuota
from store.model import Tenant

Drafted = Counter[tuple[str, int]]
"""Addresses by tenant and family that are drafted, and not committed yet."""


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
        drafted = self._drafted[self._tenant.name, family]
        room = self._committer.room(self._charge(family, 1), drafted + wanted) - drafted
        if room < 1:
            raise OverQuota(self._charge(family, drafted + 1))
        return room

    def drafted(self, family: int, count: int) -> None:
        """So many more are drafted."""
        if self._limit(family) is not None:
            self._drafted[self._tenant.name, family] += count

    def _limit(self, family: int) -> int | None:
        return self._tenant.max_ipv4 if family == 4 else self._tenant.max_ipv6

    def _charge(self, family: int, count: int) -> Charge:
        held = (count, 0) if family == 4 else (0, count)
        return Charge(self._tenant.name, *held, self._tenant.max_ipv4, self._tenant.max_ipv6)
