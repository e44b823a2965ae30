"""A node whose way back is imported by BGP, in the lab with two ToRs, one of which dies."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_interface
from itertools import pairwise

import pytest

from lab.lab import Lab
from lab.wait import wait_until
from tests.support.cluster import NODE
from tests.support.containers import BACK_S, Fixed, delete, make, undisturbed
from tests.support.uplinks import fails_under_traffic

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra")

TORS = ("tor-a", "tor-b")


@pytest.fixture
def web(lab: Lab) -> Iterator[Fixed]:
    yield make(lab, "imported")
    delete(lab, "imported")
    lab.fabric.remove_container("imported")


def peers(lab: Lab) -> dict[str, dict[str, str]]:
    """The peer of the node at each ToR."""
    return {tor: lab.api.do("GET", f"/v1/peers/{NODE}-{tor}") for tor in TORS}


def originate(lab: Lab, tor: str, no: str = "") -> None:
    """Have a ToR announce a default route to the node, or no more."""
    router, peer = lab.tors[tor], peers(lab)[tor]
    lines = (
        *("configure terminal", f"router bgp {router.asn}", "address-family ipv4 unicast"),
        f"{no}neighbor {peer['local_address']} default-originate",
    )
    router.host.run(*router.argv("end"), *(word for line in lines for word in ("-c", line)))


@pytest.fixture
def importing(web: Fixed) -> Iterator[dict[str, str]]:
    """The node has no default route but by BGP. The gateways by ToR."""
    lab, node = web.lab, web.node
    gateways = {tor: peer["address"] for tor, peer in peers(lab).items()}
    for tor in TORS:
        originate(lab, tor)
        lab.api.do("PATCH", f"/v1/peers/{NODE}-{tor}", {"imports": ["default-route"]})
    hops = [word for gateway in gateways.values() for word in ("nexthop", "via", gateway)]
    try:
        via(web, *gateways.values())
        directly(web)
        node.run("ip", "route", "del", "default", "metric", "0")
        yield gateways
    finally:
        node.run("ip", "route", "replace", "default", *hops)
        for tor in TORS:
            originate(lab, tor, "no ")
            lab.api.do("PATCH", f"/v1/peers/{NODE}-{tor}", {"imports": []})
        via(web)


def via(web: Fixed, *gateways: str) -> None:
    """Wait until the node's imported default route is by way of these; there is none without any."""

    def look() -> set[str]:
        shown = web.node.run("ip", "route", "show", "default", "proto", "81").stdout.split()
        return {after for word, after in pairwise(shown) if word == "via"}

    wait_until(look, BACK_S, f"the default route by way of {gateways}", good=set(gateways).__eq__)


def directly(web: Fixed) -> None:
    """Wait until each ToR has the block by its own link again: its session was configured anew."""
    block = ip_interface(f"{web.address}/26").network
    for tor, peer in peers(web.lab).items():
        wait_until(
            lambda router=web.lab.tors[tor].host: router.route(block),
            BACK_S,
            f"{tor} to send {block} by its own link",
            good=lambda now, node=peer["local_address"]: now is not None and now.gateways == {node},
        )


def told(lab: Lab) -> list[str]:
    """The peers that the node takes its default route from, as the API says."""
    shown = lab.api.do("GET", f"/v1/bgp/imported?node={NODE}")["items"]
    return [path["peer"] for one in shown for path in one["paths"]]


def test_one_tor_dies_and_the_other_carries_all(web: Fixed, importing: dict[str, str]) -> None:
    """It dies just after the speaker was restarted, which finds its session gone: what was sent to it until
    then is lost, and nothing after that."""
    lab, dying = web.lab, web.lab.tors["tor-b"]
    with undisturbed(web):
        lab.polder.speakers[NODE].restart()
    dying.kill()
    try:
        via(web, importing["tor-a"])
        report = web.metal.ping(web.address, 10)
        assert report.ok, report
        wait_until(lambda: told(lab), BACK_S, "the report", good=[f"{NODE}-tor-a"].__eq__)
    finally:
        dying.start()
    originate(lab, "tor-b")
    via(web, *importing.values())


def test_an_uplink_loses_its_link(web: Fixed, importing: dict[str, str]) -> None:
    fails_under_traffic(web, "tor-a", "router's")
    via(web, *importing.values())
