"""Stored values: what is accepted, what is refused and in which words, what is filled in."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from store.model import Endpoint, Node, Peer, Pool, Value

POOL = {"name": "default", "cidr": "10.64.0.0/16"}
NODE = {"name": "node-1", "asn": 64511}
PEER = {"name": "tor-a", "address": "10.1.1.0", "asn": 64501}
ENDPOINT = {
    "id": "web",
    "node": "node-1",
    "uid": "0" * 32,
    "pools": ["default"],
    "addresses": ["10.64.0.1"],
    "mac": "02:70:0a:40:00:01",
}


@pytest.mark.parametrize(
    ("model", "given", "where", "words"),
    [
        (Pool, {**POOL, "cidr": "10.64.0.7/16"}, "cidr", "the network is 10.64.0.0/16"),
        (Pool, {**POOL, "cidr": "10.64.0.0"}, "cidr", "such as 10.64.0.0/16"),
        (Pool, {**POOL, "cidr": 7}, "cidr", "as text"),
        (Pool, {**POOL, "cidr": "fd00::%eth0/64"}, "cidr", "zone"),
        (Pool, {**POOL, "cidr": "fd00::%x\n!evil\nrouter bgp 1/64"}, "cidr", "zone"),
        (Pool, {**POOL, "reserved": ["10.64.0.0/24", "fd00::%/64"]}, "reserved", "zone"),
        (Pool, {**POOL, "reserved": ["fd00::1%x"]}, "reserved", "zone"),
        (Pool, {**POOL, "gateway": "fd00::1%x"}, "gateway", "zone"),
        (Peer, {**PEER, "imports": ["fd00::%x/64"]}, "imports", "zone"),
        (Node, {**NODE, "next_hops": ["fd00::1%x"]}, "next_hops", "zone"),
        (Pool, {**POOL, "cidr": "0.0.0.0/0"}, "", "hosts can have addresses"),
        (Pool, {**POOL, "cidr": "224.0.0.0/8"}, "", "hosts can have addresses"),
        (Pool, {**POOL, "cidr": "169.254.0.0/16"}, "", "hosts can have addresses"),
        (Pool, {**POOL, "block_prefixlen": 15}, "", "use 20 to 32"),
        (Pool, {**POOL, "block_prefixlen": 33}, "", "use 20 to 32"),
        (Pool, {**POOL, "block_prefixlen": "26"}, "block_prefixlen", "integer"),
        (Pool, {**POOL, "name": "Default"}, "name", "pattern"),
        (Pool, {**POOL, "name": "a/b"}, "name", "pattern"),
        (Pool, {**POOL, "name": "a" * 64}, "name", "pattern"),
        (Pool, {**POOL, "color": "red"}, "color", "not permitted"),
        (Pool, {**POOL, "cooldown_s": -1}, "cooldown_s", "greater than or equal to 0"),
        (Pool, {**POOL, "advertise": "rack"}, "advertise", "'block', 'host', 'summary' or 'none'"),
        (Node, {**NODE, "asn": 0}, "asn", "greater than or equal to 1"),
        (Node, {**NODE, "asn": 23456}, "asn", "reserved"),
        (Node, {**NODE, "asn": 4294967296}, "asn", "less than or equal to"),
        (Node, {**NODE, "asn": True}, "asn", "integer"),
        (Node, {**NODE, "mtu_bytes": 1279}, "mtu_bytes", "1280"),
        (Node, {**NODE, "labels": {"a b": "c"}}, "labels", "pattern"),
        (Peer, {**PEER, "hold_time_s": 2}, "", "0 (no keepalives) or at least 3"),
        (Peer, {**PEER, "graceful_restart_s": 4096}, "graceful_restart_s", "4095"),
        (Peer, {**PEER, "address": "10.1.1.0/31"}, "address", "not an IPv4 or IPv6 address"),
        (Peer, {**PEER, "address": "fe80::1%eth0"}, "address", "zone"),
        (Peer, {**PEER, "address": "127.0.0.1"}, "address", "unicast"),
        (Peer, {**PEER, "local_address": "fd00::1"}, "", "different families"),
        (Endpoint, {**ENDPOINT, "mac": "01:00:5e:00:00:01"}, "mac", "unicast MAC"),
        (Endpoint, {**ENDPOINT, "addresses": []}, "addresses", "at least 1"),
        (Endpoint, {**ENDPOINT, "id": "../x"}, "id", "pattern"),
    ],
)
def test_what_is_refused_names_the_field_and_what_is_right(
    model: type[Value], given: dict[str, Any], where: str, words: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(given)
    found = refused.value.errors()
    assert any(where in map(str, one["loc"]) or (not where and not one["loc"]) for one in found), found
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("cidr", "prefixlen"),
    [
        ("10.64.0.0/16", 26),
        ("10.64.0.0/28", 28),
        ("10.64.0.7/32", 32),
        ("fd00::/48", 122),
        ("fd00::/126", 126),
    ],
)
def test_the_size_of_a_block_follows_the_family_and_the_pool(cidr: str, prefixlen: int) -> None:
    assert Pool.model_validate({**POOL, "cidr": cidr}).block_prefixlen == prefixlen


def test_a_value_cannot_be_changed_and_equals_its_like() -> None:
    one, other = Pool.model_validate(POOL), Pool.model_validate(POOL)
    assert one == other
    with pytest.raises(ValidationError, match="frozen"):
        one.cooldown_s = 1


def test_a_mac_address_has_one_spelling() -> None:
    given = {**ENDPOINT, "mac": "02:70:0A:40:00:01"}
    assert Endpoint.model_validate(given) == Endpoint.model_validate(ENDPOINT)
