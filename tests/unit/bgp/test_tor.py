"""What routers are told: the text for each vendor as it was looked at, and nothing that a name could add."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from bgp.tor.prefix_list import entries
from bgp.tor.router import Accepted, Group, Router
from bgp.tor.vendors import RENDER, Vendor
from tests.support.routers import FULL, GOLDEN, ROUTERS, SIMPLE, TERMS, neighbour


@pytest.mark.parametrize("name", ROUTERS)
@pytest.mark.parametrize("vendor", Vendor)
def test_the_text_is_the_one_that_was_looked_at(name: str, vendor: Vendor) -> None:
    """After a change that is meant: `python -m tests.support.routers`, and look at the difference."""
    assert RENDER[vendor](ROUTERS[name]) == (GOLDEN / f"{name}.{vendor}").read_text()


@pytest.mark.parametrize("vendor", Vendor)
def test_every_neighbour_and_number_is_told(vendor: Vendor) -> None:
    text = RENDER[vendor](FULL)
    for group in FULL.groups:
        assert str(group.terms.maximum_prefix) in text
        for each in group.neighbours:
            assert str(each.address) in text
            assert f"polder {each.node}" in text
    assert "<secret:tor-md5>" in text
    assert FULL.notes[0] in text


@pytest.mark.parametrize("vendor", Vendor)
def test_without_pools_nothing_is_taken(vendor: Vendor) -> None:
    text = RENDER[vendor](replace(SIMPLE, accepted=()))
    assert "10.64" not in text
    refusal = {
        Vendor.BIRD: "if true then reject;",
        Vendor.JUNOS: "set policy-options policy-statement POLDER-IN then reject",
    }
    assert refusal.get(vendor, "deny 0.0.0.0/0 le 32") in text
    assert "permit 0.0.0.0/0" not in text


@pytest.mark.parametrize(
    ("cidr", "shortest", "longest", "words"),
    [
        ("10.64.0.0/16", 26, 32, "10.64.0.0/16 ge 26 le 32"),
        ("10.64.0.0/16", 16, 16, "10.64.0.0/16"),
        ("10.64.0.0/26", 26, 32, "10.64.0.0/26 le 32"),
        ("10.64.0.0/16", 32, 32, "10.64.0.0/16 ge 32"),
        ("10.64.0.1/32", 32, 32, "10.64.0.1/32"),
        ("fd64::/48", 122, 128, "fd64::/48 ge 122 le 128"),
    ],
)
def test_an_entry_of_a_prefix_list(cidr: str, shortest: int, longest: int, words: str) -> None:
    network = ip_network(cidr)
    said, last = entries([Accepted(network, shortest, longest)], network.version)
    assert said == f"seq 10 permit {words}"
    assert last.startswith("seq 20 deny ")


def test_lengths_that_a_network_cannot_have_are_refused() -> None:
    with pytest.raises(ValueError, match="no prefixes of length 8 to 32"):
        Accepted(ip_network("10.64.0.0/16"), 8, 32)
    with pytest.raises(ValueError, match="no prefixes of length 26 to 33"):
        Accepted(ip_network("10.64.0.0/16"), 26, 33)


ZONED = "fd00::%x\n!evil\nrouter bgp 1"


def test_no_address_says_more_than_an_address() -> None:
    with pytest.raises(ValueError, match="zone"):
        Accepted(ip_network(f"{ZONED}/64"), 64, 128)
    with pytest.raises(ValueError, match="zone"):
        replace(TERMS, exports=(ip_network(f"{ZONED}/64"),))
    for field in ("address", "local_address"):
        with pytest.raises(ValueError, match="zone"):
            replace(neighbour(1), **{field: ip_address(ZONED)})


def test_an_address_is_that_of_one_neighbour() -> None:
    with pytest.raises(
        ValueError, match=r"10\.1\.1\.1 would be its neighbour twice, as the address of node-1"
    ):
        replace(SIMPLE, groups=(Group(1, TERMS, (neighbour(1), neighbour(2), neighbour(1))),))


def test_no_name_says_more_than_a_name() -> None:
    with pytest.raises(ValueError, match="characters"):
        replace(neighbour(1), node="a\n no neighbor b")
    with pytest.raises(ValueError, match="characters"):
        replace(TERMS, secret='x"; # ')
    with pytest.raises(ValueError, match="characters"):
        Router(64501, (), (), notes=("a\nrouter bgp 1",))
