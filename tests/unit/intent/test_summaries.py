"""A pool that is announced as one prefix: who announces what to whom, and by which routes it is whole."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from agents.parts import Parts
from intent.advertisements import advertisements
from intent.names import BRIDGE, DISPLACED_TABLE, MAIN_TABLE
from intent.routes import Route, RouteKind, range_routes, route_parts
from intent.summaries import summaries
from store.model import Advertise, Node, Pool, Value
from tests.support.cluster import BOOT, NODE, block, displaced, endpoint, hold, peer, ready, snapshot

RANGE, BLOCK, MOVED = "10.64.0.0/16", "10.64.0.0/26", "10.64.9.1"
NO_EXPORT = ((65535, 65281),)
RACK = {"rack": "7"}


def pool(**more: object) -> Pool:
    given = {"name": "default", "cidr": RANGE, "advertise": Advertise.SUMMARY, "node_selector": RACK}
    return Pool.model_validate({**given, **more})


def node(**labels: str) -> Node:
    return Node(name=NODE, asn=64511, labels=labels)


HERE = [node(rack="7"), block(), peer(), ready(BLOCK), ready(RANGE)]
GUEST = [endpoint(address=MOVED), ready(f"{MOVED}/32")]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([pool(), *HERE], {RANGE: (), BLOCK: NO_EXPORT}),
        # Nothing of it is announced that does not end what nobody holds.
        ([pool(), *HERE[:-1]], {BLOCK: NO_EXPORT}),
        # An address of another node of the rack is for the router alone, as a block is.
        ([pool(), *HERE, *GUEST], {RANGE: (), BLOCK: NO_EXPORT, f"{MOVED}/32": NO_EXPORT}),
        # Outside the rack it is the exception that everybody has to know.
        ([pool(), node(rack="8"), peer(), *GUEST], {f"{MOVED}/32": ()}),
        ([pool(), node(rack="8"), *HERE[1:]], {BLOCK: ()}),
        ([pool(), node(rack="7"), peer(), ready(RANGE)], {}),
        ([pool(cidr=BLOCK, block_prefixlen=26), *HERE], {BLOCK: ()}),
        ([pool(advertise=Advertise.BLOCK), *HERE], {BLOCK: ()}),
    ],
)
def test_what_a_peer_is_told(values: list[Value], expected: dict[str, tuple[tuple[int, int], ...]]) -> None:
    made = advertisements(snapshot(*values), peer(), BOOT)
    assert {str(prefix): one.communities for prefix, one in made.items()} == expected


def test_without_a_router_there_is_no_way_around_the_blackhole_so_there_is_none() -> None:
    alone = snapshot(pool(), node(rack="7"), block())
    assert summaries(alone) == {}
    made = range_routes(alone, [ip_network(RANGE)], {})
    assert [route.kind for route in made.values()] == [RouteKind.BLACKHOLE], "as it goes"


def test_inside_the_range_only_what_the_main_table_decides_alone_is_left_to_it() -> None:
    service, router = ip_network("10.64.8.1/32"), (ip_address("10.0.1.0"),)
    own = [
        Route(ip_network(BLOCK), kind=RouteKind.BLACKHOLE),
        Route(ip_network(f"{MOVED}/32"), oif=BRIDGE),
        Route(ip_network("10.64.0.1/32"), oif=BRIDGE),  # its block is enough
        Route(ip_network("10.65.0.1/32"), oif=BRIDGE),  # not in the range
        Route(ip_network("fd00::1/128"), oif=BRIDGE),
        Route(service, kind=RouteKind.BLACKHOLE),  # for others; the node itself goes by the routers
        Route(service, DISPLACED_TABLE, gateways=router),
        Route(ip_network("10.64.9.2/32"), DISPLACED_TABLE, gateways=router),
    ]
    made = range_routes(snapshot(pool(), *HERE), [ip_network(RANGE)], {each.key: each for each in own})
    thrown = [str(key.destination) for key, route in made.items() if route.kind is RouteKind.THROW]
    assert thrown == [BLOCK, f"{MOVED}/32"]


def test_the_range_is_a_blackhole_that_the_nodes_own_packets_go_around() -> None:
    held = hold([endpoint(), endpoint("guest", MOVED)])
    told = snapshot(pool(), *HERE, displaced("10.64.0.5"))
    own = dict(Parts(route_parts(told, held)))
    made = {
        (str(key.destination), key.table): (route.kind.value, [str(one) for one in route.gateways])
        for key, route in (own | range_routes(told, summaries(told), own)).items()
    }
    assert made == {
        (RANGE, MAIN_TABLE): ("blackhole", []),
        (BLOCK, MAIN_TABLE): ("blackhole", []),
        ("10.64.0.1/32", MAIN_TABLE): ("unicast", []),
        (f"{MOVED}/32", MAIN_TABLE): ("unicast", []),
        (RANGE, DISPLACED_TABLE): ("unicast", ["10.0.1.0"]),
        (BLOCK, DISPLACED_TABLE): ("throw", []),
        (f"{MOVED}/32", DISPLACED_TABLE): ("throw", []),
        ("10.64.0.5/32", DISPLACED_TABLE): ("unicast", ["10.0.1.0"]),
    }
