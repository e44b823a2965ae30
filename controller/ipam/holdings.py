"""What many endpoints hold, read block by block: one read for a block, not three for an address."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.ipam import blocks
from controller.ipam.ending import Ending
from controller.reading import Found, read, scan_all
from store import keys
from store.client import Store
from store.codec import fields
from store.errors import Corrupt
from store.model import Block, IPNetwork, Pool
from store.model.value import parse_address

log = logging.getLogger(__name__)

NEEDED = frozenset({"address", "pool", "endpoint", "state"})


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """An address key, and whose block the address is in."""

    key: str
    address: Mapping[str, Any]
    """The fields of the `Address`, as stored."""
    owner: str


class Pools(dict[str, Pool | None]):
    """A memory of pools that were read: of one moment, too."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def __missing__(self, name: str) -> Pool | None:
        found = read(self._store, keys.POOLS, name)
        return self.setdefault(name, found.value if found else None)


class Holdings:
    """A memory of blocks that were read. Of one moment: make a new one for each piece of work."""

    def __init__(self, store: Store, pools: Pools, claims: Iterable[Found[Block]]) -> None:
        """`claims` are those that are known already; a block that holds an address keeps its owner."""
        self._store = store
        self._pools = pools
        self._known: set[tuple[str, IPNetwork]] = set()
        self._held: dict[tuple[str, str], HeldAddress] = {}
        for found in claims:
            self._learn(found.value.pool, found.value.cidr, found.value.node)

    def of(self, ending: Ending) -> list[HeldAddress]:
        """The address keys that an endpoint holds."""
        there = map(self._at, ending.pools, ending.addresses)
        return [held for held in there if held is not None and held.address["endpoint"] == ending.id]

    def cooldown_s(self, pool: str) -> int:
        """How long the addresses of a pool cool down; 0 when there is no such pool."""
        found = self._pools[pool]
        return found.cooldown_s if found else 0

    def _at(self, pool: str, address: str) -> HeldAddress | None:
        held = self._held.get((pool, address))
        return held or self._elsewhere(pool, address)

    def _elsewhere(self, pool_name: str, address: str) -> HeldAddress | None:
        """An address of a block that is not read yet, if it is not."""
        pool = self._pools[pool_name]
        if pool is None:
            return None
        try:
            cidr = blocks.block_of(pool, parse_address(address))
        except ValueError:
            return None  # no address of this pool
        if (pool_name, cidr) not in self._known:
            found = read(self._store, keys.BLOCKS, pool_name, cidr)
            self._learn(pool_name, cidr, found.value.node if found else None)
        return self._held.get((pool_name, address))

    def _learn(self, pool: str, cidr: IPNetwork, owner: str | None) -> None:
        self._known.add((pool, cidr))
        if owner is not None:
            for key, address in self._addresses(pool, cidr):
                self._held[pool, key.rsplit("/", 1)[1]] = HeldAddress(key, address, owner)

    def _addresses(self, pool: str, cidr: IPNetwork) -> Iterator[tuple[str, dict[str, Any]]]:
        for item in scan_all(self._store, keys.ADDRESSES.prefix(pool, cidr)):
            try:
                found = fields(item.value, key=item.key)
                if not found.keys() >= NEEDED:
                    raise Corrupt(item.key, "not a valid Address")
                yield item.key, found
            except Corrupt as fault:
                log.error("event=corrupt-value key=%s why=%r", item.key, str(fault))
