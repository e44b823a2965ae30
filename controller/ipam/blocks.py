"""Block arithmetic: which block an address is in, which block is next, which addresses can be assigned.

Pure functions of a pool's CIDR and block size. A block is numbered from 0, so that a pool of a million
blocks is never listed to find a free one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from ipaddress import ip_address, ip_network

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


def first_unclaimed(pool: Pool, claimed: Collection[int]) -> IPNetwork | None:
    """The lowest block whose number is not in `claimed`; None when there is none."""
    taken = claimed if isinstance(claimed, set | frozenset) else set(claimed)
    index = next((index for index in range(len(taken) + 1) if index not in taken), 0)
    return block_at(pool, index) if index < block_count(pool) else None


def is_reserved(pool: Pool, address: IPAddress) -> bool:
    """True for the addresses of a pool that are never assigned: its first, and for IPv4 its last.

    The first is the network address (IPv4) or the subnet-router anycast address (RFC 4291 §2.6.1), the
    last the broadcast address. A pool of one or two addresses has neither (RFC 3021, RFC 6164).
    """
    if pool.cidr.num_addresses <= 2:
        return False
    return address == pool.cidr.network_address or (
        address.version == 4 and address == pool.cidr.broadcast_address
    )


def assignable(pool: Pool, block: IPNetwork) -> Iterator[IPAddress]:
    """The addresses of a block that can be assigned, lowest first."""
    first = int(block.network_address)
    for offset in range(block.num_addresses):
        address = _address(first + offset, block.version)
        if not is_reserved(pool, address):
            yield address


def _address(number: int, version: int) -> IPAddress:
    # 1 is an IPv4 address to ip_address() and ::1 here, so the family is said by the width
    return ip_address(number.to_bytes(4 if version == 4 else 16, "big"))


def mac_of(address: IPAddress) -> str:
    """The MAC address of the endpoint that holds `address`: always the same for the same address."""
    last = address.packed if address.version == 4 else hashlib.blake2s(address.packed, digest_size=4).digest()
    return ":".join(f"{byte:02x}" for byte in MAC_PREFIX + last)
