"""What the plan of a pool is made of, read from the store.

Each as of its own moment: what changes meanwhile is found by the request that meets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from controller.ipam.plan import Facts, concerned
from controller.reading import find, read_many, scan
from store import keys
from store.client import Store
from store.model import Address, Block, Drained


def survey(store: Store, name: str) -> Facts:
    """What the plan of a pool needs. Blocking. Raises `Problem` where there is no such pool."""
    find(store, keys.POOLS, name)
    lost = {each.node for each in scan(store, keys.LOST).values}
    drained = {each.name for each in scan(store, keys.DRAINS, Drained.NODE.value).values}
    held, claims = _held(store, [name])
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
    more_held, more_claims = _held(store, sorted(others))
    return replace(facts, claims=claims + more_claims, held=held + more_held, endpoints=endpoints)


def _held(store: Store, pools: Sequence[str]) -> tuple[list[Address], list[Block]]:
    """What is held of these pools, and then who has which block."""
    held = [each for pool in pools for each in scan(store, keys.ADDRESSES, pool).values]
    return held, [each for pool in pools for each in scan(store, keys.BLOCKS, pool).values]
