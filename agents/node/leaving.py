"""What a node ceases to announce, and peers may still send to: it stays until that ends.

A block that is given back, a range that is not announced as one any more, or a service whose last healthy
endpoint is gone, goes down in the order of the
architecture: its readiness first, then, once no peer is told of it any more, its route and flows. Without
a block's blackhole, what still comes for the block would go back to the router by the default route, to and
fro.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from agents.node.plan import SETTLE_S, WITHDRAW_WAIT_S
from intent.snapshot import Snapshot
from store.model import IPNetwork

V = TypeVar("V")


@dataclass(slots=True)
class _Leaving(Generic[V]):
    value: V
    since: float
    told_at: float | None = None


class Leaving(Generic[V]):
    """What one look hands to the next. A restart forgets what was leaving just then."""

    def __init__(self) -> None:
        self._mine: Mapping[IPNetwork, V] = {}
        self._leaving: dict[IPNetwork, _Leaving[V]] = {}

    def look(
        self, mine: Mapping[IPNetwork, V], snapshot: Snapshot, advertised: Container[IPNetwork], now: float
    ) -> dict[IPNetwork, V]:
        """What stays for now, by prefix, though it is not among what is the node's any more.

        Args:
            mine: what the node is to announce.
            snapshot: what should be.
            advertised: what peers were told of at the last look.
            now: seconds, of any monotonic clock.
        """
        for prefix in self._mine.keys() - mine.keys():
            told = now if prefix in advertised else None
            if snapshot.edged:  # what edge nodes announce for this one is not in its sight
                told = now + WITHDRAW_WAIT_S
            self._leaving[prefix] = _Leaving(self._mine[prefix], now, told)
        for prefix, one in self._leaving.items():
            if prefix in snapshot.advertised:
                one.told_at = now
        self._leaving = {
            prefix: one for prefix, one in self._leaving.items() if prefix not in mine and _drains(one, now)
        }
        self._mine = dict(mine)
        return {prefix: one.value for prefix, one in self._leaving.items()}


def _drains(one: _Leaving[V], now: float) -> bool:
    told = one.told_at is not None and now - one.told_at < SETTLE_S
    return told and now - one.since < WITHDRAW_WAIT_S
