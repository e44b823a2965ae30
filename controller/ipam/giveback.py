"""Blocks that have become empty go back to their pool, so that other nodes can claim them.

A block is given back only when it was found empty for minutes, so that a node whose endpoints come and go
does not claim and give back in turn; in a pool that has no other block left, when it was found empty twice.
The transaction compares that the claim is the one that was looked at and that no address of the block has
a key, none that cools down either; an assignment compares the claim. So of the two that meet, one fails.

A block that is announced by somebody whose speaker does not live stays (`controller.ipam.withdrawal`): nobody
would withdraw it, and routers would share the packets of whoever claims it next between both nodes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from controller.ipam import blocks, units
from controller.ipam.committer import Committer
from controller.ipam.window import Window
from controller.ipam.withdrawal import withdrawals
from controller.reading import Found, scan
from controller.rescan import Rescan
from store import keys
from store.client import Store
from store.model import Block, Pool

IDLE_S = 300.0
"""Seconds for which a block has to be empty while its pool has others."""
AT_ONCE = 250
"""Blocks that are asked for at one look: of each of them every edge is asked whose speaker does not live."""


class EmptyBlocks:
    """Gives empty blocks back. One thread at a time; many controllers at once do no harm."""

    def __init__(
        self,
        store: Store,
        committer: Committer,
        *,
        idle_s: float = IDLE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._committer = committer
        self._idle_s = idle_s
        self._monotonic = monotonic
        self._claims = Rescan(store, keys.BLOCKS)
        self._nodes = Rescan(store, keys.NODES)
        self._since: dict[tuple[str, int], float] = {}
        """Since when each claim was found empty at every look."""
        self._turn = 0
        """Where among the idle claims the next look begins: none waits for ever behind those that stay."""

    def give_back(self) -> list[Block]:
        """Look at every claim once; returns those that were given back. Blocking."""
        claims = self._claims.look()
        held = self._store.count(
            [keys.ADDRESSES.prefix(found.value.pool, found.value.cidr) for found in claims]
        )
        short = self._short(found.value for found in claims)
        now = self._monotonic()
        before, self._since = self._since, {}
        idle: list[Found[Block]] = []
        for claim, addresses in zip(claims, held, strict=True):
            if addresses:
                continue
            known = (claim.key, claim.mod_revision)
            since = self._since[known] = before.get(known, now)
            if now - since >= self._idle_s or (known in before and claim.value.pool in short):
                idle.append(claim)
        return self._give_back(idle)

    def _give_back(self, claims: Sequence[Found[Block]]) -> list[Block]:
        if not claims:
            return []
        start = self._turn % len(claims)
        some = [*claims[start:], *claims[:start]][:AT_ONCE]
        self._turn = start + len(some)
        edges = [found.value.name for found in self._nodes.look() if found.value.edge]
        owners = {claim.value.prefix: claim.value.node for claim in some}
        withdrawn = withdrawals(self._store, owners, edges)
        window: Window[Block] = Window(self._committer)
        for claim in some:
            if (proof := withdrawn.get(claim.value.prefix)) is not None:
                window.submit(units.give_back([claim], [proof]), claim.value)
        return window.drain()

    def _short(self, claims: Iterable[Block]) -> set[str]:
        """The pools without an unclaimed block."""
        pools: dict[str, Pool] = {pool.name: pool for pool in scan(self._store, keys.POOLS).values}
        claimed: dict[str, set[int]] = {name: set() for name in pools}
        for block in claims:
            if block.pool in pools:
                index = blocks.block_index(pools[block.pool], block.cidr.network_address)
                claimed[block.pool].add(index)
        return {
            name for name, pool in pools.items() if next(blocks.unclaimed(pool, claimed[name]), None) is None
        }
