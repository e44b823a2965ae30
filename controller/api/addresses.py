"""/v1/blocks and /v1/addresses: who has which part of a pool, and why. Read only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from controller.answer import Answer
from controller.api import listing
from controller.api.noun import Noun, Operation
from controller.api.parameter import named, one_of
from controller.exchange import argument
from controller.ipam.blocks import block_of
from controller.ipam.explain import AddressView, Facts, explain
from controller.parts import parts
from controller.principal import principal
from controller.problem import Problem, not_found
from controller.reading import read, read_many, scan
from controller.watching.topic import Topic
from controller.withdrawing import announcers
from store import keys
from store.client import Store
from store.model import Address, AddressState, Block, IPAddress, Pool, Value
from store.model.value import parse_address

V = TypeVar("V", bound=Value)

addresses = Noun()

SHOWN = 5
"""Pools that are named in a message."""

BLOCK_FILTERS = (
    named("pool", "only blocks of this pool", "default"),
    named("node", "only blocks of this node", "node-1"),
)
ADDRESS_FILTERS = (
    named("pool", "only addresses of this pool", "default"),
    named("node", "only those whose endpoint is, or was, on this node", "node-1"),
    named("tenant", "only those of this tenant", "shop"),
    one_of("state", "only those in this state", AddressState),
)


@addresses.operation(
    Operation(
        "GET",
        "/v1/blocks",
        "List claimed blocks",
        {200: Block},
        query=(*listing.PAGING, *BLOCK_FILTERS),
        topic=Topic(keys.BLOCKS),
    )
)
def list_blocks() -> Answer:
    """Every claim, by pool and range."""
    return listing.stored(keys.BLOCKS, argument("pool"), filters=BLOCK_FILTERS)


@addresses.operation(
    Operation(
        "GET",
        "/v1/addresses",
        "List addresses that are not free",
        {200: Address},
        query=(*listing.PAGING, *ADDRESS_FILTERS),
        topic=Topic(keys.ADDRESSES),
    )
)
def list_addresses() -> Answer:
    """Assigned or cooling down, by pool and block."""
    return listing.stored(keys.ADDRESSES, argument("pool"), filters=ADDRESS_FILTERS)


@addresses.operation(
    Operation(
        "GET",
        "/v1/addresses/{address}",
        "Explain an address: whose it is, why it is not free, what frees it",
        {200: AddressView},
        refuses=(404,),
    )
)
def get_address(address: str) -> Answer:
    """Assigned, cooling down, reserved or free; in fields and in sentences.

    For a tenant or a node no address exists but its own.
    """
    try:
        parsed = parse_address(address)
    except ValueError as fault:
        raise Problem("not-found", str(fault)) from None
    store, scope = parts().store, principal().scope
    pools = scan(store, keys.POOLS).values
    pool = next((pool for pool in pools if parsed in pool.cidr), None)
    held = read(store, keys.ADDRESSES, pool.name, block_of(pool, parsed), parsed) if pool else None
    if not scope.whole and (held is None or not scope.has(held.value)):
        raise not_found("address", str(parsed))
    if pool is None:
        ranges = ", ".join(f"{pool.cidr} ({pool.name})" for pool in pools[:SHOWN]) or "none"
        more = f" and {len(pools) - SHOWN} more" if len(pools) > SHOWN else ""
        raise Problem("not-found", f"{parsed} is in no pool; pools are {ranges}{more}")
    return Answer(explain(_facts(store, pool, parsed, held.value if held else None)))


def _facts(store: Store, pool: Pool, address: IPAddress, held: Address | None) -> Facts:
    claim = read(store, keys.BLOCKS, pool.name, block_of(pool, address))
    facts = Facts(address, pool, claim.value if claim else None, held)
    if held is None:
        return facts
    if held.endpoint is None or held.node is None:
        return _facts_of_service(store, facts, held)
    record = read(store, keys.ENDPOINTS, held.endpoint)
    names = [(name,) for name in dict.fromkeys((held.node, *held.left))]
    nodes = {name: node for (name,), node in read_many(store, keys.NODES, names).items()}
    attached = store.get_many([keys.ATTACHMENTS.key(name, held.endpoint) for (name,) in names])
    # A node that is no longer known holds nothing.
    holders = [
        name for (name,) in names if name in nodes and keys.ATTACHMENTS.key(name, held.endpoint) in attached
    ]
    return replace(
        facts,
        endpoint=record.value if record and address in record.value.addresses else None,
        held_by=holders,
        nodes=nodes,
        lost={name: lost for (name,), lost in read_many(store, keys.LOST, names).items()},
    )


def _facts_of_service(store: Store, facts: Facts, held: Address) -> Facts:
    if read(store, keys.WITHDRAWING, held.pool, held.address) is None:
        service = read(store, keys.SERVICES, held.service)
        its = service is not None and service.value.address == held.address
        return replace(facts, service=service.value if service and its else None)
    names = announcers(store, held.address)
    return replace(
        facts,
        withdrawn=False,
        held_by=names,
        nodes=_each(store, keys.NODES, names),
        lost=_each(store, keys.LOST, names),
    )


def _each(store: Store, kind: keys.Kind[V], names: Sequence[str]) -> dict[str, V]:
    """The values of one kind by the names of nodes."""
    return {name: value for (name,), value in read_many(store, kind, [(name,) for name in names]).items()}
