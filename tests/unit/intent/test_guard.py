"""What the outbound guard lets through: lists of what is wanted, each with what is kept back and why."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.advertisement import Advertisement
from intent.guard import Guarded, guard
from store.model import Advertise, IPNetwork, Peer, Pool, is_inside
from tests.support.cluster import peer, pool
from tests.support.values import networks

POOLS = [pool(), pool("six", "2001:db8::/48"), pool("small", "10.9.0.0/26"), pool("one", "10.9.9.9/32")]

KEPT = {
    "10.64.0.0/26": None,
    "10.64.0.7/32": None,
    "10.64.0.0/17": None,
    "2001:db8::/122": None,
    "2001:db8::1/128": None,
    "10.9.0.0/26": None,
    "10.9.9.9/32": None,
    "10.64.0.0/16": "the whole of pool default",
    "2001:db8::/48": "the whole of pool six",
    "10.64.0.0/15": "shorter than pool default",
    "10.9.0.0/25": "shorter than pool small",
    "2001:d00::/24": "shorter than pool six",
    "10.65.0.0/26": "in no pool",
    "192.0.2.1/32": "in no pool",
    "2001:db8:1::/122": "in no pool",
    "0.0.0.0/0": "the default route is never announced",
    "::/0": "the default route is never announced",
}


def guarded(
    *prefixes: str, pools: list[Pool] = POOLS, held: tuple[str, ...] = (), max_prefixes: int = 10_000
) -> Guarded:
    return guard(
        wanted_of(map(ip_network, prefixes)), pools, limited(max_prefixes), {ip_network(one) for one in held}
    )


def wanted_of(prefixes: object) -> dict[IPNetwork, Advertisement]:
    return {prefix: Advertisement(prefix) for prefix in prefixes}


def limited(max_prefixes: int) -> Peer:
    return peer().model_copy(update={"max_prefixes": max_prefixes})


def texts(prefixes: object) -> list[str]:
    return [str(prefix) for prefix in prefixes]


@pytest.mark.parametrize("prefix", KEPT)
def test_a_prefix_alone(prefix: str) -> None:
    made = guarded(prefix)
    why = KEPT[prefix]
    assert texts(made.through) == ([prefix] if why is None else [])
    assert made.kept == ({} if why is None else {ip_network(prefix): why})
    assert made.first == ("" if why is None else f"{prefix}: {why}")


def test_all_together_are_judged_as_each_alone() -> None:
    made = guarded(*KEPT)
    assert {str(prefix): why for prefix, why in made.kept.items()} == {p: w for p, w in KEPT.items() if w}
    assert texts(made.through) == [prefix for prefix, why in KEPT.items() if why is None]


def test_without_a_pool_nothing_leaves() -> None:
    assert guarded(*KEPT, pools=[]).through == {}


def test_a_pool_that_is_announced_by_its_summary_may_be_told_whole() -> None:
    summary = pool(advertise=Advertise.SUMMARY)
    assert texts(guarded("10.64.0.0/16", pools=[summary]).through) == ["10.64.0.0/16"]
    hosts = pool(advertise=Advertise.HOST)
    assert texts(guarded("10.64.0.0/16", pools=[hosts]).through) == []


def test_of_too_many_the_blocks_are_told_before_the_addresses() -> None:
    made = guarded("10.64.0.7/32", "10.64.1.0/26", "2001:db8::/122", "10.64.0.0/26", max_prefixes=3)
    assert texts(made.through) == ["10.64.1.0/26", "2001:db8::/122", "10.64.0.0/26"]
    assert made.first == "10.64.0.7/32: beyond max_prefixes 3 of peer tor-a"


def test_what_is_told_already_comes_before_what_is_larger() -> None:
    made = guarded("10.64.0.7/32", "10.64.1.0/26", held=("10.64.0.7/32", "10.64.9.0/26"), max_prefixes=1)
    assert texts(made.through) == ["10.64.0.7/32"]


def test_a_limit_that_was_lowered_keeps_the_larger_ones() -> None:
    three = ("10.64.0.7/32", "10.64.1.0/26", "10.64.0.0/26")
    assert texts(guarded(*three, held=three, max_prefixes=2).through) == ["10.64.1.0/26", "10.64.0.0/26"]


def test_what_may_not_leave_takes_no_place() -> None:
    made = guarded("10.65.0.0/26", "10.64.1.0/26", held=("10.65.0.0/26",), max_prefixes=1)
    assert texts(made.through) == ["10.64.1.0/26"]
    assert len(made.kept) == 1


wishes = st.lists(networks, max_size=12, unique=True)


@given(wishes, st.lists(networks, max_size=4, unique=True), st.integers(1, 8), st.sets(networks, max_size=4))
def test_nothing_leaves_that_no_pool_holds_and_never_too_many(
    prefixes: list[IPNetwork], ranges: list[IPNetwork], limit: int, held: set[IPNetwork]
) -> None:
    pools = [pool(f"pool-{number}", str(cidr)) for number, cidr in enumerate(ranges) if cidr.prefixlen]
    wanted = wanted_of([*prefixes, *ranges])
    made = guard(wanted, pools, limited(limit), held)
    assert len(made.through) <= limit
    assert made.through.keys() | made.kept.keys() == wanted.keys()
    assert made.through.keys().isdisjoint(made.kept)
    for prefix in made.through:
        assert any(is_inside(prefix, one.cidr) for one in pools)


@given(wishes, wishes, st.integers(1, 8))
def test_what_was_let_through_stays_while_it_is_wanted(
    first: list[IPNetwork], then: list[IPNetwork], limit: int
) -> None:
    pools = [pool("v4", "10.0.0.0/8"), pool("v6", "2001:db8::/32")]
    before = guard(wanted_of(first), pools, limited(limit), set()).through.keys()
    after = guard(wanted_of([*then, *before]), pools, limited(limit), before).through.keys()
    assert before <= after
