"""The writes of the address plan, each as one unit: what must still be true, and what then changes.

After each of them, and so after a crash between any two, the store obeys these rules:

1. an assigned address key stands for exactly one endpoint record that lists the address, and back;
2. the record equals the copy below its node, and no other node has a copy;
3. the block of an assigned address is claimed; a claim equals the copy below its node;
4. `displaced/<address>` stands below the owner of the block when, and only when, another node holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from controller.ipam.unit import Unit
from controller.reading import Found, put
from store import keys
from store.client import Absent, Compare, Delete, Op, Put
from store.model import (
    Address,
    AddressState,
    Block,
    Displaced,
    Endpoint,
    EndpointState,
    IPAddress,
    Node,
    Pool,
)


def claim(pool: Found[Pool], node: Found[Node], block: Block) -> Unit:
    """A node takes an unclaimed block; the pool and the node must still be as they were read."""
    return Unit(
        (
            Absent(keys.BLOCKS.key(block.pool, block.cidr)),
            pool.unchanged(),
            node.unchanged(),
        ),
        (
            put(keys.BLOCKS, block, block.pool, block.cidr),
            put(keys.NODE_BLOCKS, block, block.node, block.cidr),
        ),
    )


def assign(
    endpoint: Endpoint,
    pool: Sequence[Compare],
    node: Found[Node],
    block: Found[Block],
    since: datetime,
) -> Unit:
    """A new endpoint gets an address of `block`, which may be claimed by another node.

    `pool` holds when the pool is the one that the request means, and as it was read.
    """
    address, pool_name = endpoint.placed[0]
    held = Address(address=address, pool=pool_name, endpoint=endpoint.id, node=endpoint.node, since=since)
    record, copy = _record(endpoint)
    taken = put(keys.ADDRESSES, held, pool_name, block.value.cidr, address)
    exception = _displace(block.value, endpoint, address) if block.value.node != endpoint.node else ()
    return Unit(
        (
            *pool,
            node.unchanged(),
            block.unchanged(),
            Absent(record.key),
            Absent(taken.key),
        ),
        (record, copy, taken, *exception),
    )


def mark_releasing(endpoint: Found[Endpoint]) -> Unit:
    """The endpoint's node is told to take it down; the address stays assigned until it has."""
    releasing = endpoint.value.model_copy(update={"state": EndpointState.RELEASING})
    return Unit((endpoint.unchanged(),), _record(releasing))


def release(
    endpoint: Found[Endpoint],
    blocks: tuple[Block, ...],
    gone: Sequence[Compare],
    cooldown: tuple[Address, ...],
    lease_id: int,
) -> Unit:
    """The endpoint ends and its addresses cool down under the lease, or are free at once without one.

    Args:
        endpoint: the record.
        blocks: the block of each of its addresses.
        gone: the proof that no node holds anything of it any more.
        cooldown: what the address keys become.
        lease_id: ends the cooldown; 0 is no cooldown.
    """
    value = endpoint.value
    ops: list[Op] = [
        Delete(endpoint.key),
        Delete(keys.NODE_ENDPOINTS.key(value.node, value.id)),
    ]
    for block, held in zip(blocks, cooldown, strict=True):
        ops.append(
            put(keys.ADDRESSES, held, block.pool, block.cidr, held.address, lease_id=lease_id)
            if lease_id
            else Delete(keys.ADDRESSES.key(block.pool, block.cidr, held.address))
        )
        if block.node != value.node:
            ops.append(Delete(keys.DISPLACED.key(block.node, held.address)))
    return Unit((endpoint.unchanged(), *gone), tuple(ops))


def relabel(endpoint: Found[Endpoint], changed: Endpoint) -> Unit:
    """The record changes and stays on its node."""
    return Unit((endpoint.unchanged(),), _record(changed))


def move(
    endpoint: Found[Endpoint],
    moved: Endpoint,
    target: Found[Node],
    held: tuple[tuple[Found[Block], Found[Address]], ...],
    left: tuple[str, ...],
    gone: Sequence[Absent],
) -> Unit:
    """The endpoint goes to another node and keeps its addresses.

    Args:
        endpoint: the record as it is.
        moved: the record as it will be.
        target: the node it goes to, which must still be as it was read.
        held: each of its addresses and the block that the address is in.
        left: the nodes that may hold something of it still.
        gone: the proof that the node it leaves is not among them, when it is not.
    """
    value = endpoint.value
    ops: list[Op] = [*_record(moved), Delete(keys.NODE_ENDPOINTS.key(value.node, value.id))]
    for block, address in held:
        here = address.value.model_copy(update={"node": moved.node, "left": left})
        ops.append(put(keys.ADDRESSES, here, block.value.pool, block.value.cidr, here.address))
        if block.value.node != moved.node:
            ops.extend(_displace(block.value, moved, here.address))
        else:
            ops.append(Delete(keys.DISPLACED.key(block.value.node, here.address)))
    compares: list[Compare] = [endpoint.unchanged(), target.unchanged(), *gone]
    for block, address in held:
        compares.extend((block.unchanged(), address.unchanged()))
    return Unit(tuple(compares), tuple(ops))


def cooling(address: Address, since: datetime) -> Address:
    """What an address key becomes when its endpoint is gone."""
    return address.model_copy(update={"state": AddressState.COOLDOWN, "since": since, "left": ()})


def _record(endpoint: Endpoint) -> tuple[Put, Put]:
    """The record and the copy below its node: the same bytes, in the same transaction."""
    record = put(keys.ENDPOINTS, endpoint, endpoint.id)
    return record, Put(keys.NODE_ENDPOINTS.key(endpoint.node, endpoint.id), record.value)


def _displace(block: Block, endpoint: Endpoint, address: IPAddress) -> tuple[Op, ...]:
    exception = Displaced(address=address, endpoint=endpoint.id, node=endpoint.node)
    return (put(keys.DISPLACED, exception, block.node, address),)
