"""What a pool's addresses are used for, and when it is full."""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.ipam import blocks
from controller.ipam.forecast import forecast
from controller.ipam.reserved import Reserved
from controller.ipam.usage import usage
from store.model import Address, AddressState, Block, Pool
from tests.unit.controller.conftest import NOW, Api

HOUR = timedelta(hours=1)


def held(address: str, state: AddressState = AddressState.ASSIGNED, since: datetime = NOW) -> Address:
    return Address(address=address, pool="p", endpoint="e", node="n", state=state, since=since)


def test_each_address_of_a_pool_counts_once() -> None:
    pool = Pool(name="p", cidr="10.0.0.0/28", block_prefixlen=30, reserved=("10.0.0.4/30", "10.0.0.9"))
    claims = [
        Block(cidr=cidr, pool="p", node=node)
        for cidr, node in [("10.0.0.8/30", "b"), ("10.0.0.4/30", "a"), ("10.0.0.0/30", "b")]
    ]
    taken = [held("10.0.0.1"), held("10.0.0.9"), held("10.0.0.10", AddressState.COOLDOWN)]
    found = usage(pool, claims, taken, NOW)
    # .9 is reserved and held: it was assigned first
    assert (found.assigned, found.cooling, found.reserved, found.free) == (2, 1, 6, 7)
    assert (found.size, found.assignable) == (16, 10)
    assert found.blocks.model_dump() == {"total": 4, "claimed": 3}
    assert [each.node for each in found.nodes] == ["a", "b"]
    assert [
        (str(b.cidr), b.assigned, b.cooling, b.reserved, b.free) for n in found.nodes for b in n.blocks
    ] == [
        ("10.0.0.4/30", 0, 0, 4, 0),
        ("10.0.0.0/30", 1, 0, 1, 2),
        ("10.0.0.8/30", 1, 1, 0, 2),
    ]


def test_a_pool_of_any_size_is_counted_without_being_listed() -> None:
    found = usage(Pool(name="p", cidr="2001:db8::/32", reserved=("2001:db8::/64",)), [], [], NOW)
    assert found.free == 2**96 - 2**64
    assert found.forecast.why == "nothing is assigned"


parts = st.tuples(st.integers(0, 31), st.integers(27, 32)).map(
    lambda pair: ip_network((int(ip_address("10.0.0.0")) + pair[0], pair[1]), strict=False)
)


@given(st.lists(parts, max_size=5), parts, st.sampled_from(["10.0.0.0/27", "10.0.0.0/32", "10.0.0.4/31"]))
def test_reserved_addresses_are_those_of_the_ranges_and_the_ends(
    ranges: list[object], within: object, cidr: str
) -> None:
    whole = ip_network(cidr)
    inside = tuple(each for each in ranges if each.subnet_of(whole))
    pool = Pool(name="p", cidr=cidr, reserved=inside)
    want = {
        address
        for address in whole
        if any(address in each for each in inside) or blocks.is_reserved(pool, address)
    }
    reserved = Reserved(pool)
    assert {address for address in whole if address in reserved} == want
    assert reserved.count(within) == sum(address in within for address in want)


@pytest.mark.parametrize(
    ("ages_h", "free", "rate", "hours"),
    [
        pytest.param([h / 10 for h in range(240)], 100, 10.0, 10.0, id="a steady day"),
        pytest.param([h / 10 for h in range(20)], 100, 10.0, 10.0, id="two hours old"),
        pytest.param([0.1] * 240 + [30] * 5, 100, 10.0, 10.0, id="a burst counts as its day"),
        pytest.param([0.1] * 12, 24, 12.0, 2.0, id="minutes old counts as an hour"),
        pytest.param([5] * 48 + [30] * 5, 100, 2.0, 50.0, id="nothing in the last hour"),
        pytest.param([1.5] * 3 + [25], 10**9, 0.12, None, id="ten years or more"),
    ],
)
def test_the_rate_is_the_slower_of_hour_and_day(
    ages_h: list[float], free: int, rate: float, hours: float | None
) -> None:
    found = forecast([NOW - age * HOUR for age in ages_h], free, NOW)
    assert found.rate_per_hour == pytest.approx(rate, rel=0.06)
    if hours is None:
        assert found.exhausted_at is None
    else:
        assert found.exhausted_at is not None
        assert (found.exhausted_at - NOW) / HOUR == pytest.approx(hours, rel=0.06)


@pytest.mark.parametrize("ages_h", [[], [1, 2], [48] * 100])
def test_no_rate_is_made_up(ages_h: list[int]) -> None:
    found = forecast([NOW - age * HOUR for age in ages_h], 10, NOW)
    assert (found.rate_per_hour, found.exhausted_at) == (None, None)
    assert found.why


def test_a_full_pool_is_exhausted_now() -> None:
    assert forecast([NOW], 0, NOW).exhausted_at == NOW


def test_the_usage_of_a_pool_is_shown(plant: Api) -> None:
    for number in (1, 2):
        plant.made("/v1/endpoints", {"id": f"e{number}", "node": "node-1"})
    plant.made("/v1/endpoints", {"id": "f", "node": "node-2"})
    plant.send("DELETE", "/v1/endpoints/e1")
    found = plant.get("/v1/pools/default/usage")
    assert {key: found[key] for key in ("pool", "cidr", "size", "assignable")} == {
        "pool": "default",
        "cidr": "10.64.0.0/29",
        "size": 8,
        "assignable": 6,
    }
    assert {key: found[key] for key in ("assigned", "cooling", "reserved", "free")} == {
        "assigned": 2,
        "cooling": 1,
        "reserved": 2,
        "free": 3,
    }
    assert found["nodes"][0] == {
        "node": "node-1",
        "blocks": [{"cidr": "10.64.0.0/30", "assigned": 1, "cooling": 1, "reserved": 1, "free": 1}],
    }
    assert found["forecast"]["why"]
    assert plant.client.get("/v1/pools/nope/usage").status_code == 404
