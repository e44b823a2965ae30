"""The kernel routes of a node: endpoints, blackholes, and the way to what is displaced."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address, ip_network

from agents.parts import Parts
from intent.held import Held
from intent.names import BRIDGE, DISPLACED_TABLE, MAIN_TABLE
from intent.neighbours import neighbour_parts
from intent.routes import Route, RouteKey, RouteKind, route_parts, rules
from intent.snapshot import Snapshot
from tests.support.cluster import block, displaced, endpoint, hold, moving, peer, pool, snapshot


def routes(told: Snapshot, held: Collection[Held]) -> Parts[RouteKey, Route]:
    """All of a node's, by what they are found by."""
    return Parts(route_parts(told, held))


def test_an_endpoint_gets_a_host_route_and_a_neighbour() -> None:
    held = hold([endpoint()])
    made = routes(snapshot(pool()), held)
    assert made == {RouteKey(ip_network("10.64.0.1/32")): Route(ip_network("10.64.0.1/32"), oif=BRIDGE)}
    ((neighbour,),) = (part.values() for part in neighbour_parts(held))
    assert (neighbour.oif, neighbour.address, neighbour.mac) == (
        BRIDGE,
        ip_address("10.64.0.1"),
        "02:70:0a:40:00:01",
    )


def test_what_is_behind_a_neighbour_is_routed_as_what_has_a_port_of_its_own() -> None:
    alone, behind = hold([endpoint()]), [Held(endpoint(), 0x8010, (ip_address("192.0.2.7"),), shared=1)]
    assert routes(snapshot(pool()), behind) == routes(snapshot(pool()), alone)
    assert neighbour_parts(behind) == neighbour_parts(alone)


def test_a_block_ends_in_a_blackhole() -> None:
    (route,) = routes(snapshot(pool(), block()), []).values()
    assert (route.destination, route.kind, route.table) == (
        ip_network("10.64.0.0/26"),
        RouteKind.BLACKHOLE,
        MAIN_TABLE,
    )


def test_a_displaced_address_goes_by_every_router_of_its_family() -> None:
    peers = [
        peer("tor-b", "10.0.2.0"),
        peer("tor-a", "10.0.1.0"),
        peer("six", "fd00::1"),
        peer("other", "10.9.9.9", "node-2"),
    ]
    made = routes(snapshot(pool(), block(), displaced("10.64.0.5"), *peers), [])
    route = made[RouteKey(ip_network("10.64.0.5/32"), DISPLACED_TABLE)]
    assert route.gateways == (ip_address("10.0.1.0"), ip_address("10.0.2.0"))
    assert RouteKey(ip_network("10.64.0.5/32"), MAIN_TABLE) not in made, (
        "a router that sends it here must meet the blackhole"
    )


def test_a_displaced_address_outside_the_own_blocks_is_absent() -> None:
    assert routes(snapshot(pool(), displaced("10.64.0.5"), peer()), []) == {}


def test_without_a_router_there_is_no_way_to_a_displaced_address() -> None:
    made = routes(snapshot(pool(), block(), displaced("10.64.0.5")), [])
    assert set(made) == {RouteKey(ip_network("10.64.0.0/26"))}


def test_only_what_this_node_sends_consults_the_table_of_displaced() -> None:
    assert {(rule.iif, rule.version) for rule in rules()} == {(BRIDGE, 4), (BRIDGE, 6), ("lo", 4), ("lo", 6)}
    assert {rule.table for rule in rules()} == {DISPLACED_TABLE}


def test_what_moves_is_where_it_was_for_as_long_as_that_node_holds_it() -> None:
    way = RouteKey(ip_network("10.64.0.1/32"), DISPLACED_TABLE)
    gone = snapshot(pool(), peer(), block(), displaced("10.64.0.1"), moving(endpoint(), "node-2"))
    assert way not in routes(gone, hold([endpoint()])), "it is here still"
    assert way in routes(gone, [])
    home = snapshot(pool(), peer(), block(), endpoint(), moving(endpoint(node="node-2"), "node-1"))
    assert way in routes(home, []), "it is on node-2 still"
    assert way not in routes(home, hold([endpoint()]))
