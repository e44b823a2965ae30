"""What many endpoints hold, read block by block: one read for a block, not three for an address."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.ipam import blocks
from controller.reading import Found, read, scan
from store import keys
from store.client import Store
from store.model import Address, Block, Endpoint, IPAddress, IPNetwork, Pool


@dataclass(frozen=True, slots=True)
class Held:
    """An address key, and whose block the address is in."""

    address: Found[Address]
    owner: str


class Holdings:
    """A memory of blocks that were read. Of one moment: make a new one for each piece of work."""

    def __init__(self, store: Store, claims: Iterable[Found[Block]]) -> None:
        """`claims` are those that are known already; a block that holds an address keeps its owner."""
        self._store = store
        self._claims = {(found.value.pool, found.value.cidr): found.value for found in claims}
        self._pools: dict[str, Pool | None] = {}
        self._known: set[tuple[str, IPNetwork]] = set()
        self._held: dict[tuple[str, IPAddress], Held] = {}

    def of(self, endpoint: Endpoint) -> list[Held]:
        """The address keys that an endpoint holds."""
        there = (self._at(name, address) for address, name in endpoint.placed)
        return [held for held in there if held is not None and held.address.value.endpoint == endpoint.id]

    def pool(self, name: str) -> Pool | None:
        """A pool; None when there is none."""
        if name not in self._pools:
            found = read(self._store, keys.POOLS, name)
            self._pools[name] = found.value if found else None
        return self._pools[name]

    def _at(self, pool_name: str, address: IPAddress) -> Held | None:
        held = self._held.get((pool_name, address))
        if held is None and (pool := self.pool(pool_name)) is not None:
            self._learn(pool.name, blocks.block_of(pool, address))
            held = self._held.get((pool_name, address))
        return held

    def _learn(self, pool: str, cidr: IPNetwork) -> None:
        if (pool, cidr) in self._known:
            return
        self._known.add((pool, cidr))
        owner = self._owner(pool, cidr)
        if owner is not None:
            for found in scan(self._store, keys.ADDRESSES, pool, cidr).items:
                self._held[pool, found.value.address] = Held(found, owner)

    def _owner(self, pool: str, cidr: IPNetwork) -> str | None:
        if (pool, cidr) in self._claims:
            return self._claims[pool, cidr].node
        found = read(self._store, keys.BLOCKS, pool, cidr)
        return found.value.node if found else None
