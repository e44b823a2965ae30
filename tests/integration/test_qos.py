"""Limits, shares and marks of endpoints, on the wire of a lab."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.host import Host
from lab.lab import Lab
from lab.topology import METAL_ADDRESS
from lab.wait import wait_until
from tests.support.cluster import NODE
from tests.support.containers import Fixed, delete, make

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra", "iperf3", "tc", "tcpdump")

SOON_S = 20.0
AT_ONCE_S = 10.0
TOR_ADDRESS = "10.1.1.0"
"""Of tor-a on the first node's link `up-a`: what is for it leaves by that uplink."""
UPLINKS = [{"ifname": "up-a", "rate_mbps": 50}, {"ifname": "up-b", "rate_mbps": 50}]

UDP_COUNTER = """
import socket
stream = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
stream.bind(("", 7001))
print("ready", flush=True)
stream.recv(64)
stream.settimeout(0.5)
count = 1
try:
    while True:
        count += bool(stream.recv(64))
except TimeoutError:
    print(count, flush=True)
"""
UDP_SENDER = """
import socket, sys, time
stream = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
begun = time.monotonic()
while (passed := time.monotonic() - begun) < 1:
    for _ in range(10):
        stream.sendto(b"x", (sys.argv[1], 7001))
    time.sleep(0.005)
print(passed)
"""
TCP_COUNTER = """
import socket
listener = socket.create_server(("", 7002), backlog=1024)
print("ready", flush=True)
listener.accept()
listener.settimeout(0.5)
count = 1
try:
    while True:
        listener.accept()
        count += 1
except TimeoutError:
    print(count, flush=True)
"""
TCP_SENDER = """
import socket, sys, time
begun, kept = time.monotonic(), []
while (passed := time.monotonic() - begun) < 1:
    kept.append(socket.socket())
    kept[-1].setblocking(False)
    kept[-1].connect_ex((sys.argv[1], 7002))
    time.sleep(0.005)
print(passed)
"""


@dataclass
class Node:
    """The node, two containers on it, and what its switch and kernel hold for them."""

    lab: Lab
    web: Fixed
    bulk: Fixed

    def set(self, one: Fixed, qos: dict[str, object] | None) -> None:
        """Replace an endpoint's quality of service."""
        for each in (None, qos):
            self.lab.api.do("PATCH", f"/v1/endpoints/{one.name}", {"qos": each})

    def limit(self, qos: dict[str, object]) -> None:
        """Limit the first container, and wait for the flows of as many meters."""
        self.set(self.web, qos)
        wait_until(
            self.flows, SOON_S, "the flows", good=lambda told: told.count("actions=meter:") == len(qos)
        )

    def flows(self) -> str:
        return self.lab.fabric.switches[NODE].ofctl("dump-flows", "polder0")

    def meters(self) -> dict[int, int]:
        """The meters, and how many packets each has dropped."""
        told = self.lab.fabric.switches[NODE].ofctl("meter-stats", "polder0")
        found = re.findall(r"meter:(\d+) .*?\n\s*0: packet_count:(\d+)", told)
        return {int(number): int(dropped) for number, dropped in found}

    def amiss(self) -> Any:
        told = json.loads(self.lab.cli("node", "diff", NODE, "-o", "json", check=False).stdout)
        return told["unlike"]

    def dropped(self) -> list[Any]:
        """What the limits of the first container dropped."""
        told = json.loads(self.lab.cli("endpoint", "stats", self.web.name, "-o", "json").stdout)
        return [each for each in told["dropped"] if each["purpose"] == "METER"]

    def classes(self) -> str:
        return self.web.node.run("tc", "class", "show", "dev", "up-a").stdout

    def tc(self, command: str) -> None:
        """Do something to the first uplink by hand."""
        noun, verb, *rest = command.split()
        self.web.node.run("tc", noun, verb, "dev", "up-a", *rest)

    def shared(self) -> bool:
        """Whether the first uplink has its tree, and who is found by an address in it."""
        found = self.web.node.run("tc", "filter", "show", "dev", "up-a").stdout
        return "root rate 50Mbit" in self.classes() and "flowid 706c:" in found

    def is_told(self, reason: str, uplink: str) -> None:
        """Wait for the event."""
        about = f"/v1/events?noun=uplink&name={NODE}/{uplink}&reason={reason}"
        wait_until(lambda: self.lab.api.do("GET", about)["items"], SOON_S, f"the event {reason} of {uplink}")


@pytest.fixture(scope="module")
def node(lab: Lab) -> Iterator[Node]:
    made = Node(lab, make(lab, "qos-web"), make(lab, "qos-bulk"))
    yield made
    lab.api.do("PATCH", f"/v1/nodes/{NODE}", {"uplinks": None})
    for one in (made.web, made.bulk):
        delete(lab, one.name)
        lab.fabric.remove_container(one.name)
    assert made.meters() == {}, "what an endpoint has goes with it"
    assert "htb" not in made.web.node.run("tc", "qdisc", "show", "dev", "up-a").stdout


@pytest.fixture(scope="module")
def servers(node: Node) -> Iterator[None]:
    metal, tor = node.lab.hosts["metal"], node.lab.hosts["tor-a"]
    started = [
        metal.record("iperf3", "-s"),
        *(tor.record("iperf3", "-s", "-B", TOR_ADDRESS, "-p", port) for port in ("5201", "5202")),
    ]
    wait_until(lambda: ":5201" in metal.run("ss", "-ltn").stdout, SOON_S, "iperf3 to listen")
    wait_until(lambda: ":5202" in tor.run("ss", "-ltn").stdout, SOON_S, "iperf3 to listen")
    yield
    for one in started:
        one.stop()


def mbps(host: Host, *arguments: str) -> float:
    """How much arrives in a second, after one in which bursts pass."""
    told = host.run("iperf3", "-J", "-t", "1", "-O", "1", "-c", *arguments).stdout
    return float(json.loads(told)["end"]["sum_received"]["bits_per_second"]) / 1e6


def test_rates_hold_each_way_and_a_change_leaves_the_link(node: Node, servers: None) -> None:
    link = node.web.host.run("ip", "-o", "link", "show", "eth0").stdout
    node.limit({"egress_rate_kbps": 50_000, "ingress_rate_kbps": 20_000})
    assert mbps(node.web.host, METAL_ADDRESS, "-t", "2") == pytest.approx(50, rel=0.15)
    assert mbps(node.web.host, METAL_ADDRESS, "-t", "2", "-R") == pytest.approx(20, rel=0.15)
    assert node.web.host.run("ip", "-o", "link", "show", "eth0").stdout == link

    dropped = node.meters()
    assert min(dropped.values()) > 0
    node.lab.polder.agents[NODE].restart()
    wait_until(lambda: node.lab.polder.agent_api(NODE).get("/readyz").ok, SOON_S, "the agent to be back")
    wait_until(node.amiss, SOON_S, "no difference", good=lambda amiss: not amiss)
    assert node.meters() == dropped, "a meter that is made anew begins to count anew"


def test_an_uplink_is_shared_by_guarantee_then_by_priority(node: Node, servers: None) -> None:
    node.set(node.bulk, {"priority": 7})
    node.set(node.web, {"guaranteed_kbps": 30_000})
    node.lab.api.do("PATCH", f"/v1/nodes/{NODE}", {"uplinks": UPLINKS})
    wait_until(node.classes, SOON_S, "the classes", good=lambda told: "rate 30Mbit ceil 50Mbit" in told)
    flood = node.bulk.host.record("iperf3", "-u", "-b", "80M", "-t", "20", "-c", TOR_ADDRESS, "-p", "5202")
    assert mbps(node.web.host, TOR_ADDRESS) > 30 * 0.85
    node.set(node.web, None)
    wait_until(node.classes, SOON_S, "one class less", good=lambda told: "rate 30Mbit" not in told)
    assert mbps(node.web.host, TOR_ADDRESS) < 15
    flood.stop()
    node.set(node.bulk, None)
    wait_until(node.classes, SOON_S, "nothing to be shared", good=lambda told: "htb" not in told)


def test_shares_changed_by_hand_are_put_right_at_once_and_what_is_amiss_is_told(node: Node) -> None:
    """Each in less than the time to the next resync, which a repair puts off by 30 s."""
    node.tc("qdisc replace root tbf rate 1gbit burst 128kb latency 50ms")
    node.set(node.web, {"guaranteed_kbps": 60_000})
    node.lab.api.do("PATCH", f"/v1/nodes/{NODE}", {"uplinks": UPLINKS})
    node.is_told("uplink-overbooked", "up-b")
    node.is_told("uplink-not-shared", "up-a")
    listed = node.lab.cli("node", "list", "-o", "wide").stdout
    assert "uplink-not-shared: nothing is shared out on up-a" in listed

    for by_hand in (
        "qdisc del root",
        "class change parent 706c: classid 706c:1 htb rate 9mbit",
        "filter del parent 706c:",
        "qdisc del root",
    ):
        node.tc(by_hand)
        wait_until(node.shared, AT_ONCE_S, f"the shares again after {by_hand}")

    node.set(node.web, None)
    node.is_told("uplink-not-shared-over", "up-a")
    node.is_told("uplink-overbooked-over", "up-b")
    wait_until(node.classes, SOON_S, "nothing to be shared", good=lambda told: "htb" not in told)


def test_the_dscp_is_on_the_wire(node: Node) -> None:
    node.set(node.web, {"dscp": 46})
    wait_until(node.flows, SOON_S, "the flows", good=lambda told: "set_field:46->ip_dscp" in told)
    ours = f"icmp and src {node.web.address} and ip[1]&0xfc==0xb8"
    with node.lab.hosts["metal"].capture("eth0", ours) as capture:
        assert node.web.host.ping(METAL_ADDRESS).ok
        capture.wait(1, SOON_S)


@pytest.mark.parametrize(
    ("qos", "counter", "sender", "most"),
    [
        ({"egress_packets_per_s": 100}, UDP_COUNTER, UDP_SENDER, lambda passed_s: 25 + 100 * passed_s),
        ({"egress_connections_per_s": 20}, TCP_COUNTER, TCP_SENDER, lambda passed_s: 20 + 20 * passed_s),
    ],
    ids=["packets", "connections"],
)
def test_a_limit_holds_and_counts_what_it_drops(
    node: Node, qos: dict[str, object], counter: str, sender: str, most: Callable[[float], float]
) -> None:
    node.limit(qos)
    counting = node.lab.hosts["metal"].record(sys.executable, "-c", counter)
    counting.wait(lambda: counting.lines()[:1] == ["ready"], SOON_S, "the receiver to listen")
    passed_s = float(node.web.host.run(sys.executable, "-c", sender, METAL_ADDRESS).stdout)
    counting.wait(lambda: len(counting.lines()) == 2, SOON_S, "the receiver to have counted")
    assert float(counting.lines()[1]) == pytest.approx(most(passed_s), rel=0.15)
    (dropped,) = wait_until(node.dropped, SOON_S, "the switch to tell what was dropped")
    assert dropped["packets"] > most(passed_s)
    assert dropped["reason"].startswith(f"{node.web.name} ")
    counting.stop()
