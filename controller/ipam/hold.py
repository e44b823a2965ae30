"""What endpoints hold, and what holds them: read in two requests for a hundred of them.

Nothing of it is believed for longer than until the next transaction, which compares what it rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from controller.ipam import blocks
from controller.reading import Found
from controller.sheet import Sheet
from store import keys
from store.client import Absent, Store
from store.errors import Corrupt
from store.model import Address, Block, Endpoint, IPAddress, IPNetwork, Pool

_Spot = tuple[Found[Pool], IPNetwork, IPAddress]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """One address that an endpoint holds."""

    pool: Found[Pool]
    block: Found[Block]
    address: Found[Address]


@dataclass(frozen=True, slots=True)
class Hold:
    """An endpoint with what it holds."""

    endpoint: Found[Endpoint]
    here: Absent | None
    """The key whose absence shows that its node holds nothing of it; None when it does."""
    held: tuple[HeldAddress, ...]

    @property
    def former_nodes(self) -> frozenset[str]:
        """The nodes that it moved away from and that may hold it still."""
        return frozenset(node for each in self.held for node in each.address.value.left)


def holds(store: Store, endpoints: Sequence[Found[Endpoint]]) -> list[Hold | Corrupt]:
    """What each of these endpoints holds, or which value of it cannot be read. Blocking.

    Raises what the store does.
    """
    records = [found.value for found in endpoints]
    pools = {name for record in records for name in record.pools}
    first = Sheet(store, [*map(_attachment, records), *map(keys.POOLS.key, pools)])
    spots = [_legible(partial(_spots, first, record)) for record in records]
    nodes = [keys.NODES.key(record.node) for record in records if first.has(_attachment(record))]
    legible = [each for each in spots if not isinstance(each, Corrupt)]
    places = [key for each in legible for spot in each for key in _keys(spot)]
    second = Sheet(store, [*nodes, *places]) if nodes or places else first

    def hold(found: Found[Endpoint], spots: Iterable[_Spot]) -> Hold:
        return Hold(found, _gone(first, second, found.value), tuple(_held(second, found.value, spots)))

    return [
        each if isinstance(each, Corrupt) else _legible(partial(hold, found, each))
        for found, each in zip(endpoints, spots, strict=True)
    ]


def let_go(store: Store, node: str, endpoint_id: str) -> Absent | None:
    """The key whose absence shows that a node holds nothing of an endpoint; None when it does.

    It stays absent as long as the endpoint is elsewhere: an attach compares that it is on the node.
    """
    for key in (keys.ATTACHMENTS.key(node, endpoint_id), keys.NODES.key(node)):
        if store.get(key) is None:
            return Absent(key)
    return None


def _attachment(endpoint: Endpoint) -> str:
    return keys.ATTACHMENTS.key(endpoint.node, endpoint.id)


def _gone(first: Sheet, second: Sheet, endpoint: Endpoint) -> Absent | None:
    """As `let_go`, of the endpoint's own node: one that is no longer known holds nothing."""
    attachment, node = _attachment(endpoint), keys.NODES.key(endpoint.node)
    if not first.has(attachment):
        return Absent(attachment)
    return None if second.has(node) else Absent(node)


def _legible(find: Callable[[], T]) -> T | Corrupt:
    """What is found, or the value that cannot be read."""
    try:
        return find()
    except Corrupt as fault:
        return fault


def _spots(sheet: Sheet, endpoint: Endpoint) -> tuple[_Spot, ...]:
    placed = [(address, sheet.find(keys.POOLS, name)) for address, name in endpoint.placed]
    return tuple(
        (pool, blocks.block_of(pool.value, address), address) for address, pool in placed if pool is not None
    )


def _keys(spot: _Spot) -> tuple[str, str]:
    pool, cidr, address = spot
    return keys.BLOCKS.key(pool.value.name, cidr), keys.ADDRESSES.key(pool.value.name, cidr, address)


def _held(sheet: Sheet, endpoint: Endpoint, spots: Iterable[_Spot]) -> Iterator[HeldAddress]:
    for pool, cidr, address in spots:
        name = pool.value.name
        block = sheet.find(keys.BLOCKS, name, cidr)
        found = sheet.find(keys.ADDRESSES, name, cidr, address)
        if block is not None and found is not None and found.value.endpoint == endpoint.id:
            yield HeldAddress(pool, block, found)
