"""Real packets through the pipeline: two containers, the node's kernel as gateway, and a host beyond it."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from intent.services import slots
from lab.netns import batch, within
from openflow.anycast import SERVICE_MAC, ServicePorts, service_flows
from openflow.pipeline import base_flows, endpoint_flows
from openflow.words import purpose_words
from tests.support.dataplane import (
    GATEWAY_MAC,
    WORLD4,
    WORLD6,
    Container,
    Node,
    answers,
    dataplane,
    ping,
)
from tests.support.ovs import until

pytestmark = pytest.mark.needs("root", "ip", "ping", "ovs-vswitchd", "ovsdb-server", "ovs-vsctl")

NODE, WORLD = "openflow-node", "openflow-world"
SERVICES = ("10.64.255.1", "fd00:64::ffff")
BEYOND4, BEYOND6 = "203.0.113.0", "2001:db8:1::"
NARROW = ("203.0.113.1/24", "2001:db8:1::1/64")
FORWARDING = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")
SERVICE_PORT = 5353

WEB = Container("openflow-web", "web", "02:00:00:00:00:01", "10.64.0.1", "fd00:64::1")
DB = Container("openflow-db", "db", "02:00:00:00:00:02", "10.64.0.2", "fd00:64::2")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with dataplane("openflow", (WEB, DB), tmp_path_factory.mktemp("ovs")) as made:
        flows = [flow for port in made.ports.values() for flow in endpoint_flows(port, GATEWAY_MAC)]
        made.switch.apply([*base_flows(GATEWAY_MAC), *flows], [])
        yield made


def spoofed(node: Node, container: Container) -> int:
    """The packets of a container that were dropped as spoofed."""
    ofport = node.ports[container.name].ofport
    return sum(
        each.packets
        for each in node.switch.counters()
        if purpose_words(each.flow.cookie) == "SPOOFED" and dict(each.flow.match).get("in_port") == ofport
    )


@pytest.mark.parametrize(
    ("netns", "target"),
    [
        (WEB.netns, DB.four),
        (WEB.netns, DB.six),
        (DB.netns, WEB.four),
        (DB.netns, WEB.six),
        (WEB.netns, "169.254.1.1"),
        (WEB.netns, WORLD4),
        (WEB.netns, WORLD6),
        (WORLD, WEB.four),
        (WORLD, DB.six),
        (NODE, WEB.four),
        (NODE, DB.six),
    ],
)
def test_who_reaches_whom(node: Node, netns: str, target: str) -> None:
    found = answers(netns, target)
    assert found, "\n".join(f"{each.packets} {each.flow}" for each in node.switch.counters() if each.packets)


def test_between_containers_of_one_node_the_ttl_goes_down_by_one(node: Node) -> None:
    assert answers(WEB.netns, DB.four)
    assert "ttl=63" in ping(WEB.netns, DB.four).stdout


def test_at_the_last_hop_the_gateway_answers(node: Node) -> None:
    assert "Time to live exceeded" in ping(WEB.netns, DB.four, "-t", "1").stdout


@pytest.mark.parametrize("stolen", [DB.four, "10.64.0.99", DB.six])
def test_a_spoofed_source_is_dropped_and_counted(node: Node, stolen: str) -> None:
    before, others = spoofed(node, WEB), spoofed(node, DB)
    length = 128 if ":" in stolen else 32
    batch([f"address add {stolen}/{length} dev eth0 nodad"], inside=WEB.netns)
    try:
        target = WORLD6 if ":" in stolen else WORLD4
        assert ping(WEB.netns, target, "-I", stolen).returncode != 0
        until(lambda: spoofed(node, WEB) > before, "the drop to be counted")
    finally:
        batch([f"address delete {stolen}/{length} dev eth0"], inside=WEB.netns)
    assert spoofed(node, DB) == others


def test_a_changed_mac_is_dropped_and_counted(node: Node) -> None:
    before = spoofed(node, WEB)
    batch(["link set eth0 address 02:00:00:00:00:99"], inside=WEB.netns)
    try:
        assert ping(WEB.netns, WORLD4).returncode != 0
        until(lambda: spoofed(node, WEB) > before, "the drop to be counted")
    finally:
        batch([f"link set eth0 address {WEB.mac}"], inside=WEB.netns)
    assert answers(WEB.netns, WORLD4)


@pytest.fixture
def narrow(node: Node) -> Iterator[None]:
    """The uplink takes 1400 bytes, and a link behind the host beyond 1300."""
    within(node.world, lambda: [Path(f"/proc/sys/net/{each}").write_text("1") for each in FORWARDING])
    batch(
        ["link add small0 mtu 1300 type bridge", "link set small0 up"]
        + [f"address add {each} dev small0{' nodad' if ':' in each else ''}" for each in NARROW],
        inside=node.world,
    )
    ways = [f"route add {BEYOND4}/24 via {WORLD4}", f"route add {BEYOND6}/64 via {WORLD6}"]
    batch(["link set uplink mtu 1400", *ways], inside=node.netns)
    yield
    batch(["link set uplink mtu 1500", *(each.replace("add", "delete") for each in ways)], inside=node.netns)
    batch(["link delete small0"], inside=node.world)


@pytest.mark.parametrize(
    ("target", "mtu"), [(WORLD4, 1400), (WORLD6, 1400), (f"{BEYOND4[:-1]}9", 1300), (f"{BEYOND6}9", 1300)]
)
def test_a_packet_that_is_too_big_is_told_so(node: Node, narrow: None, target: str, mtu: int) -> None:
    """By the node's own kernel, and by a router beyond it: the error reaches who sent the packet."""
    size = str(mtu - 10)  # with its headers it is more, and less than the way before takes
    told = until(
        lambda: re.search(r"mtu ?= ?([0-9]+)", ping(WEB.netns, target, "-M", "do", "-s", size).stdout),
        f"{target} to be too narrow",
    )
    assert int(told[1]) == mtu


@pytest.mark.parametrize(("receiver", "address"), [(DB.netns, DB.four), (WORLD, WORLD4)])
def test_bulk_tcp_with_offloads_arrives_whole(node: Node, receiver: str, address: str) -> None:
    """Segments larger than the MTU cross the userspace datapath, and their headers are rewritten."""
    size = 20_000_000
    assert answers(WEB.netns, address)
    listener = within(receiver, lambda: socket.create_server((address, 5001)))
    listener.settimeout(10)
    received = 0

    def receive() -> None:
        nonlocal received
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            while data := connection.recv(1 << 20):
                received += len(data)

    with listener:
        thread = threading.Thread(target=receive)
        thread.start()
        with within(WEB.netns, lambda: socket.create_connection((address, 5001), timeout=10)) as sender:
            sender.sendall(bytes(size))
        thread.join()
    assert received == size


@pytest.fixture
def served(node: Node) -> Iterator[Node]:
    """Both containers hold the address of a service of each family, and answer there by their names."""
    answering = [within(each.netns, partial(Answering, each)) for each in (WEB, DB)]
    flows = []
    for text in SERVICES:
        address = ip_address(text)
        batch(
            [
                f"neighbour replace {text} lladdr {SERVICE_MAC} dev polder0 nud permanent",
                f"route replace {text} dev polder0",
            ],
            inside=NODE,
        )
        holders = tuple(node.ports.values())
        chosen = [node.ports[name].ofport for name in slots(tuple(sorted(node.ports)))]
        flows += service_flows(ServicePorts("dns", address, holders, holders, chosen), GATEWAY_MAC)
    node.switch.apply(flows, [])
    yield node
    node.switch.apply([], flows)
    for each in answering:
        each.close()


class Answering:
    """Answers datagrams to the service's addresses: whose endpoint it is, and who asked."""

    def __init__(self, container: Container) -> None:
        self._name, self._netns = container.name, container.netns
        added = [f"address add {each} dev lo{' nodad' if ':' in each else ''}" for each in SERVICES]
        batch(added, inside=container.netns)
        self._sockets = []
        for each in SERVICES:
            made = socket.socket(socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((each, SERVICE_PORT))
            made.settimeout(0.1)
            self._sockets.append(made)
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._answer, args=(made,)) for made in self._sockets]
        for thread in self._threads:
            thread.start()

    def _answer(self, made: socket.socket) -> None:
        with made:
            while not self._closed.is_set():
                try:
                    data, sender = made.recvfrom(100)
                except TimeoutError:
                    continue
                made.sendto(f"{self._name} {sender[0]} {data.decode()}".encode(), sender)

    def close(self) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join()
        batch([f"address delete {each} dev lo" for each in SERVICES], inside=self._netns)


def ask(netns: str, service: str, times: int = 1) -> set[tuple[str, str]]:
    """Ask from one socket: who answered, and from which address it was asked."""
    kind = socket.AF_INET6 if ":" in service else socket.AF_INET
    with within(netns, lambda: socket.socket(kind, socket.SOCK_DGRAM)) as asking:
        asking.settimeout(5)
        asking.connect((service, SERVICE_PORT))
        heard = set()
        for number in range(times):
            asking.send(str(number).encode())
            name, sender, echoed = asking.recv(100).decode().split()
            assert echoed == str(number)
            heard.add((name, sender))
        return heard


@pytest.mark.parametrize(("service", "client"), [(SERVICES[0], WORLD4), (SERVICES[1], WORLD6)])
def test_a_services_packets_are_shared_and_its_connections_are_not(
    served: Node, service: str, client: str
) -> None:
    assert answers(WORLD, WEB.six if ":" in service else WEB.four)
    heard: set[tuple[str, str]] = set()
    for _ in range(24):
        one = ask(WORLD, service, times=3)
        assert len(one) == 1, "all of a connection goes to one endpoint"
        heard |= one
    assert heard == {("web", client), ("db", client)}, "both take their part, and see who asks"


def test_the_flows_of_a_service_read_as_they_were_written(served: Node) -> None:
    held = tuple(served.ports.values())
    chosen = [served.ports[name].ofport for name in slots(("db", "web"))]
    wanted = service_flows(ServicePorts("dns", ip_address(SERVICES[0]), held, held, chosen), GATEWAY_MAC)
    assert set(wanted) <= set(served.switch.dump())


def test_a_port_that_is_down_takes_nothing(served: Node) -> None:
    batch(["link set pl-web down"], inside=NODE)
    try:
        until(lambda: all(ask_or_none(WORLD, SERVICES[0]) == "db" for _ in range(8)), "db to take all")
    finally:
        batch(["link set pl-web up"], inside=NODE)


def ask_or_none(netns: str, service: str) -> str | None:
    try:
        return next(name for name, _ in ask(netns, service))
    except TimeoutError:
        return None
