"""/v1/pools/{name}/usage: what a pool's addresses are used for. Read only."""

from __future__ import annotations

from controller.api.noun import Answer, Noun, Operation
from controller.ipam.usage import PoolUsage, usage
from controller.reading import find, scan
from controller.services import services
from store import keys

pool_usage = Noun("pool_usage")


@pool_usage.operation(
    Operation(
        "GET",
        "/v1/pools/{name}/usage",
        "Count a pool's addresses by block and node, and forecast its exhaustion",
        {200: PoolUsage},
        refuses=(404,),
    )
)
def get_usage(name: str) -> Answer:
    """As of one moment each: claims are read after addresses, so that no address is in no block."""
    parts = services()
    pool = find(parts.store, keys.POOLS, name).value
    held = scan(parts.store, keys.ADDRESSES, name).values
    claims = scan(parts.store, keys.BLOCKS, name).values
    return Answer(usage(pool, claims, held, parts.clock()))
