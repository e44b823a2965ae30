"""PeerConfig: what it refuses, and what it fills in."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest

from bgp.peer import Family, PeerConfig

GOOD = PeerConfig(
    peer_address=IPv4Address("10.9.0.0"),
    peer_asn=64501,
    local_address=IPv4Address("10.9.0.1"),
    local_asn=64511,
    router_id=IPv4Address("10.9.0.1"),
)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"peer_address": IPv6Address("fd09::1")}, "not of one family"),
        ({"local_address": GOOD.peer_address}, "own address"),
        ({"peer_asn": 0}, "peer_asn 0"),
        ({"local_asn": 2**32}, "local_asn 4294967296"),
        ({"router_id": IPv4Address(0)}, "router_id"),
        ({"hold_time_s": 2}, "hold_time_s 2"),
        ({"hold_time_s": 65536}, "hold_time_s 65536"),
        ({"graceful_restart_s": 4096}, "graceful_restart_s 4096"),
        ({"graceful_restart_s": -1}, "graceful_restart_s -1"),
        ({"password": ""}, "1 to 80 bytes"),
        ({"password": "é" * 41}, "1 to 80 bytes"),
        ({"multihop_ttl": 1}, "multihop_ttl 1"),
        ({"multihop_ttl": 256}, "multihop_ttl 256"),
        ({"multihop_ttl": 2, "gtsm": True}, "exclude each other"),
        ({"keepalive_s": 31}, "keepalive_s 31 is not 1 to 30"),
        ({"keepalive_s": 1, "hold_time_s": 0}, "keepalive_s 1"),
    ],
)
def test_it_says_what_is_wrong(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(GOOD, **change)


@pytest.mark.parametrize("hold_time_s", [0, 3, 65535])
def test_hold_times_that_the_rfc_allows(hold_time_s: int) -> None:
    assert replace(GOOD, hold_time_s=hold_time_s).hold_time_s == hold_time_s


def test_families_are_those_of_the_addresses_when_none_is_named() -> None:
    six = replace(GOOD, peer_address=ip_address("fd09::"), local_address=ip_address("fd09::1"), families=())
    assert GOOD.families == (Family.IPV4_UNICAST,)
    assert six.families == (Family.IPV6_UNICAST,)


def test_the_order_of_families_makes_no_difference() -> None:
    both = (Family.IPV6_UNICAST, Family.IPV4_UNICAST)
    assert replace(GOOD, families=both) == replace(GOOD, families=both[::-1])


def test_a_password_is_not_shown() -> None:
    assert "hush" not in repr(replace(GOOD, password="hush-hush"))
