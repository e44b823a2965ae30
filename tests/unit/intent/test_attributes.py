"""The path attributes of a pool's prefixes for a peer."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from intent.attributes import Attributes, attributes
from store.model import Node, Peer, Pool

NODE = Node.model_validate({"name": "node-1", "asn": 64511, "next_hops": ["fd00::1", "10.255.0.1"]})


def peer(**more: Any) -> Peer:
    return Peer.model_validate({"name": "tor-a", "address": "10.0.1.0", "asn": 64501, **more})


def pool(**more: Any) -> Pool:
    return Pool.model_validate({"name": "default", "cidr": "10.64.0.0/16", **more})


@pytest.mark.parametrize(
    ("of_peer", "of_pool", "expected"),
    [
        ({}, {}, Attributes()),
        (
            {"communities": ["64500:2", "64500:1:3"]},
            {"communities": ["64500:1", "64500:2"]},
            Attributes(communities=((64500, 1), (64500, 2)), large_communities=((64500, 1, 3),)),
        ),
        ({"med": 0, "local_pref": 200}, {}, Attributes(med=0, local_pref=200)),
        ({"as_path_prepend": 2}, {}, Attributes(as_path=(64511, 64511, 64511))),
        ({"as_path_prepend": 1, "local_asn": 64999}, {}, Attributes(as_path=(64999, 64999))),
    ],
)
def test_attributes(of_peer: dict[str, Any], of_pool: dict[str, Any], expected: Attributes) -> None:
    assert attributes(NODE, peer(**of_peer), pool(**of_pool), 4) == expected


def test_communities_of_its_own_are_added() -> None:
    assert attributes(NODE, peer(), pool(), 4, ["65535:0"]) == Attributes(communities=((65535, 0),))


def test_a_prefix_of_another_family_has_the_nodes_own_next_hop() -> None:
    both = peer(families=["ipv4", "ipv6"])
    assert attributes(NODE, both, pool(), 6) == Attributes(next_hop=ip_address("fd00::1"))
    assert attributes(NODE, both, pool(), 4) == Attributes()


def test_what_a_session_cannot_carry_has_none() -> None:
    assert attributes(NODE, peer(), pool(), 6) is None
    assert attributes(NODE, peer(families=["ipv6"]), pool(), 4) is None
    bare = Node(name="node-1", asn=64511)
    assert attributes(bare, peer(families=["ipv6"]), pool(), 6) is None
    assert attributes(None, peer(families=["ipv6"]), pool(), 6) is None
