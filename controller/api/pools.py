"""/v1/pools: the ranges that addresses are assigned from."""

from __future__ import annotations

from typing import Any

from controller.answer import Answer
from controller.api import listing
from controller.api.noun import Noun, Operation, Patch, has_name, made
from controller.api.parameter import named
from controller.parts import parts
from controller.pool_fit import as_made
from controller.precondition import demanded_match, match
from controller.principal import principal
from controller.reading import find
from controller.validation import merge, replaced
from controller.watching.topic import Topic
from store import keys
from store.model import Pool

pools = Noun()

FILTERS = (named("tenant", "only pools of this tenant alone", "shop"),)
MUTABLE = (
    "cidr",
    "advertise",
    "cooldown_s",
    "reserved",
    "disabled",
    "priority",
    "tenant",
    "node_selector",
    "borrow",
    "communities",
)


@pools.operation(
    Operation(
        "POST", "/v1/pools", "Create a pool", {201: Pool, 200: Pool}, body=Pool, refuses=(409,), foreseen=True
    )
)
def create_pool(pool: Pool) -> Answer:
    """201 when new; 200 when an equal one is there."""
    return made("pools", *parts().registry.create_pool(pool))


@pools.operation(
    Operation(
        "GET",
        "/v1/pools",
        "List pools",
        {200: Pool},
        query=(*listing.PAGING, *FILTERS),
        topic=Topic(keys.POOLS),
    )
)
def list_pools() -> Answer:
    """Every pool, by name."""
    return listing.stored(keys.POOLS, filters=FILTERS)


@pools.operation(Operation("GET", "/v1/pools/{name}", "Read a pool", {200: Pool, 304: None}, refuses=(404,)))
def get_pool(name: str) -> Answer:
    """One pool."""
    found = find(parts().store, keys.POOLS, name, principal().scope)
    return Answer(found.value, revision=found.mod_revision)


@pools.operation(
    Operation(
        "PUT",
        "/v1/pools/{name}",
        "Create or replace a pool",
        {200: Pool, 201: Pool},
        body=Pool,
        refuses=(409,),
        matches=True,
        foreseen=True,
    )
)
def put_pool(name: str, pool: Pool) -> Answer:
    """What it becomes is all in the body, but the block size; the precondition says of which state."""
    has_name(name, pool.name)
    registry = parts().registry
    return made(
        "pools",
        *registry.replace(
            keys.POOLS,
            name,
            lambda: registry.create_pool(pool),
            lambda stored: replaced(stored, as_made(parts().store, pool, stored), MUTABLE),
            demanded_match(),
        ),
    )


@pools.operation(
    Operation(
        "PATCH",
        "/v1/pools/{name}",
        "Change a pool",
        {200: Pool},
        body=Patch(Pool, MUTABLE),
        refuses=(404, 409),
        matches=True,
        foreseen=True,
    )
)
def change_pool(name: str, patch: dict[str, Any]) -> Answer:
    """All but its name and block size. Its range can only grow; what is assigned stays assigned."""
    changed = parts().registry.change(
        keys.POOLS, name, lambda pool: merge(Pool, pool, patch, MUTABLE), match()
    )
    return Answer(changed.value, revision=changed.mod_revision)


@pools.operation(
    Operation(
        "DELETE",
        "/v1/pools/{name}",
        "Delete a pool",
        {204: None},
        refuses=(404, 409),
        matches=True,
        foreseen=True,
    )
)
def delete_pool(name: str) -> Answer:
    """Only while no address of it is assigned or cools down."""
    parts().retirer.delete_pool(name, match())
    return Answer(status=204)
