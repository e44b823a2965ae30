"""Pools that are announced as one prefix: by which nodes, and what goes with it.

A pool that says `summary` belongs to the nodes that its selector names, a rack. Each of them that has a block
of it announces its whole range; blocks and addresses are for the router alone, which is told not to pass them
on (NO_EXPORT). An address that a node outside the rack holds is announced for everybody: it is the exception.

Whoever attracts the whole range has to end what nobody holds, and still reach what other nodes hold. So the
range is a blackhole in the main table, for what routers send; what the node and its endpoints send goes by
way of the routers, but for the prefixes that are the node's own.
"""

from __future__ import annotations

from collections.abc import Mapping

from intent.snapshot import Snapshot
from store.model import Advertise, IPAddress, IPNetwork, Node, Pool

NO_EXPORT = "65535:65281"
"""RFC 1997"""


def is_of(pool: Pool, node: Node | None) -> bool:
    """Whether a node is one of those that a pool's selector names."""
    labels = node.labels if node is not None else {}
    return all(labels.get(key) == value for key, value in pool.node_selector.items())


def summaries(snapshot: Snapshot) -> Mapping[IPNetwork, Pool]:
    """The ranges that the node announces as one. A pool of one block is announced as that block."""
    mine = {block.pool for block in snapshot.blocks.values()}
    return {
        pool.cidr: pool
        for name in sorted(mine)
        if (pool := snapshot.pools.get(name)) is not None
        and _is_summed(pool, snapshot.node)
        and routers(snapshot, pool.cidr.version)
    }


def routers(snapshot: Snapshot, version: int) -> tuple[IPAddress, ...]:
    """By which next hops the node reaches what others hold: its peers of one IP version, each once."""
    found = {peer.address for peer in snapshot.peers.values() if peer.address.version == version}
    return tuple(sorted(found))


def kept_from_others(pool: Pool, node: Node | None) -> tuple[str, ...]:
    """The communities that keep a prefix inside a pool's range from whoever has the range."""
    return (NO_EXPORT,) if _is_summed(pool, node) else ()


def _is_summed(pool: Pool, node: Node | None) -> bool:
    """Whether a node announces the range of a pool, once it has a block of it."""
    several = pool.block_prefixlen > pool.cidr.prefixlen
    return pool.advertise is Advertise.SUMMARY and several and is_of(pool, node)
