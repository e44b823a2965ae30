"""The free addresses of one node in one pool, as far as this controller knows.

A hint: the transaction that creates the address key is what decides. Addresses that this controller is
about to commit are kept out, so that its own requests never meet; those that another controller took
are found out by losing. Who lost reads the block again and goes on in the middle of what is free there, so
that of two controllers that fill one block each has a half to itself.

The node's blocks that are not full are looked through one after the other, each read when its turn comes,
and then a new one is claimed. That one is not read, unless an address was lost some seconds ago: what no
node had holds only services' addresses, and what cools down after a node that was deleted. Addresses that
came free meanwhile are found by the next pass, which begins some seconds later and counts what each block
holds: those that are full are not read. When no block is left to claim and the pool allows it, blocks of
other nodes are looked through in the same way.

First in, first out: in a block the search begins behind the address that was assigned last, and comes
back to those before it at the end. Which one that was the keys tell, by the revision that created them:
nothing is written for it, and it survives a restart. An address whose key is gone cannot be seen, so
with no cooldown, or when all that was assigned later is free again, the order begins anew.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from controller.ipam import blocks
from controller.ipam.claims import Claims
from controller.reading import Found, scan
from controller.turn import Turn
from store import keys
from store.client import KeyValue, Store
from store.model import Block, IPAddress, IPNetwork, Node, Pool

PASS_S = 10.0
"""Seconds between two passes, unless the pool has no block left."""

CLAIMED_AT_ONCE = 32
"""Blocks; a transaction has room for so many claims and more."""


@dataclass(eq=False, slots=True)
class Spot:
    """An address to try, and the block it is in. No two picks are the same one."""

    address: IPAddress
    block: Found[Block]


@dataclass(slots=True)
class _Open:
    """A block and what is free in it, the next one last."""

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
        self._unread: set[IPNetwork] = set()
        """Of those ahead, blocks that are taken to hold nothing."""
        self._pass_began = self._exhausted = self._lost_at = float("-inf")
        self._shared = self._borrowing = False
        self._lock = threading.Lock()  # of what follows; never held while the store is asked
        self._pending: set[Spot] = set()
        self._unused: list[Spot] = []
        self._lost = self._contended = False
        self._revision = 0
        """Of the pool for which all this holds."""
        self._layout: tuple[object, ...] = ()
        """What of the pool all this depends on."""

    def take(
        self, pool: Found[Pool], node: Found[Node], count: int = 1, *, thorough: bool = True, more: int = 0
    ) -> list[Spot]:
        """Free addresses, kept for the caller until `settle` or `put_back`: `count`, or as many as there are.

        Blocking: it reads the store, and claims a block, when nothing that it knows of is free.

        Args:
            thorough: look again though there was none some seconds ago.
            more: so many will be taken after these, so that blocks are claimed for all of them at once.

        Raises:
            Stale: the pool or the node is not what it was.
        """
        with self._turn:
            if self._lost or self._contended or pool.mod_revision != self._revision:
                self._start_over_if_lost(pool)
            spots = self._take_unused(pool.value, count) if self._unused else []
            complete = False
            try:
                while (left := count - len(spots)) and (
                    found := self._kept(self._next(pool, node, thorough, left, left + more))
                    or self._take_unused(pool.value, left)  # put back while nothing else was found
                ):
                    spots += found
                complete = True
            finally:
                if not complete:
                    self.put_back(spots)
            return spots

    def settle(self, spots: Iterable[Spot]) -> None:
        """The caller's commit is over, however it went."""
        with self._lock:
            self._pending.difference_update(spots)

    def put_back(self, spots: Sequence[Spot]) -> None:
        """The caller did not use them, and wrote nothing."""
        with self._lock:
            self._pending.difference_update(spots)
            self._unused.extend(reversed(spots))

    def mistrust(self, *, contended: bool) -> None:
        """A pick was lost: read again before the next. `contended` when it was lost to another controller."""
        with self._lock:
            self._lost |= not contended
            self._contended |= contended
            self._lost_at = self._monotonic()

    def _start_over_if_lost(self, pool: Found[Pool]) -> None:
        layout = (pool.value.cidr, pool.value.block_prefixlen, pool.value.reserved, pool.value.borrow)
        with self._lock:
            # What was free in the pool as it was may be reserved now, or be of a block of another node.
            lost, self._lost = self._lost or layout != self._layout, False
            self._revision, self._layout = pool.mod_revision, layout
            contended, self._contended = self._contended, False
            if lost or contended:
                self._unused.clear()
                self._unread.clear()
        self._shared |= contended
        if lost:
            self._start_over()
        elif contended and self._open is not None:
            self._ahead.appendleft(self._open.block)
            self._open = None

    def _start_over(self) -> None:
        self._look_through(())
        self._pass_began = self._exhausted = float("-inf")
        self._borrowing = False

    def _kept(self, spots: list[Spot]) -> list[Spot]:
        with self._lock:
            self._pending.update(spots)
        return spots

    def _take_unused(self, pool: Pool, count: int) -> list[Spot]:
        found: list[Spot] = []
        with self._lock:
            while self._unused and len(found) < count:
                spot = self._unused.pop()
                if not blocks.is_reserved(pool, spot.address):  # it may have been put back since
                    found.append(spot)
            self._pending.update(found)
        return found

    def _next(
        self, pool: Found[Pool], node: Found[Node], thorough: bool, count: int, in_all: int
    ) -> list[Spot]:
        """Up to `count`, and one at least if there is one; `in_all` are wanted now and soon."""
        if self._borrowing and self._is_due():
            self._start_over()  # what is near comes first
        if spots := self._pick(pool.value, count):
            return spots
        due = self._is_due()
        if not thorough and self._monotonic() - self._exhausted < PASS_S:
            return []
        if due and (spots := self._pass(pool.value, count)):
            return spots
        # A block that was given back may be full of addresses that cool down: then the next one.
        wanted = 1 + (in_all - 1) // (1 << (pool.value.cidr.max_prefixlen - pool.value.block_prefixlen))
        while claimed := self._claims.claim_next(pool, node, min(wanted, CLAIMED_AT_ONCE)):
            self._ahead.extend(claimed)
            if self._monotonic() - self._lost_at >= PASS_S:
                self._unread.update(found.value.cidr for found in claimed)
            self._shared = False  # nobody else fills them yet
            if spots := self._pick(pool.value, count):
                return spots
        if spots := self._pass(pool.value, count):
            return spots
        if pool.value.borrow and (spots := self._borrow(pool.value, count)):
            return spots
        self._exhausted = self._monotonic()
        return []

    def _is_due(self) -> bool:
        return self._monotonic() - self._pass_began >= PASS_S

    def _pick(self, pool: Pool, count: int) -> list[Spot]:
        """Up to `count` of one block."""
        while self._open is None or not self._open.free:
            if not self._ahead:
                return []
            block = self._ahead.popleft()
            free = self._free_in(pool, block.value.cidr)
            # Another controller goes on where the last address was assigned.
            half = len(free) // 2 if self._shared else 0
            self._open = _Open(block, free[half:] + free[:half])
        block, free = self._open.block, self._open.free
        return [Spot(free.pop(), block) for _ in range(min(count, len(free)))]

    def _pass(self, pool: Pool, count: int) -> list[Spot]:
        """Begin to look through all blocks of the node that are not full."""
        found = scan(self._store, keys.NODE_BLOCKS, self._node).items
        mine = [each for each in found if each.value.pool == self._pool]
        held = self._store.count([keys.ADDRESSES.prefix(self._pool, each.value.cidr) for each in mine])
        self._pass_began, self._borrowing = self._monotonic(), False
        self._look_through(
            each for each, number in zip(mine, held, strict=True) if number < each.value.cidr.num_addresses
        )
        return self._pick(pool, count)

    def _borrow(self, pool: Pool, count: int) -> list[Spot]:
        """Begin to look through the blocks of other nodes, in any order: others that borrow do so too."""
        others = [each for each in scan(self._store, keys.BLOCKS, self._pool).items if self._is_foreign(each)]
        random.shuffle(others)
        self._borrowing = True
        self._look_through(others)
        return self._pick(pool, count)

    def _look_through(self, claims: Iterable[Found[Block]]) -> None:
        self._open = None
        self._ahead = deque(claims)
        self._unread.clear()

    def _is_foreign(self, block: Found[Block]) -> bool:
        return block.value.node != self._node

    def _free_in(self, pool: Pool, block: IPNetwork) -> list[IPAddress]:
        with self._lock:  # first: what is settled after this is in what the store tells
            pending = [int(spot.address) for spot in (*self._pending, *self._unused)]
        first, last = int(block.network_address), int(block.broadcast_address)
        taken = {number for number in pending if first <= number <= last}
        held: Sequence[KeyValue] = ()
        if block not in self._unread:
            held = self._store.range(keys.ADDRESSES.prefix(pool.name, block)).items
        self._unread.discard(block)
        if len(held) == block.num_addresses:
            return []
        taken.update(int(_address_of(item)) for item in held)
        return list(blocks.assignable(pool, block, taken, _last_assigned(held)))[::-1]


def _address_of(item: KeyValue) -> IPAddress:
    # The last part of the key; not decoded, for a value that nobody can read is not free either.
    return ip_address(item.key.rpartition("/")[2])


def _last_assigned(held: Sequence[KeyValue]) -> IPAddress | None:
    """The address whose key was created last: a cooldown and a move write over it and do not create it."""
    last = max((item.create_revision for item in held), default=0)
    return max((_address_of(item) for item in held if item.create_revision == last), default=None)
