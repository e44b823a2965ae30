"""How an uplink is shared out among who asks for something of it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from intent.held import Held
from intent.shares import FIRST, LOWEST, OTHERS, ROOT, Class, ClassKey, Discipline, Filter, FilterKey, shares
from store.model import Node, Qos, Uplink
from tests.support.cluster import endpoint

NODE = Node(name="node-1", asn=64511, uplinks=(Uplink(ifname="eth0", rate_mbps=100),))


def held(name: str, ofport: int, **qos: Any) -> Held:
    return Held(endpoint(name, f"10.64.0.{ofport}", qos=Qos(**qos) if qos else None), ofport)


def klass(name: str, ofport: int, rate: int, priority: int = LOWEST) -> Class:
    return Class("eth0", FIRST + ofport, ROOT, rate, 100_000, priority)


def test_nobody_asks_and_nothing_is_made() -> None:
    assert shares(NODE, [held("a", 1), held("b", 2, egress_rate_kbps=1000)]) == {}
    assert shares(Node(name="node-1", asn=64511), [held("a", 1, priority=5)]) == {}
    assert shares(None, [held("a", 1, priority=5)]) == {}


def test_who_asks_has_a_class_and_the_others_have_one_together() -> None:
    made = shares(NODE, [held("a", 1, guaranteed_kbps=30_000), held("b", 2, priority=7), held("c", 3)])
    assert list(made.values()) == [
        Discipline("eth0"),
        Class("eth0", ROOT, 0, 100_000, 100_000),
        Class("eth0", OTHERS, ROOT, 1000, 100_000, LOWEST),
        klass("a", 1, 30_000),
        Filter("eth0", ip_address("10.64.0.1"), FIRST + 1),
        klass("b", 2, 8, 0),
        Filter("eth0", ip_address("10.64.0.2"), FIRST + 2),
    ]


def test_more_than_there_is_is_cut_in_proportion() -> None:
    made = shares(NODE, [held("a", 1, guaranteed_kbps=150_000), held("b", 2, guaranteed_kbps=50_000)])
    rates = [share.rate_kbps for share in made.values() if isinstance(share, Class)]
    assert rates == [100_000, 1000, 74_250, 24_750]
    cut = made[ClassKey("eth0", FIRST + 1)]
    assert isinstance(cut, Class)
    assert "guaranteed are 200000 kbps in all, more than there is" in cut.reason


def test_each_uplink_has_all_of_it() -> None:
    node = NODE.model_copy(update={"uplinks": (*NODE.uplinks, Uplink(ifname="eth1", rate_mbps=10))})
    made = shares(node, [held("a", 1, guaranteed_kbps=1000)])
    assert {key.source for key in made if isinstance(key, FilterKey)} == {ip_address("10.64.0.1")}
    assert [
        share.rate_kbps for share in made.values() if isinstance(share, Class) and share.minor > FIRST
    ] == [
        1000,
        1000,
    ]
