"""Endpoints that are no containers: a virtual machine on a tap, a machine behind a port or a neighbour."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab import netns
from lab.lab import Lab
from lab.wait import wait_until
from tests.support.containers import delete
from tests.support.guest import Guest, configure
from tests.support.restarts import rebooted, switch_is_restarted

pytestmark = pytest.mark.needs("root", "ip", "ping", "bgpd", "vtysh", "ovs-vswitchd", "etcd")

SOON_S = 20.0
MAC = "52:54:00:12:34:56"
ROUTER_MAC = "0c:c4:7a:00:00:08"
UPSTREAM = "10.1.1.0"
"""The router on the uplink up-a of the first node."""


@pytest.fixture
def six(lab: Lab) -> Iterator[None]:
    lab.api.do(
        "POST", "/v1/pools", {"name": "kinds6", "cidr": "fd00:65::/64", "advertise": "host", "cooldown_s": 0}
    )
    yield
    wait_until(lambda: lab.api.request("DELETE", "/v1/pools/kinds6").ok, 90.0, "the pool to go")


def create(lab: Lab, name: str, kind: str, **fields: Any) -> Any:
    return lab.api.do("POST", "/v1/endpoints", {"id": name, "node": lab.nodes[0], "kind": kind, **fields})


def attach(lab: Lab, name: str, **place: Any) -> Any:
    agent = lab.polder.agent_api(lab.nodes[0])
    return wait_until(
        lambda: agent.request("POST", "/v1/attachments", {"endpoint": name, **place}),
        SOON_S,
        f"{name} to be attached",
        good=lambda answer: answer.ok or answer.status in {409, 422},
    )


def routed(lab: Lab, address: str) -> bool:
    """Whether the first ToR has the address from the node."""
    return f"{address}/32" in lab.tors["tor-a"].kernel_routes()


def test_a_virtual_machine_is_reached_by_its_own_address(lab: Lab) -> None:
    node, metal = lab.hosts[lab.nodes[0]], lab.hosts["metal"]
    with Guest(node, lab.container("vm-1"), "tap-vm1") as guest:
        made = create(lab, "vm-1", "vm", mac=MAC, pool="default")
        assert (made["kind"], made["mac"]) == ("vm", MAC)
        refused = attach(lab, "vm-1", netns=str(guest.kernel.netns_path))
        assert (refused.status, "name its port" in refused.body["detail"]) == (422, True)
        refused = attach(lab, "vm-1", port="tap-none")
        assert (refused.status, "make it first" in refused.body["detail"]) == (422, True)
        refused = attach(lab, "vm-1", port="up-a")
        assert (refused.status, "addresses of this host" in refused.body["detail"]) == (409, True)

        told = attach(lab, "vm-1", port="tap-vm1").body
        guest.configure(told["mac"], told["prefixes"], told["mtu_bytes"])
        address = told["addresses"][0]
        wait_until(lambda: metal.ping(address).ok, SOON_S, "the guest to answer")
        create(lab, "vm-2", "vm", pool="default")
        refused = attach(lab, "vm-2", port="tap-vm1")
        assert (refused.status, "endpoint vm-1's" in refused.body["detail"]) == (409, True)

        # Programs come and go; the machine does not notice.
        ping = metal.ping_background(address)
        lab.polder.agents[lab.nodes[0]].restart()
        wait_until(lambda: lab.polder.agent_api(lab.nodes[0]).get("/readyz").ok, SOON_S, "the agent")
        report = ping.stop()
        assert report.ok, report
        switch_is_restarted(lab, lab.nodes[0], metal, address)

        guest.stop()
        shown = wait_until(
            lambda: lab.api.do("GET", "/v1/endpoints/vm-1"),
            SOON_S,
            "the endpoint not to be ready without its tap",
            good=lambda shown: not shown["ready"],
        )
        assert shown["attached"], "it is attached all the same"
        wait_until(lambda: node.route(f"{address}/32") is None, SOON_S, "its route to go")
        guest.start()
        guest.configure(told["mac"], told["prefixes"], told["mtu_bytes"])
        wait_until(lambda: metal.ping(address).ok, SOON_S, "the guest to answer again")

        with rebooted(lab, lab.nodes[0]):
            guest.stop()
        guest.start()
        guest.configure(told["mac"], told["prefixes"], told["mtu_bytes"])
        wait_until(lambda: metal.ping(address).ok, SOON_S, "the guest to answer after a reboot of the node")
        assert lab.api.do("GET", "/v1/endpoints/vm-1")["attached"]

        lab.detach("vm-1", lab.nodes[0])
        assert "tap-vm1" in node.links(), "the tap is the caller's"
        assert node.run("cat", "/proc/sys/net/ipv6/conf/tap-vm1/disable_ipv6").stdout.strip() == "0"
    for name in ("vm-1", "vm-2"):
        delete(lab, name)


def test_a_port_that_somebody_else_has_added_is_used_and_left(lab: Lab) -> None:
    node, switch = lab.hosts[lab.nodes[0]], lab.fabric.switches[lab.nodes[0]]
    switch.vsctl(
        "add-port", "polder0", "vnet0", "--", "set", "interface", "vnet0", "type=internal",
        "--", "set", "port", "vnet0", "external_ids:iface-id=libvirt",
    )  # fmt: skip
    guest = lab.container("vm-3")
    create(lab, "vm-3", "vm", pool="default")
    told = attach(lab, "vm-3", port="vnet0").body
    node.run("ip", "link", "set", "vnet0", "netns", guest.netns)
    configure(guest, "vnet0", told["mac"], told["prefixes"], told["mtu_bytes"])
    wait_until(lambda: lab.hosts["metal"].ping(told["addresses"][0]).ok, SOON_S, "the guest to answer")
    delete(lab, "vm-3")
    assert switch.vsctl("get", "port", "vnet0", "external_ids").strip() == "{iface-id=libvirt}"
    switch.vsctl("del-port", "polder0", "vnet0")


def test_a_machine_behind_a_physical_port(lab: Lab, six: None) -> None:
    node, machine, metal = lab.hosts[lab.nodes[0]], lab.container("bare-1"), lab.hosts["metal"]
    netns.batch([f"link add name eth7 netns {node.netns} type veth peer name eno1 netns {machine.netns}"])
    made = create(lab, "bare-1", "host", mac="0c:c4:7a:00:00:07", pools=["default", "kinds6"])
    machine.set_link("eno1", up=True)
    told = attach(lab, "bare-1", port="eth7").body
    configure(machine, "eno1", made["mac"], told["prefixes"], told["mtu_bytes"])
    four, other = told["addresses"]
    wait_until(lambda: metal.ping(four).ok, SOON_S, "the machine to answer")
    assert node.ping(other).ok, "by IPv6 as well"
    # What is not its own stays where it is.
    machine.run("ip", "address", "add", "10.64.200.200/32", "dev", "eno1")
    assert not machine.ping("10.3.0.10", source="10.64.200.200").ok
    switch_is_restarted(lab, lab.nodes[0], metal, four)
    with rebooted(lab, lab.nodes[0]):
        machine.run("ip", "address", "flush", "dev", "eno1")
        machine.set_link("eno1", up=False)
    configure(machine, "eno1", None, told["prefixes"], told["mtu_bytes"])
    wait_until(lambda: metal.ping(four).ok, SOON_S, "the machine to answer after a reboot of the node")

    machine.set_link("eno1", up=False)
    shown = lambda: lab.api.do("GET", "/v1/endpoints/bare-1")  # noqa: E731
    wait_until(shown, SOON_S, "no carrier, not ready", good=lambda found: not found["ready"])
    machine.set_link("eno1", up=True)
    configure(machine, "eno1", None, [], told["mtu_bytes"])
    wait_until(shown, SOON_S, "to be ready again", good=lambda found: found["ready"])
    delete(lab, "bare-1")
    assert "eth7" in node.links()
    node.run("ip", "link", "delete", "eth7")


def test_several_addresses_behind_a_neighbour_are_each_policed(lab: Lab, six: None) -> None:
    node, metal = lab.hosts[lab.nodes[0]], lab.hosts["metal"]
    router, inner = lab.container("router"), lab.container("inner")
    netns.batch([f"link add name eth8 netns {node.netns} type veth peer name eno1 netns {router.netns}"])
    netns.batch([f"link add name lan netns {router.netns} type veth peer name eth0 netns {inner.netns}"])
    router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    netns.batch([f"link set eno1 address {ROUTER_MAC}"], inside=router.netns)
    gateways = ["route add default via 169.254.1.1 dev eno1 onlink", "link set lan up"]
    netns.batch(["address add 192.0.2.7/24 dev eno1", "link set eno1 up", *gateways], inside=router.netns)
    create(lab, "bare-2", "host", mac=ROUTER_MAC, pools=["default", "kinds6"])
    create(lab, "bare-3", "host", mac=ROUTER_MAC, pool="default", labels={"app": "inner"})
    refused = attach(lab, "bare-3", via=["192.0.2.7"])
    assert (refused.status, "via needs port" in str(refused.body)) == (422, True), refused
    refused = attach(lab, "bare-3", port="up-a", via=["192.0.2.7"])
    assert (refused.status, "addresses of this host" in refused.body["detail"]) == (409, True)
    refused = attach(lab, "bare-3", port="eth8", via=[UPSTREAM])
    assert (refused.status, "not behind eth8" in refused.body["detail"]) == (409, True)

    four, other = attach(lab, "bare-2", port="eth8", via=["192.0.2.7", "2001:db8::7"]).body["addresses"]
    (behind,) = attach(lab, "bare-3", port="eth8", via=["192.0.2.7"]).body["addresses"]
    netns.batch([f"address add {four}/32 dev lo", f"route add {behind}/32 dev lan"], inside=router.netns)
    netns.batch(
        [f"address add {other}/128 dev lo", "route add default via fe80::1 dev eno1"], inside=router.netns
    )
    way = ["link set eth0 up", f"address add {behind}/32 dev eth0", f"route add {four}/32 dev eth0"]
    netns.batch([*way, f"route add default via {four}"], inside=inner.netns)
    for address in (four, behind):
        wait_until(lambda at=address: metal.ping(at).ok, SOON_S, f"{address} to answer")
    assert node.ping(other).ok, "by IPv6 as well"
    assert inner.ping("10.3.0.10").ok, "what it opens itself"

    # What nobody there has stays there, also the router's own address.
    assert not router.ping("10.3.0.10", source="192.0.2.7").ok
    stats_of = lambda name: lab.api.do("GET", f"/v1/endpoints/{name}/stats")  # noqa: E731
    stats = stats_of("bare-3")
    assert min(stats[way]["packets"] for way in ("sent", "received")) >= 2, stats
    told = json.loads(lab.cli("trace", "bare-3", "10.3.0.10", "-o", "json").stdout)
    assert told["arrives"], told

    # A rule is for one of them, whoever asks, those behind the same port as well.
    lab.api.do(
        "POST",
        "/v1/policies",
        {"name": "inner", "selector": {"app": "inner"}, "ingress": [{"action": "deny"}]},
    )
    wait_until(lambda: not metal.ping(behind).ok, SOON_S, "it not to answer any more")
    assert metal.ping(four).ok
    assert inner.ping("10.3.0.10").ok
    ping = metal.ping_background(four)
    lab.polder.agents[lab.nodes[0]].restart()
    wait_until(lambda: lab.polder.agent_api(lab.nodes[0]).get("/readyz").ok, SOON_S, "the agent")
    report = ping.stop()
    assert report.ok, report
    switch_is_restarted(lab, lab.nodes[0], metal, four)
    shown = lambda name="bare-2": lab.api.do("GET", f"/v1/endpoints/{name}")  # noqa: E731
    with rebooted(lab, lab.nodes[0]):
        router.set_link("eno1", up=False)
        router.set_link("eno1", up=True)
        netns.batch([gateways[0], "route add default via fe80::1 dev eno1"], inside=router.netns)
    wait_until(lambda: metal.ping(four).ok, SOON_S, "it to answer after a reboot of the node")
    wait_until(lambda: shown("bare-3"), SOON_S, "the other to be ready", good=lambda found: found["ready"])
    assert node.ping(other).ok, "by IPv6 as well"
    assert not metal.ping(behind).ok
    lab.api.do("DELETE", "/v1/policies/inner")
    wait_until(lambda: metal.ping(behind).ok, SOON_S, "it to answer again")

    lab.api.do("PATCH", "/v1/endpoints/bare-3", {"qos": {"ingress_packets_per_s": 10}})
    wait_until(lambda: not metal.ping(behind, 60, 0.002).ok, SOON_S, "no more than it may get")
    assert [each["purpose"] for each in stats_of("bare-3")["dropped"]] == ["METER"]
    assert not stats_of("bare-2")["dropped"]

    router.set_link("eno1", up=False)
    wait_until(shown, SOON_S, "no carrier, not ready", good=lambda found: not found["ready"])
    router.set_link("eno1", up=True)
    netns.batch(gateways[:1], inside=router.netns)
    wait_until(shown, SOON_S, "to be ready again", good=lambda found: found["ready"])
    delete(lab, "bare-2")
    assert not [route for route in node.routes() if route.dst == f"{four}/32"]
    wait_until(lambda: metal.ping(behind).ok, SOON_S, "the other to go on")
    delete(lab, "bare-3")
    node.run("ip", "link", "delete", "eth8")


def test_a_container_with_an_interface_in_each_of_two_pools(lab: Lab, six: None) -> None:
    metal, inside = lab.hosts["metal"], lab.container("multi")
    lab.api.do("POST", "/v1/pools", {"name": "back", "cidr": "10.65.0.0/24", "cooldown_s": 0})
    node = {"node": lab.nodes[0]}
    items = [
        {"id": "multi", **node, "pools": ["default", "kinds6"]},
        {"id": "multi.eth1", **node, "pools": ["back", "kinds6"]},
    ]
    lab.api.do("POST", "/v1/endpoints:batch", {"items": items, "atomic": True})
    told = [
        attach(lab, name, netns=str(inside.netns_path), ifname=ifname).body
        for name, ifname in (("multi", "eth0"), ("multi.eth1", "eth1"))
    ]
    for one in told:
        four, other = one["addresses"]
        wait_until(lambda at=four: metal.ping(at).ok, SOON_S, f"{four} to answer")
        assert lab.hosts[lab.nodes[0]].ping(other).ok, f"{other} answers"
        with inside.capture(one["ifname"], "icmp and src 10.3.0.10") as captured:
            assert inside.ping("10.3.0.10", source=four).ok
            wait_until(lambda seen=captured: seen.packets(), 5.0, "the answer to come in where it was asked")
    lab.detach("multi", lab.nodes[0])
    assert inside.ping("10.3.0.10").ok, "the interface that is left has the default route"
    for name in ("multi", "multi.eth1"):
        delete(lab, name)
    wait_until(lambda: lab.api.request("DELETE", "/v1/pools/back").ok, 30.0, "the pool to go")
