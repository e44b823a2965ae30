"""Claiming blocks for nodes: the lowest unclaimed one, decided by the transaction that creates its key.

Which blocks are claimed is remembered per pool as a hint, so that a claim in a pool of ten thousand
blocks reads none of them, nor passes by those that are claimed. The hint is read again when it proves wrong,
and before "none is left" is said.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from controller.ipam import blocks, units
from controller.ipam.committer import Committer
from controller.reading import Found, scan
from controller.turn import Turn
from controller.waiting import wait
from store import keys
from store.client import Store
from store.errors import StoreError
from store.model import Block, IPNetwork, Node, Pool

ATTEMPTS = 32
SPREAD = 8
"""After a lost claim, one of so many of the lowest unclaimed blocks is tried."""


class Stale(Exception):
    """Something that was read is not what it was: read again and start over."""


@dataclass(slots=True)
class _Hint:
    """The numbers of the claimed blocks of a pool, as it was at a revision."""

    mod_revision: int
    claimed: set[int]
    lowest: int = 0
    """Below this one there is none to claim."""

    def unclaimed(self, pool: Pool, count: int) -> list[IPNetwork]:
        """Up to `count` blocks to claim, the lowest."""
        found = list(islice(blocks.unclaimed(pool, self.claimed, self.lowest), count))
        if found:
            self.lowest = blocks.block_index(pool, found[0].network_address)
        return found


class Claims:
    """Claims blocks. Safe to call from many threads."""

    def __init__(self, store: Store, committer: Committer) -> None:
        self._store = store
        self._committer = committer
        self._turns: dict[str, Turn] = {}
        self._hints: dict[str, _Hint] = {}

    def claim_next(self, pool: Found[Pool], node: Found[Node], wanted: int = 1) -> list[Found[Block]]:
        """Claim up to `wanted` of the lowest unclaimed blocks for a node; an empty list when there is none.

        Raises:
            Stale: the pool or the node has changed or gone, or others keep winning.
        """
        spread = wanted
        for _ in range(ATTEMPTS):
            chosen = self._choose(pool, wanted, spread)
            if not chosen:
                return []
            if claimed := self._claim_chosen(pool, node, chosen):
                return claimed
            spread = SPREAD * wanted
        raise Stale

    def claim(self, pool: Found[Pool], node: Found[Node], *cidrs: IPNetwork) -> list[Found[Block]]:
        """Claim these blocks for a node; those that nobody had. None if pool or node is not as it was read.

        What is returned are the node's copies, as they were written.
        """
        made = [Block(cidr=cidr, pool=pool.value.name, node=node.value.name) for cidr in cidrs]
        futures = self._committer.submit_all([units.claim(pool, node, block) for block in made])
        claimed = []
        for block, future in zip(made, futures, strict=True):
            if revision := wait(future):
                claimed.append(Found(block, keys.NODE_BLOCKS.key(block.node, block.cidr), revision))
        self._remember(pool.value, [found.value.cidr for found in claimed])
        return claimed

    def _choose(self, pool: Found[Pool], wanted: int, spread: int) -> list[IPNetwork]:
        """Blocks to try, which nobody else here tries: so that many nodes claim in one transaction."""
        with self._turns.setdefault(pool.value.name, Turn()):
            candidates = self._candidates(pool, spread)
            chosen = sorted(random.sample(candidates, min(wanted, len(candidates))))
            self._remember(pool.value, chosen)
        return chosen

    def _claim_chosen(
        self, pool: Found[Pool], node: Found[Node], chosen: Sequence[IPNetwork]
    ) -> list[Found[Block]]:
        """Those that nobody had. Raises `Stale` when there is none because pool or node is another one."""
        try:
            claimed = self.claim(pool, node, *chosen)
            if not claimed:
                self._check(pool, node)
        except (StoreError, Stale):
            self._hints.pop(pool.value.name, None)  # it says that they are claimed
            raise
        return claimed

    def _remember(self, pool: Pool, claimed: Iterable[IPNetwork]) -> None:
        hint = self._hints.get(pool.name)
        if hint is not None:
            hint.claimed.update(blocks.block_index(pool, cidr.network_address) for cidr in claimed)

    def _candidates(self, pool: Found[Pool], count: int) -> list[IPNetwork]:
        hint = self._hints.get(pool.value.name)
        if hint is not None and hint.mod_revision == pool.mod_revision:
            found = hint.unclaimed(pool.value, count)
            if found:
                return found
        self._hints[pool.value.name] = hint = _Hint(pool.mod_revision, self._read(pool.value))
        return hint.unclaimed(pool.value, count)

    def _check(self, pool: Found[Pool], node: Found[Node]) -> None:
        for found in (pool, node):
            now = self._store.get(found.key)
            if now is None or now.mod_revision != found.mod_revision:
                raise Stale

    def _read(self, pool: Pool) -> set[int]:
        return {
            blocks.block_index(pool, block.cidr.network_address)
            for block in scan(self._store, keys.BLOCKS, pool.name).values
        }
