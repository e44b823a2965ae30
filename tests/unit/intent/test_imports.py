"""Which kernel routes follow from what peers announce."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from bgp.adj_rib_in import Path
from intent.imports import imports
from intent.routes import Route
from store.model import Pool

DEFAULT = ip_network("0.0.0.0/0")
A, B, C = (ip_address(f"10.9.0.{number}") for number in (0, 2, 4))
POOL = Pool(name="default", cidr="10.64.0.0/16")


def gateways(**paths: Path) -> tuple[str, ...]:
    """By which ways the default route goes."""
    made = imports({peer: {DEFAULT: path} for peer, path in paths.items()}, [POOL])
    route = made[DEFAULT].route
    return tuple(map(str, route.gateways)) if route is not None else ()


def test_equal_paths_are_one_route_with_the_gateways_in_order() -> None:
    assert gateways(b=Path(B, (64502,)), a=Path(A, (64501,))) == (str(A), str(B))
    made = imports({"b": {DEFAULT: Path(B)}, "a": {DEFAULT: Path(A)}}, [])
    assert made[DEFAULT].route == Route(DEFAULT, gateways=(A, B))
    assert made[DEFAULT].route.reason == "taken from a, b"


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (Path(A, (64501, 64999), local_pref=200), Path(B, (64502,))),
        (Path(A, (64501, 64999)), Path(B, (64502,), local_pref=99)),
        (Path(A, (64501,), med=100), Path(B, (64502, 64999), med=0)),
        (Path(A, (64501,)), Path(B, (64501,), med=1)),
        (Path(A), Path(B, med=1)),
    ],
    ids=["LOCAL_PREF", "LOCAL_PREF of 100", "AS path", "MED of one AS", "MED of the own AS"],
)
def test_the_better_path_alone_is_used(better: Path, worse: Path) -> None:
    assert gateways(a=better, b=worse) == (str(A),)


def test_the_med_of_different_ases_is_not_compared() -> None:
    assert gateways(a=Path(A, (64501,), med=7), b=Path(B, (64502,)), c=Path(C, (64502,), med=1)) == (
        str(A),
        str(B),
    )


def test_two_sessions_with_one_next_hop_are_one_gateway() -> None:
    assert gateways(a=Path(A, (64501,)), b=Path(A, (64502,))) == (str(A),)


def test_a_stale_path_is_used_like_another() -> None:
    assert gateways(a=Path(A, (64501,), stale=True), b=Path(B, (64502,))) == (str(A), str(B))


@pytest.mark.parametrize("prefix", ["10.64.0.0/26", "10.64.7.7/32"])
def test_nothing_inside_of_a_pool_is_installed(prefix: str) -> None:
    made = imports({"a": {ip_network(prefix): Path(A)}}, [POOL])[ip_network(prefix)]
    assert made.route is None
    assert made.reason == "it is inside of pool default, 10.64.0.0/16"


@pytest.mark.parametrize(
    "prefix", ["10.64.0.0/16", "10.64.0.0/10", "10.0.0.0/8", "10.65.0.0/26", "2001:db8::/64"]
)
def test_what_a_pool_is_inside_of_or_apart_from_is_installed(prefix: str) -> None:
    network = ip_network(prefix)
    hop = A if network.version == 4 else ip_address("fd09::")
    assert imports({"a": {network: Path(hop)}}, [POOL])[network].route == Route(network, gateways=(hop,))


def test_a_link_local_next_hop_is_left_out_and_told() -> None:
    prefix, hop, bad = ip_network("::/0"), ip_address("fd09::"), ip_address("fe80::1")
    both = imports({"a": {prefix: Path(hop)}, "b": {prefix: Path(bad)}}, [])[prefix]
    assert both.route == Route(prefix, gateways=(hop,))
    assert both.reason == "next hop fe80::1 of b is link-local"
    assert imports({"b": {prefix: Path(bad)}}, [])[prefix].route is None
