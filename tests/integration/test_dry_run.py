"""What a dry run predicts is what then stands in the routers' tables, with real speakers and real FRR."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from lab.lab import Lab
from lab.wait import wait_until
from tests.support.cluster import NODE
from tests.support.containers import BACK_S, Fixed, delete, make

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra")

POOL = "/v1/pools/default"
RANGE = ip_network("10.64.0.0/16")
CHANGES: dict[str, Any] = {"advertise": "host", "communities": ["64500:7"]}

Table = dict[tuple[str, str, str], frozenset[str]]
"""The communities of each prefix, by ToR, the node's address on the session, and prefix."""


@pytest.fixture
def web(lab: Lab) -> Iterator[Fixed]:
    before = lab.api.do("GET", POOL)
    yield make(lab, "foreseen")
    lab.api.do("PATCH", POOL, {name: before[name] for name in CHANGES})
    delete(lab, "foreseen")
    lab.fabric.remove_container("foreseen")


def uplinks(lab: Lab) -> dict[tuple[str, str], str]:
    """The node's address on each session, by node and peer."""
    sessions = lab.api.do("GET", "/v1/bgp/sessions")["items"]
    return {(each["node"], each["peer"]): each["local_address"] for each in sessions}


def table(lab: Lab) -> Table:
    """What the ToRs have heard from the nodes themselves."""
    nodes = set(uplinks(lab).values())
    return {
        (tor, path.peer, prefix): path.communities
        for tor, router in lab.tors.items()
        for prefix in router.bgp_prefixes()
        if ip_network(prefix).subnet_of(RANGE)
        for path in router.bgp_route(prefix)
        if path.peer in nodes
    }


def becomes(lab: Lab, now: Table, impact: Any) -> Table:
    """The tables after what a dry run has predicted."""
    ends, then = uplinks(lab), dict(now)
    for each in impact["peers"]:
        tor = each["peer"].removeprefix(f"{each['node']}-")
        end = ends[each["node"], each["peer"]]
        for route in each["vanish"]:
            del then[tor, end, route["prefix"]]
        for route in (*each["appear"], *(change["after"] for change in each["change"])):
            then[tor, end, route["prefix"]] = frozenset(route["communities"])
    return then


def test_what_is_predicted_is_what_the_routers_then_hold(web: Fixed) -> None:
    lab = web.lab
    host = f"{web.address}/32"
    for change in (CHANGES, {"advertise": "block"}):
        before = table(lab)
        impact = lab.api.do("PATCH", f"{POOL}?dry_run=true", change)
        assert (host in {prefix for _, _, prefix in before}) == (change is not CHANGES)
        predicted = becomes(lab, before, impact)
        assert predicted != before
        assert table(lab) == before, "a dry run changes nothing"
        lab.api.do("PATCH", POOL, change)
        wait_until(lambda: table(lab), BACK_S, "what was predicted", good=predicted.__eq__, poll_s=0.2)
    assert impact["totals"]["endpoints"] >= 1
    assert all(each["unreachable_at"] == [] for each in impact["endpoints"])


def test_what_takes_the_routes_away_needs_a_yes(web: Fixed) -> None:
    lab, before = web.lab, table(web.lab)
    refused = lab.cli("pool", "set", "default", "--advertise", "none", check=False)
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "(100 %), more than max_withdraw 10" in refused.stderr
    shown = lab.cli("peer", "delete", f"{NODE}-tor-a", "--dry-run", "-o", "json")
    [gone] = json.loads(shown.stdout)["peers"]
    assert (gone["session"], gone["node"], gone["appear"]) == ("closes", NODE, [])
    assert {route["prefix"] for route in gone["vanish"]} == {
        prefix for tor, end, prefix in before if (tor, end) == ("tor-a", uplinks(lab)[NODE, gone["peer"]])
    }
    assert lab.cli("peer", "delete", f"{NODE}-tor-a", check=False).returncode == 4
    assert table(lab) == before
