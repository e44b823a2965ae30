"""The free addresses of one node in one pool, as far as this controller knows.

A hint: the transaction that creates the address key is what decides. Addresses that this controller is
about to commit are kept out, so that its own requests never meet; those that another controller took
are found out by losing, after which picks are spread at random, so that two controllers that fill one
block do not keep racing for its lowest address.

The node's blocks are looked through one after the other, each read when its turn comes, and then a new
one is claimed. Addresses that came free meanwhile are found by the next pass, which begins some seconds
later: a node with a hundred full blocks is not read again for every address.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from controller.ipam import blocks
from controller.ipam.claims import Claims, Stale
from controller.reading import Found, read, scan
from controller.turn import Turn
from store import keys
from store.client import Store
from store.model import Block, IPAddress, IPNetwork, Node, Pool

PASS_S = 10.0
"""Seconds between two passes, unless the pool has no block left."""


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

    def __init__(
        self,
        store: Store,
        claims: Claims,
        pool: str,
        node: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._claims = claims
        self._pool = pool
        self._node = node
        self._monotonic = monotonic
        self._turn = Turn()
        self._open: _Open | None = None
        self._ahead: deque[Found[Block]] = deque()
        self._pass_began = float("-inf")
        self._spread = False
        self._lock = threading.Lock()  # of what follows; never held while the store is asked
        self._pending: set[IPAddress] = set()
        self._lost = self._contended = False

    def take(self, pool: Found[Pool], node: Found[Node]) -> Spot | None:
        """A free address, kept for the caller until `settle`; None when neither address nor block is left.

        Blocking: it reads the store, and claims a block, when nothing that it knows of is free.

        Raises:
            Stale: the pool or the node is not what it was.
        """
        with self._turn:
            self._start_over_if_lost()
            spot = self._pick(pool.value)
            if spot is None and self._monotonic() - self._pass_began >= PASS_S:
                spot = self._pass(pool.value)
            # A block that was given back may be full of addresses that cool down: then the next one.
            while spot is None and (cidr := self._claims.claim_next(pool, node)):
                self._append(cidr)
                spot = self._pick(pool.value)
            if spot is None:
                spot = self._pass(pool.value)
            if spot is not None:
                with self._lock:
                    self._pending.add(spot.address)
            return spot

    def settle(self, address: IPAddress) -> None:
        """The caller's commit is over, however it went."""
        with self._lock:
            self._pending.discard(address)

    def mistrust(self, *, contended: bool) -> None:
        """A pick was lost: read again before the next. `contended` when it was lost to another controller."""
        with self._lock:
            self._lost = True
            self._contended |= contended

    def _start_over_if_lost(self) -> None:
        with self._lock:
            lost, self._lost = self._lost, False
            contended, self._contended = self._contended, False
        if lost:
            self._open = None
            self._ahead.clear()
            self._pass_began = float("-inf")
            self._spread |= contended

    def _pick(self, pool: Pool) -> Spot | None:
        while self._open is None or not self._open.free:
            if not self._ahead:
                return None
            block = self._ahead.popleft()
            self._open = _Open(block, self._free_in(pool, block.value.cidr))
        free = self._open.free
        index = random.randrange(len(free)) if self._spread else -1  # noqa: S311
        return Spot(free.pop(index), self._open.block)

    def _pass(self, pool: Pool) -> Spot | None:
        """Begin to look through all blocks of the node."""
        mine = scan(self._store, keys.NODE_BLOCKS, self._node)
        self._pass_began = self._monotonic()
        self._open = None
        self._ahead = deque(found for found in mine.items if found.value.pool == self._pool)
        return self._pick(pool)

    def _append(self, cidr: IPNetwork) -> None:
        """A block was claimed, which nobody else fills yet."""
        self._spread = False
        found = read(self._store, keys.NODE_BLOCKS, self._node, cidr)
        if found is None:
            raise Stale
        self._ahead.append(found)

    def _free_in(self, pool: Pool, block: IPNetwork) -> list[IPAddress]:
        with self._lock:  # first: what is settled after this is in what the store tells
            taken = set(self._pending)
        taken.update(held.address for held in scan(self._store, keys.ADDRESSES, pool.name, block).values)
        return [address for address in blocks.assignable(pool, block) if address not in taken][::-1]
