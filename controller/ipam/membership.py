"""How a new endpoint is on a segment: what its pools say."""

from __future__ import annotations

from collections.abc import Sequence

from store.model import Membership, Pool


def membership(pools: Sequence[Pool]) -> Membership | None:
    """Of the segment that the pools of an endpoint are of; None when they are of none."""
    segment = pools[0].segment
    if segment is None:
        return None
    gateways = tuple([pool.gateway for pool in pools if pool.gateway is not None])
    return Membership(segment=segment, networks=tuple([pool.cidr for pool in pools]), gateways=gateways)
