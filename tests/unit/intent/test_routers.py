"""What a router is told: from peers, nodes and pools to its neighbours, groups and filters."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from bgp.tor.router import Router
from intent.router_check import mismatches
from intent.routers import Spoken, accepted, router, spoken, unreached
from store.model import (
    Advertise,
    Difference,
    DifferenceKind,
    Node,
    Peer,
    Pool,
    Session,
    SessionState,
    Verified,
)
from tests.support.speakers import SINCE


def node(name: str = "node-1", asn: int = 64511, **fields: Any) -> Node:
    return Node.model_validate({"name": name, "asn": asn, **fields})


def peer(name: str = "tor-a", **fields: Any) -> Peer:
    return Peer.model_validate({"name": name, "address": "10.1.1.0", "asn": 64501, **fields})


def made(nodes: list[Node], peers: list[Peer], *pools: Pool) -> Router:
    return router(spoken(peers, nodes, peers, {}), peers, pools)


def pool(cidr: str = "10.64.0.0/16", **fields: Any) -> Pool:
    return Pool.model_validate({"name": "default", "cidr": cidr, **fields})


NODES = [node(f"node-{n}", 64510 + n, next_hops=[f"10.0.0.{n}", f"fd00::{n}"]) for n in (1, 2)]
LINKS = [
    peer(f"node-{n}-tor-a", address=f"10.1.{n}.0", node=f"node-{n}", local_address=f"10.1.{n}.1")
    for n in (2, 1)
]


def test_a_peer_for_each_node_makes_one_router() -> None:
    [group] = made(NODES, LINKS).groups
    assert [
        (str(each.address), each.asn, str(each.local_address), each.node) for each in group.neighbours
    ] == [
        ("10.1.1.1", 64511, "10.1.1.0", "node-1"),
        ("10.1.2.1", 64512, "10.1.2.0", "node-2"),
    ]
    assert (group.name, group.terms.waits, group.terms.internal) == ("POLDER-V4", True, False)


def test_a_peer_for_all_nodes_has_each_at_its_next_hop_of_the_family() -> None:
    of_ipv6 = peer("tor-6", address="fd00::ffff")
    assert [str(each.address) for group in made(NODES, [peer()]).groups for each in group.neighbours] == [
        "10.0.0.1",
        "10.0.0.2",
    ]
    [group] = made(NODES, [of_ipv6]).groups
    assert group.name == "POLDER-V6"
    assert [each.address for each in group.neighbours] == [ip_address("fd00::1"), ip_address("fd00::2")]


def test_the_address_that_a_speaker_tells_is_taken_before_the_nodes_next_hop() -> None:
    told = seen(local_address=ip_address("10.1.1.7"))
    assert Spoken(NODES[0], peer(), told).address == ip_address("10.1.1.7")
    assert Spoken(NODES[0], LINKS[1], told).address == ip_address("10.1.1.1"), "it is configured"
    assert Spoken(node(), peer(), seen()).address is None


def test_a_selector_chooses_the_nodes() -> None:
    nodes = [NODES[0], node("node-2", labels={"rack": "7"}, next_hops=["10.0.0.2"])]
    [group] = made(nodes, [peer(node_selector={"rack": "7"})]).groups
    assert [each.node for each in group.neighbours] == ["node-2"]


def test_a_node_that_cannot_be_reached_is_said_to_be_missing() -> None:
    nodes = [NODES[0], node("node-2")]
    sessions = spoken([peer()], nodes, [peer()], {})
    [line] = unreached(sessions)
    assert line.startswith("node node-2: its address towards peer tor-a is not known")
    found = router(sessions, [peer()], [])
    assert [each.node for group in found.groups for each in group.neighbours] == ["node-1"]
    assert f"MISSING: {line}" in found.notes
    assert unreached([]) == ["no node speaks with it"]


def test_neighbours_with_other_terms_are_a_group_of_their_own() -> None:
    odd = peer(
        "odd", address="10.1.2.0", node="node-2", password_secret="tor-md5", hold_time_s=9, passive=True
    )
    plain, secured = made(NODES, [LINKS[1], odd]).groups
    assert (plain.name, secured.name) == ("POLDER-V4", "POLDER-V4-2")
    assert (secured.terms.secret, secured.terms.keepalive_s, secured.terms.waits) == ("tor-md5", 3, False)


def test_the_routers_limit_is_above_our_own() -> None:
    [group] = made(NODES[:1], [peer(max_prefixes=1001)]).groups
    assert group.terms.maximum_prefix == 1252
    assert 1252 * 80 // 100 >= 1001


def test_what_nodes_import_is_what_the_router_exports() -> None:
    [group] = made(
        NODES[:1], [peer(imports=["default-route", "192.0.2.0/24"], families=["ipv4", "ipv6"])]
    ).groups
    assert [str(each) for each in group.terms.exports] == ["0.0.0.0/0", "::/0", "192.0.2.0/24"]


def test_a_router_of_the_nodes_own_as_is_internal() -> None:
    [group] = made(NODES[:1], [peer(asn=64511)]).groups
    assert group.terms.internal
    [group] = made(NODES[:1], [peer(asn=64511, local_asn=64999)]).groups
    assert (group.terms.internal, group.neighbours[0].asn) == (False, 64999)


def test_peers_of_two_routers_are_refused() -> None:
    with pytest.raises(ValueError, match="of AS 64501 and 64502"):
        made(NODES, [peer(), peer("tor-b", address="10.2.1.0", asn=64502)])
    with pytest.raises(ValueError, match=r"10\.0\.0\.1 would be its neighbour twice"):
        made(NODES, [peer(), peer("tor-b", address="10.2.1.0")])


@pytest.mark.parametrize(
    ("fields", "entries"),
    [
        ({}, [("10.64.0.0/16", 26, 32)]),
        ({"advertise": Advertise.HOST}, [("10.64.0.0/16", 32, 32)]),
        ({"advertise": Advertise.NONE}, []),
        ({"cidr": "fd64::/112"}, [("fd64::/112", 122, 128)]),
        ({"cidr": "10.64.0.0/26"}, [("10.64.0.0/26", 26, 32)]),
    ],
)
def test_what_is_taken_of_a_pool(fields: dict[str, Any], entries: list[tuple[str, int, int]]) -> None:
    assert [(str(each.cidr), each.shortest, each.longest) for each in accepted([pool(**fields)])] == entries


UP = SessionState.ESTABLISHED


def seen(state: SessionState = UP, reason: str = "", **fields: Any) -> Session:
    return Session(
        node="node-1",
        peer="tor-a",
        address=ip_address("10.1.1.0"),
        asn=64501,
        state=state,
        since=SINCE,
        reason=reason,
        **fields,
    )


@pytest.mark.parametrize(
    ("session", "speaks", "what", "cure"),
    [
        (seen(advertised=8000), False, "speaker", "start it on node node-1"),
        (None, True, "session", "see the log"),
        (seen(SessionState.ACTIVE), True, "session", "has the router the neighbour 10.0.0.1"),
        (
            seen(SessionState.IDLE, "no route to 10.1.1.0, so no address to speak from"),
            True,
            "session",
            "give node node-1 a route to 10.1.1.0",
        ),
        (
            seen(SessionState.IDLE, "peer sent NOTIFICATION: OPEN Message Error, Bad Peer AS (2/2)"),
            True,
            "session",
            "the router has to be of AS 64501, and its neighbour 10.0.0.1 of AS 64511",
        ),
        (
            seen(
                SessionState.IDLE, "peer sent NOTIFICATION: Cease, Maximum Number of Prefixes Reached (6/1)"
            ),
            True,
            "session",
            "raise its limit for 10.0.0.1",
        ),
        (
            seen(reason="goes on as it was configured before: secret tor-a: no such file"),
            True,
            "configuration",
            "put the file there at node node-1",
        ),
        (
            seen(reason="goes on as it was configured before: local_pref of peer tor-a is for"),
            True,
            "configuration",
            "correct peer tor-a or node node-1",
        ),
        (seen(advertised=8001), True, "prefixes", "raise max_prefixes of peer tor-a"),
        (seen(guarded=1, guarded_why="10.64.0.0/16: the whole of it"), True, "guard", "correct the pool"),
    ],
)
def test_what_is_wrong_with_a_session(session: Session | None, speaks: bool, what: str, cure: str) -> None:
    [found] = mismatches([Spoken(NODES[0], peer(), session)], {"node-1"} if speaks else set(), {})
    assert (found.node, found.peer, found.what) == ("node-1", "tor-a", what)
    assert cure in found.cure


def test_nothing_is_wrong_with_a_session_that_is_up() -> None:
    assert mismatches([Spoken(NODES[0], peer(), seen(advertised=8000))], {"node-1"}, {}) == []


def test_what_the_router_refuses_is_told_with_an_example() -> None:
    prefixes = [ip_network("10.64.0.0/26"), ip_network("10.64.1.0/26")]
    refused = [
        Difference(kind=DifferenceKind.MISSING, prefix=each, cause="its policy", since=SINCE)
        for each in prefixes
    ]
    verified = Verified(
        node="node-1",
        peer="tor-a",
        router=ip_address("10.1.1.0"),
        controller="c-1",
        since=SINCE,
        missing=7,
        differences=tuple(refused),
    )
    session = Spoken(NODES[0], peer(), seen())
    [found] = mismatches([session], {"node-1"}, {("node-1", "tor-a"): verified})
    assert found.found == "7 missing, such as 10.64.0.0/26: its policy"
    assert "polder tor config tor-a" in found.cure
    good = verified.model_copy(update={"missing": 0, "differences": ()})
    assert mismatches([session], {"node-1"}, {("node-1", "tor-a"): good}) == []
