"""Blocks that were the node's and that peers may still send to: their blackholes stay until that ends.

A block that is given back goes down in the order of the architecture: its readiness first, then, once no
peer is told of it any more, its blackhole. Without it, what still comes for the block would go back to the
router by the default route, to and fro.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

from agents.node.plan import SETTLE_S, WITHDRAW_WAIT_S
from intent.snapshot import Snapshot
from store.model import Block, IPNetwork


@dataclass(slots=True)
class _Leaving:
    block: Block
    since: float
    told_at: float | None = None


class LeavingBlocks:
    """What one look at the blocks hands to the next. A restart forgets what was leaving just then."""

    def __init__(self) -> None:
        self._mine: Mapping[IPNetwork, Block] = {}
        self._leaving: dict[IPNetwork, _Leaving] = {}

    def look(
        self, snapshot: Snapshot, advertised: Container[IPNetwork], now: float
    ) -> dict[IPNetwork, Block]:
        """The blocks whose blackholes stay for now, though they are not the node's any more.

        Args:
            snapshot: what should be.
            advertised: what peers were told of at the last look.
            now: seconds, of any monotonic clock.
        """
        for cidr in self._mine.keys() - snapshot.blocks.keys():
            told = now if cidr in advertised else None
            self._leaving[cidr] = _Leaving(self._mine[cidr], now, told)
        for cidr, one in self._leaving.items():
            if cidr in snapshot.advertised:
                one.told_at = now
        self._leaving = {
            cidr: one
            for cidr, one in self._leaving.items()
            if cidr not in snapshot.blocks and _drains(one, now)
        }
        self._mine = dict(snapshot.blocks)
        return {cidr: one.block for cidr, one in self._leaving.items()}


def _drains(one: _Leaving, now: float) -> bool:
    told = one.told_at is not None and now - one.told_at < SETTLE_S
    return told and now - one.since < WITHDRAW_WAIT_S
