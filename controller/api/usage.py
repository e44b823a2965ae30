"""/v1/pools/{name}/usage and /plan: what a pool's addresses are used for, and how it could be compacted."""

from __future__ import annotations

from controller.answer import Answer
from controller.api.noun import Noun, Operation
from controller.ipam.plan import Plan, plan
from controller.ipam.survey import survey
from controller.ipam.usage import PoolUsage, usage
from controller.parts import parts
from controller.reading import find, scan
from store import keys
from store.model import Address, Block, Pool

pool_usage = Noun()


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
    """Nothing is changed."""
    pool, claims, held = _read(name)
    return Answer(usage(pool, claims, held, parts().clock()))


@pool_usage.operation(
    Operation(
        "GET",
        "/v1/pools/{name}/plan",
        "List what would make a pool less fragmented",
        {200: Plan},
        refuses=(404,),
    )
)
def get_plan(name: str) -> Answer:
    """Nothing is changed: what is listed is for people to do, or not."""
    return Answer(plan(name, survey(parts().store, name)))


def _read(name: str) -> tuple[Pool, list[Block], list[Address]]:
    """As of one moment each: claims are read after addresses, so that no address is in no block."""
    store = parts().store
    pool = find(store, keys.POOLS, name).value
    held = scan(store, keys.ADDRESSES, name).values
    return pool, scan(store, keys.BLOCKS, name).values, held
