"""What an edge announces for all nodes, from values that a feed brings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intent.cluster import ClusterView
from intent.edge import Edge, present
from store import keys
from store.model import Alive, Block, Lost, Node, Peer, Pool, Program, Ready, Value

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SPINE = Peer.model_validate({"name": "spine", "address": "192.0.2.9", "asn": 64509, "announces": "all"})
EDGE = Node.model_validate({"name": "edge-1", "asn": 64600, "edge": True})


def node(number: int) -> tuple[str, Value]:
    name = f"node-{number}"
    return keys.NODES.key(name), Node.model_validate(
        {"name": name, "asn": 64512, "next_hops": [f"192.0.2.{10 + number}"]}
    )


def block(number: int) -> tuple[str, Value]:
    cidr, name = ip_network(f"10.64.{number}.0/26"), f"node-{number}"
    return keys.NODE_BLOCKS.key(name, cidr), Block(cidr=cidr, pool="default", node=name)


def ready(number: int, boot_id: str = "now") -> tuple[str, Value]:
    cidr, name = ip_network(f"10.64.{number}.0/26"), f"node-{number}"
    return keys.READY.key(name, cidr), Ready(prefix=cidr, node=name, boot_id=boot_id)


def alive(number: int, boot_id: str = "now", program: Program = Program.AGENT) -> tuple[str, Value]:
    name = f"node-{number}"
    return keys.ALIVE.key(name, program.value), Alive(
        node=name, program=program, boot_id=boot_id, started=NOW
    )


def lost(number: int, ago_s: int) -> tuple[str, Value]:
    name = f"node-{number}"
    return keys.LOST.key(name), Lost(node=name, since=NOW - timedelta(seconds=ago_s))


POOL: tuple[str, Value] = keys.POOLS.key("default"), Pool(name="default", cidr=ip_network("10.64.0.0/16"))
WHOLE = [POOL, *(part for number in (1, 2) for part in (node(number), block(number), ready(number)))]


def announced(*values: tuple[str, Value], peer: Peer = SPINE) -> dict[str, str]:
    view = ClusterView()
    for key, value in values:
        view.put(key, value)
    members = present(view.members, peer, NOW.timestamp())
    made = Edge().advertisements(members, EDGE, peer)
    return {str(prefix): str(one.next_hop) for prefix, one in made.items()}


BOTH = {"10.64.1.0/26": "192.0.2.11", "10.64.2.0/26": "192.0.2.12"}
ONE = {"10.64.2.0/26": "192.0.2.12"}


@given(st.permutations(WHOLE))
def test_each_nodes_prefixes_with_that_node_as_next_hop(values: list[tuple[str, Value]]) -> None:
    assert announced(*values) == BOTH


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([alive(1)], BOTH),
        ([alive(1, "another boot")], ONE),
        ([alive(1, "another boot", Program.SPEAKER)], BOTH),
        ([lost(1, 119)], BOTH),
        ([lost(1, 120)], ONE),
        ([(keys.NODES.key("node-1"), Node(name="node-1", asn=64512))], ONE),
    ],
)
def test_what_a_node_may_have_announced_for_it(
    more: list[tuple[str, Value]], expected: dict[str, str]
) -> None:
    assert announced(*WHOLE, *more) == expected


def test_a_node_that_is_not_registered_has_nothing_announced() -> None:
    assert announced(POOL, *WHOLE[4:], block(1), ready(1)) == ONE


def test_the_as_path_is_the_edges() -> None:
    view = ClusterView()
    for key, value in WHOLE:
        view.put(key, value)
    peer = SPINE.model_copy(update={"as_path_prepend": 1})
    made = Edge().advertisements(view.members, EDGE, peer)
    assert {one.as_path for one in made.values()} == {(64600, 64600)}


def test_what_has_not_changed_is_not_worked_out_again() -> None:
    view, edge = ClusterView(), Edge()
    for key, value in WHOLE:
        view.put(key, value)
    before = edge.advertisements(view.members, EDGE, SPINE)
    members = view.members
    view.delete(ready(1)[0])
    after = edge.advertisements(view.members, EDGE, SPINE)
    kept = ip_network("10.64.2.0/26")
    assert set(after) == {kept}
    assert after[kept] is before[kept]
    assert view.members["node-2"] is members["node-2"]
    view.put(*ready(1))
    assert edge.advertisements(view.members, EDGE, SPINE) == before
    assert before[kept].next_hop == ip_address("192.0.2.12")


@pytest.mark.parametrize("first", [None, "node-1"])
@pytest.mark.parametrize("then", [None, "node-2"])
def test_a_peer_that_was_made_anew_is_that_of_its_new_nodes(first: str | None, then: str | None) -> None:
    view, key = ClusterView(), keys.PEERS.key("tor")
    for each, value in WHOLE:
        view.put(each, value)
    for node_name in (first, then):
        peer = SPINE.model_copy(update={"name": "tor", "announces": "own", "node": node_name})
        view.put(key, peer)
    speaking = {name for name, member in view.members.items() if member.snapshot.peers}
    assert speaking == ({then} if then else {"node-1", "node-2"})
