"""/v1/pools/{name}/usage and /plan: what a pool's addresses are used for, and how it could be compacted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from controller.answer import Answer
from controller.api.noun import Noun, Operation
from controller.ipam.plan import Facts, Plan, concerned, plan
from controller.ipam.usage import PoolUsage, usage
from controller.reading import find, read_many, scan
from controller.services import services
from store import keys
from store.model import Address, Block, Drained, Pool

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
    """Nothing is changed."""
    pool, claims, held = _read(name)
    return Answer(usage(pool, claims, held, services().clock()))


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
    return Answer(plan(name, _facts(name)))


def _read(name: str) -> tuple[Pool, list[Block], list[Address]]:
    """As of one moment each: claims are read after addresses, so that no address is in no block."""
    store = services().store
    pool = find(store, keys.POOLS, name).value
    held = scan(store, keys.ADDRESSES, name).values
    return pool, scan(store, keys.BLOCKS, name).values, held


def _facts(name: str) -> Facts:
    """Likewise, each as of its own moment: what changes meanwhile is found by the request that meets it."""
    store = services().store
    find(store, keys.POOLS, name)
    lost = {each.node for each in scan(store, keys.LOST).values}
    drained = {each.name for each in scan(store, keys.DRAINS, Drained.NODE.value).values}
    held, claims = _held([name])
    facts = Facts(
        pools=scan(store, keys.POOLS),
        nodes={node.name: node for node in scan(store, keys.NODES).values if node.name not in lost | drained},
        tenants={tenant.name: tenant for tenant in scan(store, keys.TENANTS).values},
        claims=claims,
        held=held,
    )
    ids = [(each,) for each in concerned(name, facts)]
    found = read_many(store, keys.ENDPOINTS, ids)
    endpoints = [found[each] for each in ids if each in found and name in found[each].pools]
    others = {pool for each in endpoints for pool in each.pools} - {name}
    more_held, more_claims = _held(sorted(others))
    return replace(facts, claims=claims + more_claims, held=held + more_held, endpoints=endpoints)


def _held(pools: Sequence[str]) -> tuple[list[Address], list[Block]]:
    """What is held of these pools, and then who has which block."""
    store = services().store
    held = [each for pool in pools for each in scan(store, keys.ADDRESSES, pool).values]
    return held, [each for pool in pools for each in scan(store, keys.BLOCKS, pool).values]
