"""The writes of the address plan, each as one unit: what must still be true, and what then changes.

After each of them, and so after a crash between any two, the store obeys these rules:

1. an assigned address key stands for exactly one record, of an endpoint or a service, that has the address,
   and back;
2. the record equals the copy below its node, and no other node has a copy;
3. the block of an address that an endpoint has is claimed; a claim equals the copy below its node;
4. `displaced/<address>` stands below the owner of the block when, and only when, another node holds it;
5. `usage/<tenant>` is the number of addresses of each family that the tenant's endpoints and services hold,
   and is absent when that is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import to_json

from controller.ipam.ending import Ending
from controller.ipam.tally import Charge
from controller.ipam.unit import Unit
from controller.reading import Found, put
from store import keys
from store.client import Absent, Compare, Delete, Op, PrefixEmpty, Put
from store.codec import SCHEMA_VERSION, VERSION, encode_fields
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
    Tenant,
)
from store.model.value import text_of
from store.series import Form, Series

RECORDS = keys.ENDPOINTS.prefix()
RECORD: Mapping[str, Any] = {
    VERSION: SCHEMA_VERSION,
    "id": "{id}",
    "uid": "{uid}",
    "node": "{node}",
    "addresses": ("{addresses}",),
    "mac": "{mac}",
}
"""What differs in new endpoints; see `Series`."""

HELD: Mapping[str, Any] = {
    VERSION: SCHEMA_VERSION,
    "address": "{address}",
    "pool": "{pool}",
    "endpoint": "{endpoint}",
    "node": "{node}",
    "since": "{since}",
    "request": "{request}",
}
"""What their addresses say, likewise."""

COOLING = ("free_at",)
"""What an address says only while it cools down."""

LEASE_SLACK_S = 2
"""Seconds that a cooldown may last beyond the pool's: its lease is shared, and etcd looks once a second."""

_RECORDS = Series((VERSION, *Endpoint.model_fields), RECORD)
_HELD = {name: field.default for name, field in Address.model_fields.items() if name not in COOLING}
_ADDRESSES = Series((VERSION, *_HELD), HELD)


@dataclass(frozen=True, slots=True)
class Cooling:
    """What becomes of an address whose endpoint ends: a key under a lease, or none when that is 0."""

    key: str
    owner: str
    """The node that has the block."""
    address: IPAddress | str
    becomes: bytes
    lease_id: int


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


class Asked(NamedTuple):
    """What new endpoints that are alike rest on, and what their addresses say of who asked for them."""

    compares: Sequence[Compare]
    """What must hold for the pools to be the ones that are meant, and pools and node as they were read."""
    tenant: Found[Tenant] | None
    """Theirs, which must still be as it was read, limits included."""
    by: str
    request: str
    since: datetime


def assign(new: Sequence[tuple[Endpoint, Sequence[Found[Block]]]], asked: Asked) -> Unit:
    """New endpoints of one node and tenant get their addresses: all of them or none.

    Args:
        new: the records, and of each the block of each address, which may be another node's.
        asked: what all of them have in common.
    """
    node, tenant = new[0][0].node, asked.tenant
    copies, since = _copies_of(node), to_json(asked.since).decode()[1:-1]
    held = _held_by(asked.by, tenant.value.name if tenant else None)
    ops: list[Op] = []
    prefixes: dict[str, str] = {}
    checks: list[Compare] = [*asked.compares]
    for endpoint, blocks in new:
        id_, texts = endpoint.id, [text_of(each) for each in endpoint.addresses]
        form = _RECORDS.form(vars(endpoint))
        record = form.of(id_, endpoint.uid, node, '","'.join(texts), endpoint.mac).encode()
        key = RECORDS + id_
        ops += (Put(key, record), Put(copies + id_, record))
        checks.append(Absent(key))
        for address, text, pool, block in zip(endpoint.addresses, texts, endpoint.pools, blocks, strict=True):
            if block.key not in prefixes:
                prefixes[block.key] = _addresses_of(block.value.pool, block.key)
                checks.append(block.unchanged())
            key = prefixes[block.key] + text
            ops.append(Put(key, held.of(text, pool, id_, node, since, asked.request).encode()))
            checks.append(Absent(key))
            if block.value.node != node:
                ops.extend(_displace(block.value, endpoint, address))
    if tenant is None:
        return Unit(tuple(checks), tuple(ops))
    charge = _charge([endpoint for endpoint, _ in new], tenant.value)
    return Unit((*checks, tenant.unchanged()), tuple(ops), charge)


def mark_releasing(endpoint: Found[Endpoint]) -> Unit:
    """The endpoint's node is told to take it down; the address stays assigned until it has."""
    releasing = endpoint.value.model_copy(update={"state": EndpointState.RELEASING})
    return Unit((endpoint.unchanged(),), _record(releasing))


def release(ending: Ending, gone: Sequence[Compare], cooling: Sequence[Cooling]) -> Unit:
    """The endpoint ends and its addresses cool down, or are free at once.

    Args:
        ending: the endpoint, whose record must be as it was read.
        gone: the proof that no node holds anything of it any more.
        cooling: what becomes of each of its addresses.
    """
    record = ending.unchanged()
    ops: list[Op] = [Delete(record.key), Delete(keys.NODE_ENDPOINTS.key(ending.node, ending.id))]
    for each in cooling:
        ops.append(Put(each.key, each.becomes, each.lease_id) if each.lease_id else Delete(each.key))
        if each.owner != ending.node:
            ops.append(Delete(keys.DISPLACED.key(each.owner, each.address)))
    return Unit((record, *gone), tuple(ops), ending.charge())


def relabel(endpoint: Found[Endpoint], changed: Endpoint) -> Unit:
    """The record changes and stays on its node."""
    return Unit((endpoint.unchanged(),), _record(changed))


def move(
    endpoint: Found[Endpoint],
    moved: Endpoint,
    target: Found[Node],
    held: Sequence[tuple[Found[Block], Found[Address]]],
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


def cooling(
    key: str, address: Mapping[str, Any], owner: str, since: datetime, cooldown_s: int, lease_id: int
) -> Cooling:
    """What an address key becomes when its endpoint is gone.

    Args:
        key: of the address.
        address: the fields of its `Address`.
        owner: the node that has the block.
        since: now.
        cooldown_s: for how long, as its pool says now.
        lease_id: the lease that ends the cooldown; 0 for none.
    """
    free_at = since + timedelta(seconds=cooldown_s + LEASE_SLACK_S)
    ends = {"state": AddressState.COOLDOWN.value, "since": since, "left": (), "free_at": free_at}
    after = {**address, **ends}
    return Cooling(key, owner, address["address"], encode_fields(after), lease_id)


def give_back(claims: Sequence[Found[Block]], withdrawn: Sequence[Compare] = ()) -> Unit:
    """Nodes give blocks back that hold no address, none that cools down either.

    Args:
        claims: of the blocks.
        withdrawn: the proof that nobody goes on announcing them.
    """
    compares: list[Compare] = [*withdrawn]
    ops: list[Op] = []
    for claim in claims:
        block = claim.value
        compares += (claim.unchanged(), PrefixEmpty(keys.ADDRESSES.prefix(block.pool, block.cidr)))
        ops += unclaim(block)
    return Unit(tuple(compares), tuple(ops))


def unclaim(block: Block) -> tuple[Delete, Delete]:
    """The claim goes, and its copy."""
    return (
        Delete(keys.BLOCKS.key(block.pool, block.cidr)),
        Delete(keys.NODE_BLOCKS.key(block.node, block.cidr)),
    )


def _charge(endpoints: Iterable[Endpoint], tenant: Tenant) -> Charge:
    versions = [address.version for endpoint in endpoints for address in endpoint.addresses]
    held = versions.count(4), versions.count(6)
    return Charge(tenant.name, *held, tenant.max_ipv4, tenant.max_ipv6)


def _record(endpoint: Endpoint) -> tuple[Put, Put]:
    """The record and the copy below its node: the same bytes, in the same transaction."""
    value = encode_fields({**vars(endpoint), "addresses": [str(each) for each in endpoint.addresses]})
    return (
        Put(keys.ENDPOINTS.key(endpoint.id), value),
        Put(keys.NODE_ENDPOINTS.key(endpoint.node, endpoint.id), value),
    )


@lru_cache(maxsize=1 << 12)
def _addresses_of(pool: str, key: str) -> str:
    """What the keys of the addresses of a block begin with, by the key of the block or of its copy."""
    parts = keys.BLOCKS.parts(key) or keys.NODE_BLOCKS.parts(key)
    assert parts is not None  # noqa: S101
    return keys.ADDRESSES.prefix(pool, parts[-1])


@lru_cache(maxsize=1 << 10)
def _held_by(by: str, tenant: str | None) -> Form:
    """The form of what the addresses say that one caller gets for one tenant."""
    return _ADDRESSES.form({**_HELD, "by": by, "tenant": tenant})


@lru_cache(maxsize=1 << 12)
def _copies_of(node: str) -> str:
    """What the keys of the endpoints of a node begin with."""
    return keys.NODE_ENDPOINTS.prefix(node)


def _displace(block: Block, endpoint: Endpoint, address: IPAddress) -> tuple[Op, ...]:
    exception = Displaced(address=address, endpoint=endpoint.id, node=endpoint.node)
    return (put(keys.DISPLACED, exception, block.node, address),)
