"""A set of addresses in shards: where an address lies depends on nothing but itself and how many there are.

The number of shards is a power of two, so that growing cuts each shard in two. It is halved only when three
quarters are empty: a set that goes to and fro across a limit is not written anew each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from zlib import crc32

from store.model import AddressSet, IPAddress

PER_SHARD = 16
"""On average, at most: some 300 bytes as stored, which every node is sent when one of them changes."""


class Shards:
    """The addresses of one set. Not thread-safe.

    Args:
        set_id: its name.
        addresses: what it holds at first; one that comes twice has to leave twice.
    """

    def __init__(self, set_id: str, addresses: Iterable[IPAddress] = ()) -> None:
        self.set_id = set_id
        self._held = Counter(addresses)
        self._shards: list[set[IPAddress]] = []
        self._values: list[AddressSet | None] = []
        self._lay(_enough(len(self._held), 1))

    def __len__(self) -> int:
        """How many shards there are."""
        return len(self._shards)

    def add(self, addresses: Iterable[IPAddress]) -> set[int] | None:
        """Take addresses; returns the shards that change, None when all may."""
        new = [address for address in addresses if self._held[address] == 0]
        self._held.update(addresses)
        return self._change(new, remove=False)

    def remove(self, addresses: Iterable[IPAddress]) -> set[int] | None:
        """Let go of addresses; returns the shards that change, None when all may."""
        self._held.subtract(addresses)
        gone = [address for address in addresses if self._held[address] <= 0]
        for address in gone:
            del self._held[address]
        return self._change(gone, remove=True)

    def value(self, shard: int) -> AddressSet | None:
        """What is stored of a shard, the same object until it changes; None when nothing is.

        The first is stored in any case: where it is, the set is, though it may be empty.
        """
        if not self._shards[shard] and shard:
            return None
        value = self._values[shard]
        if value is None:
            addresses = tuple(sorted(self._shards[shard], key=lambda each: (each.version, int(each))))
            value = self._values[shard] = AddressSet.of(set=self.set_id, shard=shard, addresses=addresses)
        return value

    def _change(self, addresses: Iterable[IPAddress], *, remove: bool) -> set[int] | None:
        count = _enough(len(self._held), len(self._shards))
        if count != len(self._shards):
            self._lay(count)
            return None
        touched = set()
        for address in addresses:
            shard = _place(address, count)
            (self._shards[shard].discard if remove else self._shards[shard].add)(address)
            self._values[shard] = None
            touched.add(shard)
        return touched

    def _lay(self, count: int) -> None:
        self._shards = [set() for _ in range(count)]
        self._values = [None] * count
        for address in self._held:
            self._shards[_place(address, count)].add(address)


def _place(address: IPAddress, count: int) -> int:
    return crc32(address.packed) & (count - 1)


def _enough(held: int, count: int) -> int:
    """How many shards so many addresses have that were in `count` of them until now."""
    while held > count * PER_SHARD:
        count *= 2
    while count > 1 and held * 4 < count * PER_SHARD:
        count //= 2
    return count
