"""/v1/blocks and /v1/addresses: who has which part of a pool. Read only."""

from __future__ import annotations

from enum import StrEnum

from flask import request
from pydantic import AwareDatetime, BaseModel

from controller.api import listing
from controller.api.noun import Answer, Noun, Operation
from controller.ipam.blocks import block_of
from controller.problem import Problem
from controller.reading import read, scan
from controller.services import services
from store import keys
from store.model import Block, Pool
from store.model.value import Address_, IPAddress, Network, parse_address

addresses = Noun("addresses")


class Held(StrEnum):
    """What an address of a pool is."""

    ASSIGNED = "assigned"
    COOLDOWN = "cooldown"
    FREE = "free"


class AddressView(BaseModel):
    """An address of a pool: whose it is, or was."""

    address: Address_
    state: Held
    pool: str
    block: Network
    owner: str | None = None
    """The node that has claimed the block; null while none has."""
    endpoint: str | None = None
    """Who holds it, or held it last while it cools down."""
    node: str | None = None
    """Where that endpoint is, or was."""
    since: AwareDatetime | None = None


@addresses.operation(
    Operation(
        "GET",
        "/v1/blocks",
        "List claimed blocks",
        {200: Block},
        query={"pool": "only blocks of this pool", "node": "only blocks of this node"},
    )
)
def list_blocks() -> Answer:
    """Every claim, by pool and range."""
    pool, node = request.args.get("pool"), request.args.get("node")
    found = scan(services().store, keys.BLOCKS, *([pool] if pool else []))
    return listing.render([block for block in found.values if node in {None, block.node}], found.revision)


@addresses.operation(
    Operation(
        "GET",
        "/v1/addresses/{address}",
        "Read the state of an address",
        {200: AddressView},
        refuses=(404,),
    )
)
def get_address(address: str) -> Answer:
    """Assigned, cooling down or free, and who has it."""
    try:
        parsed = parse_address(address)
    except ValueError as fault:
        raise Problem("not-found", str(fault)) from None
    store = services().store
    pools = scan(store, keys.POOLS).values
    pool = next((pool for pool in pools if parsed in pool.cidr), None)
    if pool is None:
        ranges = ", ".join(f"{pool.cidr} ({pool.name})" for pool in pools[:5]) or "none"
        raise Problem("not-found", f"{parsed} is in no pool; pools are {ranges}")
    return Answer(_view(pool, parsed))


def _view(pool: Pool, address: IPAddress) -> AddressView:
    store, cidr = services().store, block_of(pool, address)
    claim = read(store, keys.BLOCKS, pool.name, cidr)
    held = read(store, keys.ADDRESSES, pool.name, cidr, address)
    view = AddressView(
        address=address,
        state=Held.FREE,
        pool=pool.name,
        block=cidr,
        owner=claim.value.node if claim else None,
    )
    if held is None:
        return view
    said = held.value
    return view.model_copy(
        update={
            "state": Held(said.state.value),
            "endpoint": said.endpoint,
            "node": said.node,
            "since": said.since,
        }
    )
