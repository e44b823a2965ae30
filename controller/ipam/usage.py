"""What a pool's addresses are used for: counts of the pool, and of each block by node. A pure function.

In the pool and in each block `assigned + cooling + reserved + free` is the size. An address that was
reserved after it had been assigned counts as assigned.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import BaseModel

from controller.ipam import blocks
from controller.ipam.forecast import Forecast, forecast
from controller.ipam.reserved import Reserved
from store.model import Address, AddressState, Block, IPNetwork, Pool
from store.model.value import Network


class Counts(BaseModel):
    """The addresses of a range, by what they are."""

    assigned: int
    cooling: int
    reserved: int
    """Never assigned: reserved ranges, the pool's first and its last."""
    free: int


class BlockUsage(Counts):
    """A claimed block."""

    cidr: Network


class NodeUsage(BaseModel):
    """What one node has claimed, lowest block first."""

    node: str
    blocks: list[BlockUsage]


class BlockCounts(BaseModel):
    """How many blocks the pool is cut into, and how many are claimed."""

    total: int
    claimed: int


class PoolUsage(Counts):
    """What a pool's addresses are used for, and when it will be full."""

    pool: str
    cidr: Network
    size: int
    assignable: int
    """All but those that are reserved."""
    blocks: BlockCounts
    nodes: list[NodeUsage]
    forecast: Forecast


def usage(pool: Pool, claims: Iterable[Block], held: Sequence[Address], now: datetime) -> PoolUsage:
    """The use of a pool.

    Args:
        claims: the blocks of the pool that are claimed.
        held: the addresses of the pool that are not free.
    """
    reserved = Reserved(pool)
    by_block: dict[int, list[Address]] = defaultdict(list)
    for each in held:
        by_block[blocks.block_index(pool, each.address)].append(each)
    nodes: dict[str, list[BlockUsage]] = defaultdict(list)
    for claim in sorted(claims, key=lambda block: int(block.cidr.network_address)):
        inside = by_block[blocks.block_index(pool, claim.cidr.network_address)]
        counts = _counts(reserved, claim.cidr, inside)
        nodes[claim.node].append(BlockUsage(cidr=claim.cidr, **counts.model_dump()))
    whole = _counts(reserved, pool.cidr, held)
    since = [each.since for each in held if each.state is AddressState.ASSIGNED]
    return PoolUsage(
        pool=pool.name,
        cidr=pool.cidr,
        size=pool.cidr.num_addresses,
        assignable=pool.cidr.num_addresses - whole.reserved,
        blocks=BlockCounts(total=blocks.block_count(pool), claimed=sum(map(len, nodes.values()))),
        nodes=[NodeUsage(node=node, blocks=of_node) for node, of_node in sorted(nodes.items())],
        forecast=forecast(since, whole.free, now),
        **whole.model_dump(),
    )


def _counts(reserved: Reserved, within: IPNetwork, held: Sequence[Address]) -> Counts:
    states = Counter(each.state for each in held)
    never = reserved.count(within) - sum(each.address in reserved for each in held)
    return Counts(
        assigned=states[AddressState.ASSIGNED],
        cooling=states[AddressState.COOLDOWN],
        reserved=never,
        free=within.num_addresses - never - len(held),
    )
