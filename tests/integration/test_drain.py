"""A session and a node are drained under traffic, with real FRR: packets are led away before routes go."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from lab.lab import Lab
from lab.wait import wait_until
from tests.support.cluster import NODE
from tests.support.containers import BACK_S, Fixed, delete, make

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra")

TOR_B = "10.0.1.1"
"""As tor-a knows it."""
UPLINK = "10.1.1.1"
"""Of the node, at tor-a."""


@pytest.fixture
def web(lab: Lab) -> Iterator[Fixed]:
    yield make(lab, "drained")
    delete(lab, "drained")
    lab.fabric.remove_container("drained")


def block(web: Fixed) -> str:
    """The prefix that the node announces for the container."""
    prefixes = map(ip_network, web.lab.tors["tor-a"].bgp_prefixes())
    return str(
        max((one for one in prefixes if ip_address(web.address) in one), key=lambda one: one.prefixlen)
    )


def gateways(web: Fixed, tor: str, prefix: str) -> set[str]:
    """By which next hops a ToR's kernel sends what is for the prefix."""
    route = web.lab.tors[tor].kernel_routes().get(prefix)
    return set() if route is None else {str(gateway) for gateway in route.gateways}


def test_a_session_is_drained_without_a_lost_packet(web: Fixed) -> None:
    prefix = block(web)
    assert gateways(web, "tor-a", prefix) == {UPLINK}
    ping = web.metal.ping_background(web.address)
    told = web.lab.cli("peer", "drain", f"{NODE}-tor-a", "--wait", "2s").stdout.splitlines()
    assert told == [
        f"peer/{NODE}-tor-a: routes carry GRACEFUL_SHUTDOWN",
        f"peer/{NODE}-tor-a: routes are being withdrawn",
        f"peer/{NODE}-tor-a: nothing is announced any more",
    ]
    assert gateways(web, "tor-a", prefix) == {TOR_B}
    assert all(path.peer != UPLINK for path in web.lab.tors["tor-a"].bgp_route(prefix))
    web.lab.cli("peer", "undrain", f"{NODE}-tor-a")
    wait_until(lambda: gateways(web, "tor-a", prefix), BACK_S, "the route to come back", good={UPLINK}.__eq__)
    ping.wait_answers(20, BACK_S)
    report = ping.stop()
    assert report.ok, report


def test_a_drained_node_announces_nothing_and_says_so_first(web: Fixed) -> None:
    prefix, tors = block(web), web.lab.tors
    web.lab.cli("node", "drain", NODE, "--wait", "600s", "--detach")

    def shut_down(tor: str) -> bool:
        shown = tors[tor].vtysh_json(f"show bgp ipv4 unicast {prefix} json")["paths"]
        own = [path for path in shown if path["aspath"]["length"] == 1]
        return bool(own) and all(
            "gracefulShutdown" in path.get("community", {}).get("list", []) and path["locPrf"] == 0
            for path in own
        )

    for tor in tors:
        wait_until(lambda tor=tor: shut_down(tor), BACK_S, f"GRACEFUL_SHUTDOWN at {tor}")
    # For some milliseconds each router may take the other's way: both prefer what is not shut down.
    wait_until(lambda: web.metal.ping(web.address).ok, BACK_S, "delivery, as long as it is announced")
    assert all(map(shut_down, tors))
    web.lab.cli("node", "drain", NODE, "--wait", "0s")
    for tor in tors:
        wait_until(lambda tor=tor: tors[tor].bgp_route(prefix) == [], BACK_S, f"{tor} to forget {prefix}")
    assert [item["stage"] for item in web.lab.api.do("GET", "/v1/drains")["items"]] == ["drained"]
    web.lab.cli("node", "undrain", NODE)
    wait_until(lambda: web.metal.ping(web.address).ok, BACK_S, "the container to answer again")
