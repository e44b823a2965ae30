"""Why an address, or a pool, cannot be had now: in words for whoever asks."""

from __future__ import annotations

from controller.ipam import blocks
from controller.ipam.choosing import Want, listed
from controller.problem import Fault, Problem
from controller.reading import read, scan
from controller.scope import Scope
from store import keys
from store.client import Store
from store.model import Address, AddressState, IPAddress, Pool


def refuse_held(store: Store, pool: Pool, address: IPAddress, scope: Scope, pointer: str) -> None:
    """Raises `Problem` where an address that was asked for, where the pointer says, is not free."""
    held = read(store, keys.ADDRESSES, pool.name, blocks.block_of(pool, address), address)
    if held is not None:
        raise _in_use(held.value, scope, pointer)


def _in_use(held: Address, scope: Scope, pointer: str) -> Problem:
    if not scope.has(held):
        why = f"{held.address} is not free"
    elif held.state is AddressState.ASSIGNED:
        why = f"{held.address} is assigned to {held.holder}"
    elif held.withdrawing:
        why = f"{held.address} is being withdrawn after {held.holder}"
    else:
        why = f"{held.address} cools down after {held.holder} until {held.free_at:%Y-%m-%d %H:%M:%S} UTC"
    detail = f"{why}; ask for another, or leave address out"
    return Problem("address-in-use", detail, errors=[Fault(detail, pointer)])


def pool_full(store: Store, want: Want, node: str, scope: Scope) -> Problem:
    """None of the pools that may serve has a free address for a node."""
    if not scope.whole:  # how much others have is not for the caller
        names = ", ".join(pool.value.name for pool in want.pools)
        detail = f"no free address for node {node} in pool {names}; use another node or pool"
        return Problem("pool-full", detail, pool=want.pools[0].value.name, node=node)
    said = [_figures(store, pool.value, node) for pool in want.pools]
    reasons = [reason for reason, _ in said] + list(want.passed_over)
    detail = f"{listed(reasons)}. Delete endpoints there, grow a pool, or use another"
    return Problem("pool-full", detail, pool=want.pools[0].value.name, node=node, figures=said[0][1])


def _figures(store: Store, pool: Pool, node: str) -> tuple[str, dict[str, int]]:
    """How full a pool is for a node: in words and in figures."""
    mine = [block for block in scan(store, keys.NODE_BLOCKS, node).values if block.pool == pool.name]
    held = [
        address.state
        for block in mine
        for address in scan(store, keys.ADDRESSES, pool.name, block.cidr).values
    ]
    cooling = held.count(AddressState.COOLDOWN)
    total = blocks.block_count(pool)
    figures = {
        "blocks": total,
        "blocks_of_node": len(mine),
        "assigned": len(held) - cooling,
        "cooling_down": cooling,
    }
    others = "nor have those of others" if pool.borrow else "and it does not borrow"
    words = (
        f"pool {pool.name} ({pool.cidr}) has no unclaimed block left of {total}, and the {len(mine)} of "
        f"node {node} have no free address ({len(held) - cooling} assigned, {cooling} cooling down), "
        f"{others}"
    )
    return words, figures
