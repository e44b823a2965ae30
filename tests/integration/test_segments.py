"""Endpoints on a VLAN of the uplink: a switch with an access port, and a router behind it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import netns
from lab.host import Host
from lab.lab import Lab
from lab.wait import wait_until
from tests.support.containers import delete
from tests.support.ovs import open_vswitch

pytestmark = pytest.mark.needs("root", "ip", "ping", "bgpd", "vtysh", "ovs-vswitchd", "etcd", "curl")

SOON_S = 20.0
VLAN = 120
ROUTER = ("10.73.0.1", "fd73::1")
FAR = "198.51.100.1"


@dataclass
class Segment:
    """The lab with a router on a VLAN of a node's uplink."""

    lab: Lab
    router: Host

    @property
    def node(self) -> Host:
        return self.lab.hosts[self.lab.nodes[0]]

    def attach(self, name: str, pools: list[str]) -> tuple[Host, Any]:
        """A container with an endpoint of these pools."""
        node, inside = self.lab.nodes[0], self.lab.container(name)
        self.lab.api.do("POST", "/v1/endpoints", {"id": name, "node": node, "pools": pools})
        body = {"endpoint": name, "netns": str(inside.netns_path)}
        agent = self.lab.polder.agent_api(node)
        told = wait_until(
            lambda: agent.request("POST", "/v1/attachments", body),
            SOON_S,
            f"{name} to be attached",
            good=lambda answer: answer.ok,
        )
        return inside, told.body


@pytest.fixture(scope="module")
def segment(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Segment]:
    node, router = lab.hosts[lab.nodes[0]], lab.container("vlan-router")
    switch = f"{lab.name}-vlan-switch"
    pools = {"disks": ("10.73.0.0/24", ROUTER[0]), "disks6": ("fd73::/64", ROUTER[1])}
    for name, (cidr, gateway) in pools.items():
        body = {"name": name, "cidr": cidr, "gateway": gateway, "cooldown_s": 0}
        lab.api.do("POST", "/v1/pools", {**body, "segment": {"vlan": VLAN, "uplink": "trunk0"}})
    try:
        with open_vswitch(switch, tmp_path_factory.mktemp("ovs")) as ovs:
            netns.batch(
                [
                    f"link add name trunk0 netns {node.netns} type veth peer name node1 netns {switch}",
                    f"link add name eth0 netns {router.netns} type veth peer name access0 netns {switch}",
                ]
            )
            netns.batch(["link set node1 up", "link set access0 up"], inside=switch)
            ovs.vsctl("add-br", "sw0", "--", "set", "bridge", "sw0", "datapath_type=netdev")
            ovs.vsctl(
                "add-port", "sw0", "node1", "trunks=120,121", "--", "add-port", "sw0", "access0", "tag=120"
            )
            addresses = [f"address add {ROUTER[0]}/24 dev eth0", f"address add {ROUTER[1]}/64 dev eth0 nodad"]
            netns.batch(["link set eth0 up", *addresses, f"address add {FAR}/32 dev lo"], inside=router.netns)
            yield Segment(lab, router)
    finally:
        for name in ("disk-1", "disk-2", "routed-1"):
            delete(lab, name)
        for name in pools:
            wait_until(
                lambda at=name: lab.api.request("DELETE", f"/v1/pools/{at}").ok, 30.0, "the pool to go"
            )
        netns.remove([switch])


def test_endpoints_are_on_the_vlan_by_layer_2(segment: Segment, tmp_path: Path) -> None:
    lab, router, node = segment.lab, segment.router, segment.node
    one, told = segment.attach("disk-1", ["disks", "disks6"])
    four, six = told["addresses"]
    assert (told["prefixes"], told["gateways"]) == ([f"{four}/24", f"{six}/64"], list(ROUTER))
    for target in (*ROUTER, FAR):
        wait_until(lambda at=target: one.ping(at).ok, SOON_S, f"{target} to answer")
    with segment.node.capture("trunk0", "vlan 120 and icmp") as captured:
        assert router.ping(four).ok
        assert router.ping(six).ok
        wait_until(lambda: captured.packets(), 5.0, "tagged packets")
    known = {each.dst: each.lladdr for each in router.neighbours()}
    assert known[four] == told["mac"], "with its own MAC"
    assert FAR not in node.run("ip", "route", "show", "table", "all").stdout

    two, _ = segment.attach("disk-2", ["disks"])
    assert two.ping(four).ok, "a neighbour on the same node"
    routed, _ = segment.attach("routed-1", ["default"])
    assert not routed.ping(four).ok, "no way but by routers, and these know none"
    two.run("ip", "address", "add", "10.73.0.200/32", "dev", "eth0")
    assert not two.ping(ROUTER[0], source="10.73.0.200").ok, "another's address"

    (tmp_path / "file").write_bytes(bytes(1_000_000))
    server = router.record(sys.executable, "-m", "http.server", "-d", str(tmp_path), "8080")
    fetch = ("curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{size_download}", f"http://{FAR}:8080/file")
    wait_until(
        lambda: one.run(*fetch, check=False).stdout, 10.0, "a megabyte", good=lambda size: size == "1000000"
    )
    server.stop()

    assert not [route for route in node.routes() if route.dst.startswith("10.73.")]
    assert not [prefix for prefix in lab.tors["tor-a"].kernel_routes() if prefix.startswith("10.73.")]
    assert lab.api.do("GET", "/v1/endpoints/disk-1")["ready"]

    ping = router.ping_background(four)
    lab.polder.agents[lab.nodes[0]].restart()
    wait_until(lambda: lab.polder.agent_api(lab.nodes[0]).get("/readyz").ok, SOON_S, "the agent")
    report = ping.stop()
    assert report.ok, report

    switch = lab.fabric.switches[lab.nodes[0]]
    for name in ("disk-2", "routed-1"):
        delete(lab, name)
    assert "trunk0" in switch.vsctl("list-ports", "polder0"), "there is one left"
    delete(lab, "disk-1")
    assert "trunk0" not in switch.vsctl("list-ports", "polder0")
