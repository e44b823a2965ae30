"""Endpoints on a VLAN of the uplink: a switch with an access port, and a router behind it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import netns
from lab.host import Host
from lab.lab import Lab
from lab.topology import METAL_ADDRESS
from lab.wait import wait_until
from tests.integration.test_policies import ADMIN, CLIENT, SERVER, WEB
from tests.integration.test_qos import UDP_COUNTER, UDP_SENDER, mbps
from tests.support.containers import delete
from tests.support.ovs import open_vswitch
from tests.support.restarts import rebooted, switch_is_restarted

pytestmark = pytest.mark.needs("root", "ip", "ping", "bgpd", "vtysh", "ovs-vswitchd", "etcd", "curl")

SOON_S = 20.0
VLAN = 120
ROUTER = ("10.73.0.1", "fd73::1")
FAR = "198.51.100.1"
VAULTS = ("vault-1", "vault-2")
VAULT_ROUTER = ("10.74.0.1", "fd74::1")
CURE = 'polder node set node-1 --mtu-bytes ""'


@dataclass
class Segment:
    """The lab with a router on a VLAN of a node's uplink."""

    lab: Lab
    router: Host
    """Also an outside station on the VLAN."""

    @property
    def node(self) -> Host:
        return self.lab.hosts[self.lab.nodes[0]]

    def attach(self, name: str, **asked: Any) -> tuple[Host, Any]:
        """A container with an endpoint of these pools, or this tenant."""
        node, inside = self.lab.nodes[0], self.lab.container(name)
        self.lab.api.do("POST", "/v1/endpoints", {"id": name, "node": node, **asked})
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
    on_vlan = {"vlan": VLAN, "uplink": "trunk0"}
    for name, (cidr, gateway) in pools.items():
        body = {"name": name, "cidr": cidr, "gateway": gateway, "cooldown_s": 0}
        lab.api.do("POST", "/v1/pools", {**body, "segment": on_vlan})
    lab.api.do("POST", "/v1/tenants", {"name": "vault", "segment": on_vlan})
    vaults = {"vaults": ("10.74.0.0/24", VAULT_ROUTER[0]), "vaults6": ("fd74::/64", VAULT_ROUTER[1])}
    for name, (cidr, gateway) in vaults.items():
        body = {"name": name, "cidr": cidr, "gateway": gateway, "tenant": "vault", "cooldown_s": 0}
        lab.api.do("POST", "/v1/pools", body)
    pools.update(vaults)
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
            addresses = [f"address add {four}/24 dev eth0" for four, _ in (ROUTER, VAULT_ROUTER)]
            addresses += [f"address add {six}/64 dev eth0 nodad" for _, six in (ROUTER, VAULT_ROUTER)]
            netns.batch(["link set eth0 up", *addresses, f"address add {FAR}/32 dev lo"], inside=router.netns)
            yield Segment(lab, router)
    finally:
        for name in ("disk-1", "disk-2", "routed-1", *VAULTS, "wide-1"):
            delete(lab, name)
        for path in ("policies/vault-1", "policies/out", "tenants/closed"):
            lab.api.request("DELETE", f"/v1/{path}")
        for name in pools:
            wait_until(
                lambda at=name: lab.api.request("DELETE", f"/v1/pools/{at}").ok, 30.0, "the pool to go"
            )
        lab.api.request("DELETE", "/v1/tenants/vault")
        netns.remove([switch])


def test_endpoints_are_on_the_vlan_by_layer_2(segment: Segment, tmp_path: Path) -> None:
    lab, router, node = segment.lab, segment.router, segment.node
    one, told = segment.attach("disk-1", pools=["disks", "disks6"])
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

    two, _ = segment.attach("disk-2", pools=["disks"])
    assert two.ping(four).ok, "a neighbour on the same node"
    routed, _ = segment.attach("routed-1", pools=["default"])
    for ends, met in (
        (("disk-1", "disk-2"), "port"),
        (("disk-1", FAR), "uplink"),
        ((FAR, "disk-1"), "uplink"),
        (("routed-1", "disk-1"), "router"),
    ):
        way = json.loads(lab.cli("trace", *ends, "-o", "json").stdout)
        assert way["arrives"], way
        assert met in [each["at"] for each in way["steps"][2:]], way
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
    switch_is_restarted(lab, lab.nodes[0], router, four)
    with rebooted(lab, lab.nodes[0]):
        node.set_link("trunk0", up=False)
    node.set_link("trunk0", up=True)
    wait_until(lambda: router.ping(four).ok, SOON_S, "the endpoint to answer after a reboot of the node")

    switch = lab.fabric.switches[lab.nodes[0]]
    for name in ("disk-2", "routed-1"):
        delete(lab, name)
    assert "trunk0" in switch.vsctl("list-ports", "polder0"), "there is one left"
    delete(lab, "disk-1")
    assert "trunk0" not in switch.vsctl("list-ports", "polder0")


Places = dict[str, tuple[Host, tuple[str, str]]]
"""Each station, with its address in each family."""
Reached = dict[tuple[str, int, int], bool]


def reached(places: Places, sender: str) -> Reached:
    """Which of the others a station reaches, at which ports, by which of their addresses."""
    others = [name for name in places if name != sender]
    asked = [(name, port, family) for name in others for port in (WEB, ADMIN) for family in (0, 1)]
    told = json.dumps([(places[name][1][family], port) for name, port, family in asked])
    said = json.loads(places[sender][0].run(sys.executable, "-c", CLIENT, told).stdout)
    return dict(zip(asked, said, strict=True))


def test_policies_and_limits_hold_on_the_vlan(segment: Segment) -> None:
    """In both families: of a tenant's endpoints there, and of an outside station, which is the router."""
    lab, router = segment.lab, segment.router
    places: Places = {"router": (router, VAULT_ROUTER)}
    for name in VAULTS:
        pools = {"pools": ["vaults", "vaults6"]}
        inside, told = segment.attach(name, tenant="vault", labels={"app": name}, **pools)
        four, six = told["addresses"]
        places[name] = (inside, (four, six))
    servers = [host.record(sys.executable, "-c", SERVER, str(WEB), str(ADMIN)) for host, _ in places.values()]

    def comes_to(*refused: tuple[str, str, int]) -> None:
        for sender in places:
            wait_until(
                lambda sender=sender: reached(places, sender),
                SOON_S,
                f"{sender} to reach all but {refused}",
                good=lambda seen, sender=sender: (
                    {at for at, there in seen.items() if not there}
                    == {
                        (name, port, family)
                        for one, name, port in refused
                        if one == sender
                        for family in (0, 1)
                    }
                ),
            )

    comes_to()
    four, six = VAULT_ROUTER
    web = {
        "action": "allow",
        "peers": [{"cidr": f"{four}/32"}, {"cidr": f"{six}/128"}],
        "ports": [{"protocol": "tcp", "port": WEB}],
    }
    admin = {"action": "deny", "ports": [{"protocol": "tcp", "port": ADMIN}]}
    rules = {"ingress": [web, {"action": "deny"}], "egress": [admin]}
    body = {"name": "vault-1", "tenant": "vault", "selector": {"app": "vault-1"}, **rules}
    lab.api.do("POST", "/v1/policies", body)
    comes_to(
        ("router", "vault-1", ADMIN),
        *(("vault-2", "vault-1", port) for port in (WEB, ADMIN)),
        *(("vault-1", name, ADMIN) for name in ("router", "vault-2")),
    )
    lab.api.do("DELETE", "/v1/policies/vault-1")
    comes_to()
    for server in servers:
        server.stop()

    limited, addresses = places["vault-1"]
    limits = {"egress_rate_kbps": 20_000, "ingress_packets_per_s": 200}
    lab.api.do("PATCH", "/v1/endpoints/vault-1", {"qos": limits})
    switch = lab.fabric.switches[lab.nodes[0]]
    wait_until(
        lambda: switch.ofctl("dump-flows", "polder0").count("actions=meter:") == 2, SOON_S, "the flows"
    )
    for address in addresses:
        counting = limited.record(sys.executable, "-c", UDP_COUNTER)
        counting.wait(lambda heard=counting: heard.lines()[:1] == ["ready"], SOON_S, "the receiver to listen")
        passed_s = float(router.run(sys.executable, "-c", UDP_SENDER, address).stdout)
        counting.wait(lambda heard=counting: len(heard.lines()) == 2, SOON_S, "the receiver to have counted")
        assert float(counting.lines()[1]) == pytest.approx(50 + 200 * passed_s, rel=0.15)
        counting.stop()
    lab.api.do("PATCH", "/v1/endpoints/vault-1", {"qos": {"ingress_packets_per_s": None}})
    server = router.record("iperf3", "-s")
    wait_until(lambda: ":5201" in router.run("ss", "-ltn").stdout, SOON_S, "iperf3 to listen")
    for target in VAULT_ROUTER:
        assert mbps(limited, target, "-t", "2") == pytest.approx(20, rel=0.15)
    server.stop()


def test_links_have_the_mtu_of_their_uplink(segment: Segment) -> None:
    """Each kind of its own uplink's, as that changes; jumbo frames reach the router, and errors come back."""
    lab, node = segment.lab, segment.node
    disk = lab.hosts["vault-1"]
    lab.api.do("POST", "/v1/tenants", {"name": "closed", "default": "deny"})
    out = {"egress": [{"action": "allow"}]}
    lab.api.do("POST", "/v1/policies", {"name": "out", "tenant": "closed", "selector": {}, **out})
    wide, told = segment.attach("wide-1", pools=["default"], tenant="closed")
    assert told["mtu_bytes"] == 1500
    ends = [(lab.hosts[tor], lab.nodes[0]) for tor in ("tor-a", "tor-b")] + [(node, "up-a"), (node, "up-b")]

    def resize(mtu_bytes: int) -> None:
        for host, ifname in ends:
            host.run("ip", "link", "set", ifname, "mtu", str(mtu_bytes))

    def has(host: Host, mtu_bytes: int) -> None:
        wait_until(
            lambda: host.run("ip", "-o", "link", "show", "eth0").stdout,
            SOON_S,
            f"an MTU of {mtu_bytes}",
            good=lambda shown: f"mtu {mtu_bytes} " in shown,
        )

    node.run("ip", "link", "set", "trunk0", "mtu", "1400")
    has(disk, 1400)
    has(wide, 1500)
    node.run("ip", "link", "set", "trunk0", "mtu", "9000")
    has(disk, 9000)
    resize(9000)
    has(wide, 9000)
    whole = ("ping", "-c", "1", "-W", "1", "-M", "do", "-s", "8972")
    wait_until(
        lambda: wide.run(*whole, "10.1.1.0", check=False).returncode == 0,
        SOON_S,
        "a jumbo frame to be answered",
    )
    too_big = wide.run(*whole, METAL_ADDRESS, check=False).stdout
    assert "mtu = 1500" in too_big, "what a router says to a tenant that denies by default"
    lab.api.do("PATCH", f"/v1/nodes/{lab.nodes[0]}", {"mtu_bytes": 9000})
    resize(1500)
    has(wide, 1500)
    wait_until(
        lambda: lab.cli("node", "list", "-o", "wide").stdout,
        SOON_S,
        "it to be told",
        good=lambda told: CURE in told,
    )
    lab.api.do("PATCH", f"/v1/nodes/{lab.nodes[0]}", {"mtu_bytes": None})
