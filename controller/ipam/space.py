"""The free addresses of one node in one pool, as far as this controller knows.

A hint: the transaction that creates the address key is what decides. Addresses that this controller is
about to commit are kept out, so that its own requests never meet; those that another controller took
are found out by losing, after which the space is read again and picks are spread at random, so that two
controllers that fill one block do not keep racing for its lowest address.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass

from controller.ipam import blocks
from controller.ipam.claims import Claims
from controller.reading import Found, scan
from store import keys
from store.client import Store
from store.model import Block, IPAddress, IPNetwork, Node, Pool


@dataclass(frozen=True, slots=True)
class Spot:
    """An address to try, and the block it is in."""

    address: IPAddress
    block: Found[Block]


@dataclass(slots=True)
class _Open:
    """A block of the node and what is free in it, highest first."""

    block: Found[Block]
    free: list[IPAddress]


class Space:
    """Where one node's next address in one pool comes from. Safe to call from many threads."""

    def __init__(self, store: Store, claims: Claims, pool: str, node: str) -> None:
        self._store = store
        self._claims = claims
        self._pool = pool
        self._node = node
        self._lock = threading.Lock()
        self._open: list[_Open] = []
        self._pending: set[IPAddress] = set()
        self._spread = False

    def take(self, pool: Found[Pool], node: Found[Node]) -> Spot | None:
        """A free address, kept for the caller until `settle`; None when neither address nor block is left.

        Blocking: it reads the store, and claims a block, when nothing that it knows of is free.

        Raises:
            Stale: the pool or the node is not what it was.
        """
        with self._lock:
            spot = self._pick()
            if spot is None:
                self._load(pool.value)
                spot = self._pick()
            # A block that was given back may be full of addresses that cool down: then the next one.
            while spot is None and self._claims.claim_next(pool, node):
                self._spread = False
                self._load(pool.value)
                spot = self._pick()
            if spot is not None:
                self._pending.add(spot.address)
            return spot

    def settle(self, address: IPAddress) -> None:
        """The caller's commit is over, however it went."""
        with self._lock:
            self._pending.discard(address)

    def mistrust(self, *, contended: bool) -> None:
        """A pick was lost: read again before the next. `contended` when it was lost to another controller."""
        with self._lock:
            self._open = []
            self._spread = self._spread or contended

    def _pick(self) -> Spot | None:
        for entry in self._open:
            if entry.free:
                index = random.randrange(len(entry.free)) if self._spread else -1  # noqa: S311
                return Spot(entry.free.pop(index), entry.block)
        return None

    def _load(self, pool: Pool) -> None:
        mine = scan(self._store, keys.NODE_BLOCKS, self._node)
        self._open = [
            _Open(found, self._free_in(pool, found.value.cidr))
            for found in mine.items
            if found.value.pool == self._pool
        ]

    def _free_in(self, pool: Pool, block: IPNetwork) -> list[IPAddress]:
        taken = {held.address for held in scan(self._store, keys.ADDRESSES, pool.name, block).values}
        taken |= self._pending
        return [address for address in blocks.assignable(pool, block) if address not in taken][::-1]
