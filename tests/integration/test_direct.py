"""Nodes on one segment send to each other without a router, for as long as they are told to and it works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.lab import Lab
from lab.stream import Stream
from lab.wait import wait_until
from tests.support.containers import BACK_S, Fixed, attach, delete, make

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra", "tcpdump")

SEGMENT = {"node-1": "10.255.0.11", "node-2": "10.255.0.12"}
SEGMENT6 = {"node-1": "fd00:255::11", "node-2": "fd00:255::12"}
"""There is no IPv6 but this in the lab: without it IPv6 addresses of other nodes are not reached."""
LINK = "mgmt0"
TTL = 64
NEAR, FAR = TTL - 2, TTL - 3
"""The TTL of what arrives: both nodes decrement it, and a router in between once more."""


@dataclass
class Pair:
    """A container on each of two nodes that share a segment, the management network."""

    lab: Lab
    here: Fixed
    there: Fixed
    six: str
    """The IPv6 address of the one that is there."""

    def ttl(self, address: str = "") -> int:
        """What is left of the TTL of an answer; 0 when there is none."""
        asked = ("ping", "-n", "-c", "1", "-W", "1", "-t", str(TTL), address or self.there.address)
        said = self.here.host.run(*asked, check=False).stdout
        return int(said.partition("ttl=")[2].split()[0]) if "ttl=" in said else 0

    def on_uplinks(self) -> int:
        """How many of some packets and their answers pass a router, as node-1 sees it."""
        node, words = self.here.node, f"icmp and host {self.there.address}"
        with node.capture("up-a", words) as one, node.capture("up-b", words) as other:
            assert self.here.host.ping(self.there.address, 20).ok
            return len(one.packets()) + len(other.packets())

    def becomes(self, ttl: int, why: str) -> None:
        wait_until(self.ttl, BACK_S, why, good=ttl.__eq__)
        six = ttl if ttl == NEAR else 0
        wait_until(lambda: self.ttl(self.six), BACK_S, f"{why}, IPv6", good=six.__eq__)

    def set(self, direct: str | None) -> None:
        for node, address in SEGMENT.items():
            body = {"direct": direct, "next_hops": [address, SEGMENT6[node]] if direct else []}
            self.lab.api.do("PATCH", f"/v1/nodes/{node}", body)


@pytest.fixture
def pair(lab: Lab) -> Iterator[Pair]:
    lab.api.do("POST", "/v1/pools", {"name": "near6", "cidr": "fd00:66::/64", "cooldown_s": 0})
    ends = {"near-1": "node-1", "near-2": "node-2"}
    for name, node in ends.items():
        lab.hosts[node].run("sysctl", "-qw", f"net.ipv6.conf.{LINK}.keep_addr_on_down=1")
        lab.hosts[node].run("ip", "address", "add", f"{SEGMENT6[node]}/64", "dev", LINK, "nodad")
        lab.api.do("POST", "/v1/endpoints", {"id": name, "node": node, "pools": ["default", "near6"]})
    here, there = (attach(lab, name, node=node) for name, node in ends.items())
    made = Pair(lab, here, there, lab.api.do("GET", "/v1/endpoints/near-2")["addresses"][1])
    yield made
    made.set(None)
    for name in ("near-1", "near-2", "strayed"):
        delete(lab, name)
        lab.fabric.remove_container(name)
    for node, address in SEGMENT6.items():
        lab.hosts[node].run("ip", "address", "delete", f"{address}/64", "dev", LINK)
    wait_until(lambda: lab.api.request("DELETE", "/v1/pools/near6").ok, BACK_S, "the pool to go")


def test_nodes_on_a_segment_need_no_router(pair: Pair) -> None:
    lab, here, there = pair.lab, pair.here, pair.there
    pair.becomes(FAR, "the way by a router")
    with Stream(here.host, there.host, there.address) as stream:
        pair.set("rack-7")
        pair.becomes(NEAR, "the way without a router")
        wait_until(lambda: not pair.on_uplinks(), BACK_S, "either direction to pass no router")
        assert here.metal.ping(there.address, 3).ok, "routers find it as before"

        # One of the other's block that is on a node elsewhere is sought at the routers.
        make(lab, "strayed", node="node-2")
        lab.api.do("PATCH", "/v1/endpoints/strayed?overlap_s=0", {"node": "node-3"})
        lab.fabric.remove_container("strayed")
        strayed = attach(lab, "strayed", node="node-3")
        wait_until(lambda: pair.ttl(strayed.address), BACK_S, "the one that strayed", good=FAR.__eq__)

        # The segment fails at one end: its link says so, and the routers are asked again.
        lab.hosts["node-1"].set_link(LINK, up=False)
        try:
            pair.becomes(FAR, "the way by a router, as the segment is down")
        finally:
            lab.hosts["node-1"].set_link(LINK, up=True)
        pair.becomes(NEAR, "the way without a router again")

        pair.set(None)
        pair.becomes(FAR, "the way by a router, as it was told")
        seen = stream.answered
        wait_until(lambda: stream.answered > seen, BACK_S, "the connection to go on")
        assert not stream.stop().broken
    for node, other in (("node-1", "node-2"), ("node-2", "node-1")):
        wait_until(
            lambda node=node: [one.gateways for one in lab.hosts[node].routes(table="80")],
            BACK_S,
            f"{node} to have no way by {other}",
            good=lambda ways, other=other: not any(SEGMENT[other] in each for each in ways),
        )
