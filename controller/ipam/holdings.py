"""What many endpoints hold, read block by block: one read for a block, not three for an address."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.ipam import blocks
from controller.reading import Found, read, scan_all
from store import keys
from store.client import Store
from store.codec import fields
from store.errors import Corrupt
from store.model import Block, Endpoint, IPAddress, IPNetwork, Pool

log = logging.getLogger(__name__)

NEEDED = frozenset({"address", "pool", "endpoint", "state"})


@dataclass(frozen=True, slots=True)
class Held:
    """An address key, and whose block the address is in."""

    key: str
    address: Mapping[str, Any]
    """The fields of the `Address`, as stored."""
    owner: str


class Holdings:
    """A memory of blocks that were read. Of one moment: make a new one for each piece of work."""

    def __init__(self, store: Store, claims: Iterable[Found[Block]]) -> None:
        """`claims` are those that are known already; a block that holds an address keeps its owner."""
        self._store = store
        self._claims = {(found.value.pool, found.value.cidr): found.value for found in claims}
        self._pools: dict[str, Pool | None] = {}
        self._known: set[tuple[str, IPNetwork]] = set()
        self._held: dict[tuple[str, str], Held] = {}

    def of(self, endpoint: Endpoint) -> list[Held]:
        """The address keys that an endpoint holds."""
        there = (self._at(name, address) for address, name in endpoint.placed)
        return [held for held in there if held is not None and held.address.get("endpoint") == endpoint.id]

    def pool(self, name: str) -> Pool | None:
        """A pool; None when there is none."""
        if name not in self._pools:
            found = read(self._store, keys.POOLS, name)
            self._pools[name] = found.value if found else None
        return self._pools[name]

    def _at(self, pool_name: str, address: IPAddress) -> Held | None:
        place = pool_name, str(address)
        if place not in self._held and (pool := self.pool(pool_name)) is not None:
            self._learn(pool.name, blocks.block_of(pool, address))
        return self._held.get(place)

    def _learn(self, pool: str, cidr: IPNetwork) -> None:
        if (pool, cidr) in self._known:
            return
        self._known.add((pool, cidr))
        owner = self._owner(pool, cidr)
        if owner is not None:
            for key, address in self._addresses(pool, cidr):
                self._held[pool, key.rsplit("/", 1)[1]] = Held(key, address, owner)

    def _addresses(self, pool: str, cidr: IPNetwork) -> Iterator[tuple[str, dict[str, Any]]]:
        for item in scan_all(self._store, keys.ADDRESSES.prefix(pool, cidr)):
            try:
                found = fields(item.value, key=item.key)
                if not found.keys() >= NEEDED:
                    raise Corrupt(item.key, "not a valid Address")
                yield item.key, found
            except Corrupt as fault:
                log.error("event=corrupt-value key=%s why=%r", item.key, str(fault))

    def _owner(self, pool: str, cidr: IPNetwork) -> str | None:
        if (pool, cidr) in self._claims:
            return self._claims[pool, cidr].node
        found = read(self._store, keys.BLOCKS, pool, cidr)
        return found.value.node if found else None
