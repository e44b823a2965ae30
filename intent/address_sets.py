"""The addresses of sets, each stored in several shards. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from store.model import AddressSet, IPAddress


@dataclass(frozen=True, slots=True)
class _Joined:
    shards: list[AddressSet]
    addresses: frozenset[IPAddress]


class AddressSets:
    """Joins the shards. A set is the very one of before while its shards are: who compares it again, or looks
    for what follows from it, need not look at thousands of addresses."""

    def __init__(self) -> None:
        self._joined: dict[str, _Joined] = {}

    def of(self, shards: Iterable[AddressSet]) -> dict[str, frozenset[IPAddress]]:
        """The addresses of each set, of all its shards."""
        by_set: dict[str, list[AddressSet]] = {}
        for shard in shards:
            by_set.setdefault(shard.set, []).append(shard)
        before, self._joined = self._joined, {}
        for name, mine in by_set.items():
            kept = before.get(name)
            if kept is None or [*map(id, kept.shards)] != [*map(id, mine)]:
                kept = _Joined(mine, frozenset[IPAddress]().union(*(shard.addresses for shard in mine)))
            self._joined[name] = kept
        return {name: joined.addresses for name, joined in self._joined.items()}
