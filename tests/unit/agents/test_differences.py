"""What differs, in words: missing, otherwise, too much; and only what is found twice."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from agents.node.explain.differences import NOT_WANTED, Port, both, unlike
from intent.neighbours import Neighbour
from intent.routes import Route, RouteKind
from openflow.cookie import Purpose
from openflow.tables import CLASSIFY, IPV4
from store.model import HeldKind, Unlike, UnlikeKind

BLOCK = Route(ip_network("10.64.0.0/26"), kind=RouteKind.BLACKHOLE, reason="block of this node")
HOST = Route(ip_network("10.64.0.7/32"), oif="polder0", reason="endpoint web-1")
AWAY = Route(ip_network("10.64.0.9/32"), table=80, gateways=(ip_address("10.1.1.0"),))


def test_each_kind_of_difference_with_its_reason() -> None:
    wanted = {each.key: each for each in (BLOCK, HOST)}
    found = {each.key: each for each in (Route(HOST.destination, oif="eth0"), AWAY)}
    assert list(unlike(HeldKind.ROUTES, wanted, found)) == [
        Unlike(
            held=HeldKind.ROUTES,
            kind=UnlikeKind.MISSING,
            key="10.64.0.0/26 table 254",
            wanted="blackhole",
            reason="block of this node",
        ),
        Unlike(
            held=HeldKind.ROUTES,
            kind=UnlikeKind.DIFFERENT,
            key="10.64.0.7/32 table 254",
            wanted="unicast dev polder0",
            found="unicast dev eth0",
            reason="endpoint web-1",
        ),
        Unlike(
            held=HeldKind.ROUTES,
            kind=UnlikeKind.UNEXPECTED,
            key="10.64.0.9/32 table 80",
            found="unicast via 10.1.1.0",
            reason=NOT_WANTED,
        ),
    ]


def test_what_is_equal_is_not_told_whatever_its_reason() -> None:
    neighbour = Neighbour("polder0", ip_address("10.64.0.7"), "02:00:00:00:00:07", reason="endpoint web-1")
    there = Neighbour("polder0", ip_address("10.64.0.7"), "02:00:00:00:00:07")
    assert not list(unlike(HeldKind.NEIGHBOURS, {neighbour.key: neighbour}, {there.key: there}))


def test_a_flow_is_told_by_table_and_purpose() -> None:
    flow = CLASSIFY.drop(50, Purpose.SPOOFED, "web-1 has other addresses", {**IPV4, "in_port": 7})
    (told,) = unlike(HeldKind.FLOWS, {flow.key: flow}, {})
    assert told.key == "classify priority=50 eth_type=0x0800,in_port=7"
    assert told.wanted == "drop (SPOOFED)"
    assert told.reason == "web-1 has other addresses"


def test_a_port_whose_link_is_gone_differs() -> None:
    wanted, found = Port("pl0", "web-1", reason="endpoint web-1"), Port("pl0", "web-1", opened=False)
    (told,) = unlike(HeldKind.PORTS, {"pl0": wanted}, {"pl0": found})
    assert (told.kind, told.found) == (
        UnlikeKind.DIFFERENT,
        "port of web-1, whose link cannot be opened",
    )


def test_what_a_pass_changes_meanwhile_is_no_difference() -> None:
    wanted = {each.key: each for each in (BLOCK, HOST)}
    first = list(unlike(HeldKind.ROUTES, wanted, {}))
    then = list(unlike(HeldKind.ROUTES, wanted, {BLOCK.key: BLOCK}))
    assert [each.key for each in both(first, then)] == ["10.64.0.7/32 table 254"]
