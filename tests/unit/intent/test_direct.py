"""The routes between nodes on one segment, as a host looks them up: who gets a packet, and that it ends."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.node.desired import desired_of
from intent.names import DISPLACED_TABLE, MAIN_TABLE
from intent.routes import Route, RouteKey, RouteKind
from intent.services import Serving
from intent.snapshot import Snapshot
from store.model import Displaced, Endpoint, Node, OnLink, Value
from tests.support.cluster import block, displaced, endpoint, hold, peer, pool, service, snapshot

ROUTER = "10.0.1.0"
HOPS = {"node-1": "192.0.2.1", "node-2": "192.0.2.2", "node-3": "192.0.2.3"}
BLOCKS = {"node-1": "10.64.0.0/26", "node-2": "10.64.0.64/26", "node-3": "10.64.0.128/26"}


def node(name: str = "node-1", direct: str | None = "rack") -> Node:
    return Node.model_validate({"name": name, "asn": 64511, "next_hops": [HOPS[name]], "direct": direct})


def on_link(name: str, *elsewhere: tuple[str, str]) -> OnLink:
    """What is told of a node: its block, and of this who has which address on which node."""
    moved = [Displaced(address=ip_address(one), endpoint="moved", node=other) for one, other in elsewhere]
    hops = (ip_address(HOPS[name]),)
    return OnLink(node=name, next_hops=hops, blocks=(ip_network(BLOCKS[name]),), displaced=tuple(moved))


def table(known: Snapshot, *held: Endpoint) -> dict[RouteKey, Route]:
    return dict(desired_of(known, hold(held), {}, [], [])[2])


def way(routes: dict[RouteKey, Route], address: str, *, mine: bool = True) -> str:
    """Where a packet goes: a next hop, `here`, `nowhere`, or `default` for the host's default route.

    Args:
        mine: it is of this node or its endpoints; else it came by a router or another node.
    """
    for number in (DISPLACED_TABLE, MAIN_TABLE) if mine else (MAIN_TABLE,):
        found = [
            route
            for key, route in routes.items()
            if key.table == number and ip_address(address) in route.destination
        ]
        best = max(found, key=lambda route: route.destination.prefixlen, default=None)
        if best is not None and best.kind is not RouteKind.THROW:
            if best.kind is RouteKind.BLACKHOLE:
                return "nowhere"
            return str(best.gateways[0]) if best.gateways else "here"
    return "default"


BASE: tuple[Value, ...] = (pool(), peer(address=ROUTER), block())
REMOTE = "10.64.0.70"


@pytest.mark.parametrize(
    ("values", "goes"),
    [
        ([node(), on_link("node-2")], HOPS["node-2"]),
        ([node(direct=None), on_link("node-2")], "default"),
        ([node()], "default"),
        ([node(), on_link("node-2", (REMOTE, "node-3")), on_link("node-3")], HOPS["node-3"]),
        ([node(), on_link("node-2", (REMOTE, "node-9"))], ROUTER),
        ([node(), on_link("node-2"), service(address=REMOTE)], ROUTER),
    ],
)
def test_what_is_on_the_segment_needs_no_router(values: list[Value], goes: str) -> None:
    routes = table(snapshot(*BASE, *values))
    assert way(routes, REMOTE) == goes
    assert way(routes, REMOTE, mine=False) == "default", "what a router sends here is not sent on"


def test_what_is_here_is_not_sought_elsewhere() -> None:
    here = endpoint(address=REMOTE)
    known = snapshot(*BASE, node(), on_link("node-2", (REMOTE, "node-1")), here)
    assert way(table(known, here), REMOTE) == "here"
    assert way(table(known, here), REMOTE, mine=False) == "here"


def test_a_service_that_is_elsewhere_is_an_exception_only_inside_the_blocks_of_others() -> None:
    known = snapshot(*BASE, node(), on_link("node-2"), service(address="10.64.9.9"))
    assert RouteKey(ip_network("10.64.9.9/32"), DISPLACED_TABLE) not in table(known)
    (one,) = hold([endpoint()])
    known = snapshot(*BASE, node(), on_link("node-2"), service(address=REMOTE), endpoint())
    served = {"www": Serving(service(address=REMOTE), (one,), (one,))}
    routes = dict(desired_of(known, [one], served, [], [])[2])
    assert (way(routes, REMOTE), way(routes, REMOTE, mine=False)) == ("here", "here")


def test_what_has_moved_to_the_segment_is_sent_there_and_ends_here_for_others() -> None:
    known = snapshot(*BASE, node(), on_link("node-2"), displaced("10.64.0.1"))
    assert way(table(known), "10.64.0.1") == HOPS["node-2"]
    assert way(table(known), "10.64.0.1", mine=False) == "nowhere"


def test_a_node_with_the_same_address_is_not_sent_to() -> None:
    twin = on_link("node-2").model_copy(update={"next_hops": (ip_address(HOPS["node-1"]),)})
    assert way(table(snapshot(*BASE, node(), twin)), REMOTE) == "default"


@settings(deadline=None)
@given(st.data())
def test_no_packet_goes_round(data: st.DataObject) -> None:
    """Whoever has an address, and whatever each node believes of that: a packet ends within a few hops."""
    address, owner = REMOTE, "node-2"
    tables = {}
    holders = data.draw(st.sets(st.sampled_from(list(HOPS))))
    for name in HOPS:
        believed = data.draw(st.sampled_from([*HOPS, "node-9", None]))
        tables[name] = _table_of(name, address, owner, believed, holds=name in holders)
    # To whom the routers send it: who announces it delivers it, and the owner its block.
    announced = data.draw(st.sampled_from([owner, *sorted(holders)]))
    for first in HOPS:
        assert len(list(_path(tables, first, address, announced))) <= 3


def _table_of(
    name: str, address: str, owner: str, believed: str | None, *, holds: bool
) -> dict[RouteKey, Route]:
    values: list[Value] = [node(name), peer(node=name, address=ROUTER), pool()]
    moved = [(address, believed)] if believed not in {None, owner} else []
    for other in HOPS:
        if other == name:
            values.append(block(BLOCKS[name], node=name))
        else:
            values.append(on_link(other, *(moved if other == owner else [])))
    if owner == name and believed not in {None, owner}:
        values.append(displaced(address, str(believed)))
    here = endpoint(address=address, node=name)
    return table(snapshot(*values, *([here] if holds else []), node=name), *([here] if holds else []))


def _path(
    tables: dict[str, dict[RouteKey, Route]], first: str, address: str, announced: str
) -> Iterator[str]:
    """The nodes that a packet of one of them passes."""
    at, mine = first, True
    for _ in range(20):
        yield at
        goes = way(tables[at], address, mine=mine)
        if goes in {"here", "nowhere"}:
            return
        at = next((name for name, hop in HOPS.items() if hop == goes), announced)
        mine = False
