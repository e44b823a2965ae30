"""Block arithmetic against the plain thing: lists and sets of every address."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from controller.ipam import blocks
from store.model import IPAddress, IPNetwork, Pool

FIRSTS = [ip_address("10.64.0.0"), ip_address("0.0.1.0"), ip_address("2001:db8::"), ip_address("::ffff:0:0")]


@st.composite
def small_pools(draw: st.DrawFn, *, reserve: bool = False) -> Pool:
    """Pools of at most 256 addresses, in blocks of every size that fits."""
    first: IPAddress = draw(st.sampled_from(FIRSTS))
    bits = draw(st.integers(0, 8))
    block_bits = draw(st.integers(0, bits))
    longest = first.max_prefixlen
    pool = Pool(name="p", cidr=f"{first}/{longest - bits}", block_prefixlen=longest - block_bits)
    if not reserve:
        return pool
    lengths = st.lists(st.integers(longest - bits, longest), max_size=3)
    reserved = tuple(
        ip_network((draw(st.sampled_from(list(pool.cidr))).packed, longest)).supernet(new_prefix=length)
        for length in draw(lengths)
    )
    return pool.model_copy(update={"reserved": reserved})


def plainly_assignable(pool: Pool, address: IPAddress) -> bool:
    every = list(pool.cidr)
    ends = [] if len(every) <= 2 else [every[0], every[-1]] if pool.cidr.version == 4 else [every[0]]
    return address not in ends and not any(address in each for each in pool.reserved)


def plain_blocks(pool: Pool) -> list[IPNetwork]:
    return list(pool.cidr.subnets(new_prefix=pool.block_prefixlen))


@given(small_pools())
def test_blocks_are_the_subnets_of_the_pool(pool: Pool) -> None:
    count = blocks.block_count(pool)
    assert [blocks.block_at(pool, index) for index in range(count)] == plain_blocks(pool)


@given(small_pools(), st.data())
def test_the_block_of_an_address_is_the_one_that_holds_it(pool: Pool, data: st.DataObject) -> None:
    address = data.draw(st.sampled_from(list(pool.cidr)))
    holding = [block for block in plain_blocks(pool) if address in block]
    assert [blocks.block_of(pool, address)] == holding
    assert blocks.block_at(pool, blocks.block_index(pool, address)) == holding[0]


@given(small_pools(reserve=True), st.data())
def test_the_unclaimed_blocks_are_those_that_nobody_has_and_that_hold_something(
    pool: Pool, data: st.DataObject
) -> None:
    claimed = data.draw(st.sets(st.integers(0, blocks.block_count(pool) - 1)))
    left = [
        block
        for index, block in enumerate(plain_blocks(pool))
        if index not in claimed and any(plainly_assignable(pool, address) for address in block)
    ]
    assert list(blocks.unclaimed(pool, claimed)) == left
    assert list(blocks.unclaimed_from_the_end(pool, claimed)) == left[::-1]
    start = data.draw(st.integers(0, blocks.block_count(pool)))
    behind = [each for each in left if blocks.block_index(pool, each.network_address) >= start]
    assert list(blocks.unclaimed(pool, claimed, start)) == behind


@given(small_pools(reserve=True))
def test_every_address_that_is_not_reserved_can_be_assigned_once(pool: Pool) -> None:
    given_out = [address for block in plain_blocks(pool) for address in blocks.assignable(pool, block)]
    every = [address for address in pool.cidr if plainly_assignable(pool, address)]
    assert given_out == every
    assert [address for address in pool.cidr if not blocks.is_reserved(pool, address)] == every


@given(small_pools(reserve=True), st.data())
def test_a_block_goes_on_behind_the_last_and_comes_back_to_its_start(pool: Pool, data: st.DataObject) -> None:
    block = data.draw(st.sampled_from(plain_blocks(pool)))
    last = data.draw(st.sampled_from(list(block)))
    taken = data.draw(st.sets(st.sampled_from(list(block))))
    free = [one for one in block if plainly_assignable(pool, one) and one not in taken]
    turned = [one for one in free if one > last] + [one for one in free if one <= last]
    assert list(blocks.assignable(pool, block, {int(one) for one in taken}, last)) == turned


@given(st.ip_addresses())
def test_a_mac_is_local_unicast_and_always_the_same(address: IPAddress) -> None:
    mac = bytes.fromhex(blocks.mac_of(address).replace(":", ""))
    assert len(mac) == 6
    assert mac[0] & 0b11 == 0b10
    assert blocks.mac_of(address) == blocks.mac_of(ip_address(str(address)))


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_macs_of_ipv4_addresses_differ_as_the_addresses_do(one: IPAddress, other: IPAddress) -> None:
    assert (blocks.mac_of(one) == blocks.mac_of(other)) == (one == other)
