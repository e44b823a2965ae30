"""Block arithmetic: which block an address is in, which block is next, which addresses can be assigned.

Pure functions of a pool's CIDR and block size. A block is numbered from 0, so that a pool of a million
blocks is never listed to find a free one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network

from store.model import IPAddress, IPNetwork, Pool

MAC_PREFIX = bytes((0x02, 0x70))
"""Locally administered, unicast (IEEE 802 c): nobody's vendor code."""


def block_count(pool: Pool) -> int:
    """How many blocks the pool is cut into."""
    return 1 << (pool.block_prefixlen - pool.cidr.prefixlen)


def block_at(pool: Pool, index: int) -> IPNetwork:
    """The block of this number, 0 to `block_count(pool) - 1`."""
    size = 1 << (pool.cidr.max_prefixlen - pool.block_prefixlen)
    return ip_network((int(pool.cidr.network_address) + index * size, pool.block_prefixlen))


def block_index(pool: Pool, address: IPAddress) -> int:
    """The number of the block that holds an address of the pool."""
    shift = pool.cidr.max_prefixlen - pool.block_prefixlen
    return (int(address) - int(pool.cidr.network_address)) >> shift


def block_of(pool: Pool, address: IPAddress) -> IPNetwork:
    """The block that holds an address of the pool."""
    return block_at(pool, block_index(pool, address))


def unclaimed(pool: Pool, claimed: Container[int], start: int = 0) -> Iterator[IPNetwork]:
    """The blocks whose numbers are not in `claimed` and that hold an address to assign, lowest first.

    From the one with the number `start` on.
    """
    index, end = start, block_count(pool)
    while index < end:
        if index in claimed:
            index += 1
            continue
        block = block_at(pool, index)
        if next(assignable(pool, block), None) is not None:
            yield block
            index += 1
        else:
            index = _behind_reserved(pool, block)


def unclaimed_from_the_end(pool: Pool, claimed: Container[int]) -> Iterator[IPNetwork]:
    """Likewise, highest first."""
    index = block_count(pool) - 1
    while index >= 0:
        block = block_at(pool, index)
        if index in claimed:
            index -= 1
        elif next(assignable(pool, block), None) is not None:
            yield block
            index -= 1
        else:
            index = _before_reserved(pool, block)


def _before_reserved(pool: Pool, block: IPNetwork) -> int:
    """The number of the last block before the reserved range that holds this one."""
    firsts = (each.network_address for each in pool.reserved if block.network_address in each)
    own = block_index(pool, block.network_address)
    return min((block_index(pool, first) for first in firsts), default=own) - 1


def _behind_reserved(pool: Pool, block: IPNetwork) -> int:
    """The number of the first block behind the reserved range that holds this one."""
    lasts = (each.broadcast_address for each in pool.reserved if block.network_address in each)
    return (
        max((block_index(pool, last) for last in lasts), default=block_index(pool, block.network_address)) + 1
    )


def is_reserved(pool: Pool, address: IPAddress) -> bool:
    """True for the addresses of a pool that are never assigned."""
    return why_reserved(pool, address) is not None


def why_reserved(pool: Pool, address: IPAddress) -> str | None:
    """Why an address of a pool is never assigned, for people; None when it can be.

    Some are reserved by the pool. Its first is the network address (IPv4) or the subnet-router anycast
    address (RFC 4291 §2.6.1), and for IPv4 its last is the broadcast address; a pool of one or two
    addresses has neither (RFC 3021, RFC 6164).
    """
    if pool.cidr.num_addresses > 2 and address in _ends(pool):
        return f"the first or last of {pool.cidr} of pool {pool.name}"
    inside = next((each for each in pool.reserved if address in each), None)
    return None if inside is None else f"in {inside}, reserved in pool {pool.name}"


def assignable(
    pool: Pool, block: IPNetwork, taken: Container[int] = (), after: IPAddress | None = None
) -> Iterator[IPAddress]:
    """The addresses of a block that can be assigned and are not taken, which is told by their numbers.

    From the one behind `after` to the end of the block and on from its start; else lowest first.
    """
    first, size = int(block.network_address), block.num_addresses
    start = int(after) - first + 1 if after is not None else 0
    ends = [int(each) for each in _ends(pool)] if pool.cidr.num_addresses > 2 else ()
    reserved = [each for each in pool.reserved if each.overlaps(block)]
    address_of = IPv4Address if block.version == 4 else IPv6Address  # 1 is either one to ip_address()
    for offset in range(start, start + size):
        number = first + offset % size
        if number in taken or number in ends:
            continue
        address = address_of(number)
        if not (reserved and any(address in each for each in reserved)):
            yield address


def _ends(pool: Pool) -> tuple[IPAddress, ...]:
    first, last = pool.cidr.network_address, pool.cidr.broadcast_address
    return (first, last) if first.version == 4 else (first,)


def mac_of(address: IPAddress) -> str:
    """The MAC address of the endpoint that holds `address`: always the same for the same address."""
    last = address.packed if address.version == 4 else hashlib.blake2s(address.packed, digest_size=4).digest()
    return (MAC_PREFIX + last).hex(":")
