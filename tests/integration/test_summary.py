"""A pool of a rack is one prefix for the rest of the network, with real FRR and containers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.errors import CommandFailed
from lab.lab import Lab
from lab.wait import wait_until
from tests.support.containers import BACK_S, Fixed, attach, delete, make

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra")

POOL, RANGE, UNUSED = "rack-7", "10.72.0.0/20", "10.72.15.200"
RACK, OUTSIDE = ("node-1", "node-2"), "node-3"


@pytest.fixture
def racked(lab: Lab) -> Iterator[tuple[Fixed, Fixed]]:
    """A rack of two nodes with a pool of its own, and a container on each."""
    for node in RACK:
        lab.api.do("PATCH", f"/v1/nodes/{node}", {"labels": {"rack": "7"}})
    chosen = {"node_selector": {"rack": "7"}, "priority": 1000, "cooldown_s": 0}
    lab.api.do("POST", "/v1/pools", {"name": POOL, "cidr": RANGE, "advertise": "summary", **chosen})
    yield make(lab, "here", node=RACK[0]), make(lab, "there", node=RACK[1])
    for name in ("here", "there"):
        delete(lab, name)
        lab.fabric.remove_container(name)
    lab.cli("pool", "delete", POOL, "--yes")
    for node in RACK:
        lab.api.do("PATCH", f"/v1/nodes/{node}", {"labels": {"rack": None}})


def told(lab: Lab, prefix: str) -> dict[str, bool]:
    """From whom tor-a has a prefix, nodes alone, and whether it must not pass it on."""
    shown = lab.tors["tor-a"].vtysh_json(f"show bgp ipv4 unicast {prefix} json").get("paths", [])
    return {
        path["peer"]["peerId"]: "noExport" in path.get("community", {}).get("list", [])
        for path in shown
        if path["aspath"]["length"] == 1
    }


def test_a_rack_is_one_prefix_with_its_exceptions(racked: tuple[Fixed, Fixed]) -> None:
    here, there = racked
    lab, node = here.lab, here.node
    wait_until(
        lambda: told(lab, RANGE), BACK_S, "the range", good={"10.1.1.1": False, "10.1.2.1": False}.__eq__
    )
    blocks = [one for one in lab.tors["tor-a"].bgp_prefixes() if one.startswith("10.72.") and one != RANGE]
    assert sorted(told(lab, one).popitem() for one in blocks) == [("10.1.1.1", True), ("10.1.2.1", True)]
    assert here.host.ping(there.address, 3).ok, "the range is no blackhole for what the node itself sends"

    # What a router sends for an address that nobody has ends here; nobody passes it to and fro.
    assert "via 10." in node.run("ip", "route", "get", UNUSED).stdout
    with pytest.raises(CommandFailed):
        node.run("ip", "route", "get", UNUSED, "from", "10.3.0.10", "iif", "up-a")
    with node.capture("any", f"icmp and dst {UNUSED}") as capture:
        assert here.metal.ping(UNUSED).received == 0
        assert len(capture.packets()) <= 1

    # The container moves out of the rack and keeps its address: the exception is for everybody.
    lab.api.do("PATCH", "/v1/endpoints/there", {"node": OUTSIDE})
    lab.fabric.remove_container("there")
    moved = attach(lab, "there", node=OUTSIDE)
    wait_until(
        lambda: told(lab, f"{moved.address}/32"), BACK_S, "the exception", good={"10.1.3.1": False}.__eq__
    )
    assert here.host.ping(moved.address, 3).ok
