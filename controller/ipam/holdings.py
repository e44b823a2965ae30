"""What many endpoints hold, read block by block: one read for a block, not three for an address."""

from __future__ import annotations

from dataclasses import dataclass

from controller.ipam import blocks
from controller.reading import read, scan
from store import keys
from store.client import Store
from store.model import Address, Block, Endpoint, IPAddress, IPNetwork, Pool


@dataclass(frozen=True, slots=True)
class _Read:
    block: Block | None
    held: dict[IPAddress, Address]


class Holdings:
    """A memory of blocks that were read. Of one moment: make a new one for each piece of work."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pools: dict[str, Pool | None] = {}
        self._blocks: dict[tuple[str, IPNetwork], _Read] = {}

    def of(self, endpoint: Endpoint) -> list[tuple[Block, Address]]:
        """The address keys that an endpoint holds, and the block of each."""
        found = []
        for address, name in endpoint.placed:
            pool = self.pool(name)
            if pool is None:
                continue
            there = self._block(pool, blocks.block_of(pool, address))
            held = there.held.get(address)
            if there.block is not None and held is not None and held.endpoint == endpoint.id:
                found.append((there.block, held))
        return found

    def pool(self, name: str) -> Pool | None:
        """A pool; None when there is none."""
        if name not in self._pools:
            found = read(self._store, keys.POOLS, name)
            self._pools[name] = found.value if found else None
        return self._pools[name]

    def _block(self, pool: Pool, cidr: IPNetwork) -> _Read:
        key = pool.name, cidr
        if key not in self._blocks:
            claim = read(self._store, keys.BLOCKS, *key)
            held = scan(self._store, keys.ADDRESSES, *key).values
            self._blocks[key] = _Read(claim.value if claim else None, {each.address: each for each in held})
        return self._blocks[key]
