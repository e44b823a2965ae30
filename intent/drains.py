"""What the drain of a node or of a peer means for what is announced."""

from __future__ import annotations

from collections.abc import Mapping

from store.model import Drain, Drained, DrainStage

Drains = Mapping[tuple[Drained, str], Drain]
"""The drains by what is drained."""

GRACEFUL_SHUTDOWN = "65535:0"
"""RFC 8326 §4.1"""


def stage(drains: Drains, *, peer: str, nodes: frozenset[str]) -> DrainStage | None:
    """How far the routes of some nodes for a peer are drained; None when they are not.

    Args:
        nodes: whose the routes are, and who announces them. The one that is furthest decides.
    """
    places = [(Drained.PEER, peer), *((Drained.NODE, node) for node in nodes)]
    stages = [drains[place].stage for place in places if place in drains]
    return max(stages, key=list(DrainStage).index, default=None)
