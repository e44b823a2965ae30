"""/v1/pools: the ranges that addresses are assigned from."""

from __future__ import annotations

from typing import Any

from controller.api import listing
from controller.api.noun import Answer, Noun, Operation, Patch
from controller.reading import find
from controller.services import services
from controller.validation import merge
from store import keys
from store.model import Pool

pools = Noun("pools")

MUTABLE = ("advertise", "cooldown_s")


@pools.operation(
    Operation("POST", "/v1/pools", "Create a pool", {201: Pool, 200: Pool}, body=Pool, refuses=(409,))
)
def create_pool(pool: Pool) -> Answer:
    """201 when new; 200 when an equal one is there."""
    stored, new = services().registry.create_pool(pool)
    return Answer(stored, 201 if new else 200, f"/v1/pools/{stored.name}")


@pools.operation(Operation("GET", "/v1/pools", "List pools", {200: Pool}, query=listing.PAGING))
def list_pools() -> Answer:
    """Every pool, by name."""
    found = listing.paged(keys.POOLS)
    return listing.render(found.values, found.revision, listing.following(keys.POOLS, found))


@pools.operation(Operation("GET", "/v1/pools/{name}", "Read a pool", {200: Pool}, refuses=(404,)))
def get_pool(name: str) -> Answer:
    """One pool."""
    return Answer(find(services().store, keys.POOLS, name).value)


@pools.operation(
    Operation(
        "PATCH",
        "/v1/pools/{name}",
        "Change a pool",
        {200: Pool},
        body=Patch(Pool, MUTABLE),
        refuses=(404,),
    )
)
def change_pool(name: str, patch: dict[str, Any]) -> Answer:
    """How it is advertised and how long addresses cool down."""
    changed = services().registry.change(keys.POOLS, name, lambda pool: merge(Pool, pool, patch, MUTABLE))
    return Answer(changed)


@pools.operation(Operation("DELETE", "/v1/pools/{name}", "Delete a pool", {204: None}, refuses=(404, 409)))
def delete_pool(name: str) -> Answer:
    """Only while no address of it is assigned or cools down."""
    services().retirer.delete_pool(name)
    return Answer(status=204)
