"""Which peers a node speaks with."""

from __future__ import annotations

from typing import Any

import pytest

from intent.peers import is_for, meeting, peers_of
from store.model import Node, Peer


def node(name: str = "node-1", **labels: str) -> Node:
    return Node(name=name, asn=64511, labels=labels)


def peer(name: str = "tor-a", address: str = "10.0.1.0", **more: Any) -> Peer:
    return Peer.model_validate({"name": name, "address": address, "asn": 64501, **more})


RACK = {"node_selector": {"rack": "7"}}


@pytest.mark.parametrize(
    ("given", "labels", "expected"),
    [
        ({}, {}, True),
        ({"node": "node-1"}, {}, True),
        ({"node": "node-2"}, {}, False),
        (RACK, {"rack": "7", "row": "2"}, True),
        (RACK, {"rack": "8"}, False),
        (RACK, {}, False),
        ({"node_selector": {"rack": "7", "row": "2"}}, {"rack": "7"}, False),
    ],
)
def test_whom_a_peer_is_for(given: dict[str, Any], labels: dict[str, str], expected: bool) -> None:
    assert is_for(peer(**given), "node-1", node(**labels)) is expected


def test_a_node_that_is_not_registered_has_no_labels() -> None:
    assert not is_for(peer(**RACK), "node-1", None)
    assert is_for(peer(), "node-1", None)


def test_of_two_with_one_address_the_first_by_name_is_spoken_with() -> None:
    values = [peer("b"), peer("a", **RACK), peer("c", "10.0.2.0")]
    for order in (values, values[::-1]):
        assert list(peers_of("node-1", node(rack="7"), order)) == ["a", "c"]
        assert list(peers_of("node-1", node(rack="8"), order)) == ["b", "c"]


def test_two_peers_meet_at_a_node_that_would_speak_with_both() -> None:
    nodes = [node("node-1", rack="6"), node("node-2", rack="7")]
    met = meeting(peer("a"), peer("b", **RACK), nodes)
    assert met is not None
    assert met.name == "node-2"
    assert meeting(peer("a"), peer("b", **RACK), nodes[:1]) is None
    assert meeting(peer("a"), peer("b", "10.0.2.0"), nodes) is None
    assert meeting(peer("a"), peer("a"), nodes) is None
