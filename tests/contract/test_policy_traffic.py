"""Who reaches whom through a real switch, for several policies: both families, near and far."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from typing import Any

import pytest

from agents.node.explain.samples import Heard, Samples, sampled
from agents.node.health.probe import probe
from agents.parts import Parts
from intent.flows import flow_parts
from intent.held import Held
from intent.names import GATEWAY_SOURCES
from intent.policy import judged, policies, policy_parts
from intent.snapshot import Snapshot
from lab.netns import batch, within
from openflow.cookie import Purpose
from openflow.counting import Way
from store.model import Check, Endpoint, Group, NodePolicy, NodeRule, PeerMatch, Pool, PortMatch
from tests.support.dataplane import WORLD4, WORLD6, Container, Node, answers, dataplane, ping
from tests.support.ovs import until

pytestmark = pytest.mark.needs("root", "ip", "ping", "ovs-vswitchd", "ovsdb-server", "ovs-vsctl")

WEB = Container("policy-web", "web", "02:00:00:00:00:01", "10.64.0.1", "fd00:64::1")
DB = Container("policy-db", "db", "02:00:00:00:00:02", "10.64.0.2", "fd00:64::2")
RED = Container("policy-red", "red", "02:00:00:00:00:03", "10.64.0.3", "fd00:64::3")
CONTAINERS = (WEB, DB, RED)
PORTS = (80, 22)
TIMEOUT_S = 0.4
"""What is not answered by then was dropped: an answer takes a few milliseconds."""

SOON_S = 5.0
"""For what has to be answered: at a busy moment TCP asks again after a second."""

KINDS = (socket.AF_INET, socket.AF_INET6)
BLUE, REDS = "b" * 16, "c" * 16
FAR: Mapping[str, tuple[str, str]] = {
    "far-blue": ("10.64.9.1", "fd00:64::9:1"),
    "far-red": ("10.64.9.2", "fd00:64::9:2"),
    "outside": (WORLD4, WORLD6),
}
"""Addresses of the host beyond: endpoints of another node, and no endpoint at all."""
ADDRESSES = {**{each.name: (each.four, each.six) for each in CONTAINERS}, **FAR}
SETS = {
    BLUE: frozenset(map(ip_address, (*ADDRESSES["web"], *ADDRESSES["db"], *ADDRESSES["far-blue"]))),
    REDS: frozenset(map(ip_address, (*ADDRESSES["red"], *ADDRESSES["far-red"]))),
}
ENDPOINTS = [
    Endpoint(
        id=each.name,
        uid=f"{number:032x}",
        node="node-a",
        tenant="red" if each is RED else "blue",
        pools=("four", "six"),
        addresses=each.addresses,
        mac=each.mac,
        labels={"app": each.name},
    )
    for number, each in enumerate(CONTAINERS)
]
POOLS = {
    name: Pool(name=name, cidr=cidr) for name, cidr in (("four", "10.64.0.0/16"), ("six", "fd00:64::/64"))
}


@dataclass
class Cluster:
    """The node, and what it is told of policies; `tell` makes it true."""

    node: Node
    applied: dict[Any, Any] = field(default_factory=dict)

    def tell(self, rules: Sequence[NodePolicy], groups: Mapping[str | None, Group]) -> None:
        snapshot = Snapshot(
            "node-a", pools=POOLS, rules={each.policy: each for each in rules}, groups=groups, sets=SETS
        )
        ports = self.node.ports
        held = [Held(one, ports[one.id].ofport, judged=judged(snapshot, one)) for one in ENDPOINTS]
        wanted = dict(Parts([*flow_parts(held), *policy_parts(policies(snapshot), held)]))
        gone = [flow for key, flow in self.applied.items() if key not in wanted]
        self.node.switch.apply(list(wanted.values()), gone)
        self.applied = wanted
        self.node.settle()
        assert set(self.node.switch.dump()) == set(wanted.values()), "flows read as they were written"

    def reached(self, ports: Sequence[int] = (80,)) -> set[str]:
        """Who reaches whom: `web > db` or, of another port, `web > db 22`. The families must agree."""
        pairs = [
            (sender, receiver, port, family)
            for sender in ADDRESSES
            for receiver in ADDRESSES
            for port in ports
            for family in (0, 1)
            if sender != receiver and not (sender in FAR and receiver in FAR)
        ]
        with ThreadPoolExecutor(48) as pool:
            connected = dict(zip(pairs, pool.map(lambda pair: self._connects(*pair), pairs), strict=True))
        found = set()
        for sender, receiver, port, family in pairs:
            four = connected[sender, receiver, port, 0]
            assert connected[sender, receiver, port, family] == four, (sender, receiver, port)
            if four:
                found.add(f"{sender} > {receiver}" + (f" {port}" if port != 80 else ""))
        return found

    def _connects(self, sender: str, receiver: str, port: int, family: int) -> bool:
        try:
            self.connection(sender, receiver, port, family, within_s=TIMEOUT_S).close()
        except TimeoutError:
            return False
        return True

    def connection(
        self, sender: str, receiver: str, port: int = 80, family: int = 0, *, within_s: float = SOON_S
    ) -> socket.socket:
        source, target = ADDRESSES[sender][family], ADDRESSES[receiver][family]
        connect = partial(socket.create_connection, (target, port), within_s, (source, 0))
        return within(self.netns(sender), connect)

    def netns(self, name: str) -> str:
        return self.node.world if name in FAR else f"policy-{name}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with (
        dataplane("policy", CONTAINERS, tmp_path_factory.mktemp("ovs")) as node,
        ExitStack() as listening,
    ):
        far = [each for name in ("far-blue", "far-red") for each in FAR[name]]
        batch(
            [f"address add {each} dev lo{' nodad' if ':' in each else ''}" for each in far], inside=node.world
        )
        routes = ["route add 10.64.9.0/24 via 192.0.2.1", "route add fd00:64::9:0/112 via 2001:db8::1"]
        batch(routes, inside=node.netns)
        for netns in (node.world, *(each.netns for each in CONTAINERS)):
            for port in PORTS:
                serve = partial(
                    socket.create_server,
                    ("::", port),
                    family=socket.AF_INET6,
                    dualstack_ipv6=True,
                    backlog=4096,
                )
                listening.enter_context(closing(within(netns, serve)))
        made = Cluster(node)
        made.tell([], {})
        for each in CONTAINERS:
            assert answers(each.netns, WORLD4)
            assert answers(each.netns, WORLD6)
        yield made


def rule(action: str, *cidrs: str, sets: Sequence[str] = (), **ports: Any) -> NodeRule:
    """A rule; of `ports` the fields of a `PortMatch`."""
    return NodeRule(
        action=action,
        anyone=not (cidrs or sets),
        cidrs=tuple(PeerMatch(cidr=each).cidr for each in cidrs),
        sets=tuple(sets),
        ports=(PortMatch(**ports),) if ports else (),
    )


def policy(name: str, app: str, **given: Any) -> NodePolicy:
    return NodePolicy(policy=name, selector={"app": app}, **{"order": 500, "mode": "enforced", **given})


def groups(blue: str = "allow") -> dict[str | None, Group]:
    return {
        "blue": Group(tenant="blue", default=blue, members=BLUE),
        "red": Group(tenant="red", members=REDS),
    }


EVERYBODY = {
    f"{sender} > {receiver}"
    for sender in ADDRESSES
    for receiver in ADDRESSES
    if sender != receiver and not (sender in FAR and receiver in FAR)
}
FROM_RED = {"red > web", "red > db", "far-red > web", "far-red > db"}
TO_RED = {"web > red", "db > red", "far-blue > red"}
ISOLATED = EVERYBODY - FROM_RED - TO_RED
TO_WEB = {each for each in EVERYBODY if each.endswith("> web")}

HOSTS = (f"{WORLD4}/32", f"{WORLD6}/128")
SCENARIOS: Mapping[str, tuple[Sequence[NodePolicy], Mapping[str | None, Group], set[str]]] = {
    "no tenants, no policies": ([], {}, EVERYBODY),
    "tenants are isolated from each other": ([], groups(), ISOLATED),
    "a policy lets another tenant in": (
        [policy("in", "db", ingress=[rule("allow", sets=[REDS])])],
        groups(),
        ISOLATED | {"red > db", "far-red > db"},
    ),
    "a default of deny, and one port is open": (
        [
            policy("web", "web", ingress=[rule("allow", protocol="tcp", port=80)]),
            policy("out", "db", egress=[rule("allow", sets=[BLUE])]),
        ],
        groups("deny"),
        TO_WEB
        | {"db > far-blue"}
        | {"red > outside", "red > far-blue", "red > far-red", "outside > red", "far-red > red"},
    ),
    "ranges are denied before others are allowed": (
        [
            policy("first", "web", order=1, ingress=[rule("deny", "192.0.2.0/24", "2001:db8::/64")]),
            policy(
                "then", "web", ingress=[rule("allow")], egress=[rule("deny", f"{WORLD4}/32", f"{WORLD6}/128")]
            ),
        ],
        {},
        EVERYBODY - {"outside > web", "web > outside"},
    ),
    "a staged policy drops nothing": (
        [policy("staged", "web", mode="staged", ingress=[rule("deny")], egress=[rule("deny")])],
        {},
        EVERYBODY,
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_who_reaches_whom(cluster: Cluster, name: str) -> None:
    rules, told, wanted = SCENARIOS[name]
    cluster.tell(rules, told)
    assert cluster.reached() == wanted


@pytest.fixture
def samples(cluster: Cluster) -> Iterator[Samples]:
    made = Samples(cluster.node.ovs.directory / "polder0.mgmt", lambda: datetime.now(UTC))
    made.start()
    yield made
    made.stop()


def test_what_is_dropped_is_counted_and_sampled_for_its_reason(cluster: Cluster, samples: Samples) -> None:
    rules = [policy("out", "web", egress=[rule("deny", protocol="tcp", port=22)])]
    cluster.tell(
        [*rules, policy("in", "db", ingress=[rule("deny", protocol="tcp", port=22)])], groups("deny")
    )
    names = {port.ofport: name for name, port in cluster.node.ports.items()}

    def heard(sender: str, receiver: str, port: int) -> list[Heard]:
        with pytest.raises(TimeoutError):
            cluster.connection(sender, receiver, port, within_s=TIMEOUT_S)
        return samples.take()

    until(lambda: heard("web", "outside", 22), "samples to come")
    for sender, receiver, port, purpose in (
        ("web", "outside", 22, Purpose.POLICY_EGRESS),
        ("outside", "db", 22, Purpose.POLICY_INGRESS),
        ("web", "outside", 80, Purpose.DEFAULT_DENY),
        ("web", "red", 22, Purpose.POLICY_EGRESS),
        ("far-blue", "red", 80, Purpose.ISOLATED),
    ):
        before = cluster.node.dropped(purpose)
        got = heard(sender, receiver, port)
        until(lambda: cluster.node.dropped(purpose) > before, f"{purpose.name} to count")  # noqa: B023
        at = receiver if purpose in (Purpose.POLICY_INGRESS, Purpose.ISOLATED) else sender
        told = [packet for packet, _ in sampled([*got, *samples.take()], names, cluster.applied)]
        found = {(each.endpoint, each.purpose, each.destination_port, each.reason != "") for each in told}
        assert (at, purpose.name, port, True) in found


def test_a_staged_rule_counts_what_it_would_drop(cluster: Cluster) -> None:
    cluster.tell([policy("staged", "web", mode="staged", ingress=[rule("deny")])], {})
    before = cluster.node.dropped(Purpose.STAGED_DENY)
    cluster.connection("db", "web").close()
    until(lambda: cluster.node.dropped(Purpose.STAGED_DENY) > before, "the staged rule to count")


def test_a_change_cuts_a_connection_that_is_open(cluster: Cluster) -> None:
    cluster.tell([], groups())
    listener = within(WEB.netns, lambda: socket.create_server((WEB.four, 9000)))
    with listener, cluster.connection("db", "web", 9000) as connection:
        listener.settimeout(5)
        far, _ = listener.accept()
        with far:
            assert passes(connection, far, within_s=5)
            cluster.tell([policy("closed", "web", ingress=[rule("deny")])], groups())
            # the switch takes some milliseconds until what it has cached follows the flows
            until(lambda: not passes(connection, far, within_s=TIMEOUT_S), "the connection to be cut")
            before, sent = cluster.node.dropped(Purpose.CUT), cluster.node.counted("web", Way.DENIED_SENT)
            assert not passes(far, connection, within_s=TIMEOUT_S), "both ways"
            until(lambda: cluster.node.dropped(Purpose.CUT) > before, "the answer to be counted")
            until(lambda: cluster.node.counted("web", Way.DENIED_SENT) > sent, "and for who sent it")
            cluster.tell([], groups())
            assert passes(connection, far, within_s=10), "the same connection goes on once it may again"
            assert passes(far, connection, within_s=10), "both ways"


@pytest.mark.parametrize("family", [0, 1])
@pytest.mark.parametrize("sender", ["db", "outside"])
def test_who_may_only_answer_goes_on_when_the_tracker_has_forgotten(
    cluster: Cluster, sender: str, family: int
) -> None:
    """And so what it says in a connection that nobody may have opened is dropped as before."""
    addresses = f"{ADDRESSES[sender][family]}/{(32, 128)[family]}"
    closed = policy("closed", "web", egress=[rule("deny")], ingress=[rule("allow", addresses), rule("deny")])
    cluster.tell([closed], {})
    listener = within(
        WEB.netns, lambda: socket.create_server((ADDRESSES["web"][family], 9000), family=KINDS[family])
    )
    with listener, cluster.connection(sender, "web", 9000, family) as connection:
        listener.settimeout(5)
        far, _ = listener.accept()
        with far:
            assert passes(connection, far, within_s=5)
            cluster.node.forget_connections()
            assert passes(far, connection, within_s=5), "the first word is an answer"
            cluster.tell([policy("closed", "web", egress=[rule("deny")], ingress=[rule("deny")])], {})
            cluster.node.forget_connections()
            until(lambda: not passes(far, connection, within_s=TIMEOUT_S), "the connection to be cut")


def passes(sender: socket.socket, receiver: socket.socket, *, within_s: float) -> bool:
    """Whether a byte arrives."""
    receiver.settimeout(within_s)
    sender.sendall(b"x")
    try:
        return bool(receiver.recv(100))
    except TimeoutError:
        return False


def test_answers_pass_where_their_sender_may_open_nothing(cluster: Cluster) -> None:
    cluster.tell([policy("silent", "web", egress=[rule("deny")])], {})
    for family in (0, 1):
        cluster.connection("db", "web", family=family).close()
        with pytest.raises(TimeoutError):
            cluster.connection("web", "db", family=family, within_s=TIMEOUT_S)


@contextmanager
def narrow(node: Node) -> Iterator[None]:
    batch(["link set uplink mtu 1300"], inside=node.netns)
    try:
        yield
    finally:
        batch(["link set uplink mtu 1500"], inside=node.netns)


@pytest.mark.parametrize(("target", "error"), [(WORLD4, "mtu = 1300"), (WORLD6, "mtu=1300")])
def test_errors_about_a_connection_come_through(cluster: Cluster, target: str, error: str) -> None:
    to = rule("allow", f"{target}/{128 if ':' in target else 32}")
    cluster.tell([policy("out", "web", egress=[to])], groups("deny"))
    with narrow(cluster.node):
        assert error in ping(WEB.netns, target, "-M", "do", "-s", "1400").stdout
    assert "exceeded" in ping(WEB.netns, target, "-t", "1").stdout
    assert ping(WEB.netns, target).returncode == 0


def test_the_node_reaches_its_endpoints_whatever_the_rules(cluster: Cluster) -> None:
    cluster.tell([policy("closed", "web", order=0, ingress=[rule("deny")])], groups("deny"))
    assert ping(cluster.node.netns, WEB.four).returncode == 0
    for address in WEB.addresses:
        checked = partial(probe, Check(kind="tcp", port=80, timeout_s=1), address)
        source = GATEWAY_SOURCES[address.version]
        assert within(cluster.node.netns, lambda: asyncio.run(checked(source))) == ""  # noqa: B023
    unbound = within(cluster.node.netns, lambda: asyncio.run(checked(None)))
    assert "no answer" in unbound, "the kernel would choose another source with IPv6"


def test_the_trace_names_the_flow_that_decided(cluster: Cluster) -> None:
    cluster.tell([policy("in", "db", ingress=[rule("deny", protocol="udp", port=53, end_port=60)])], {})
    ofport = cluster.node.ports["web"].ofport
    base = (
        f"in_port={ofport},dl_src={WEB.mac},dl_dst=02:70:6f:6c:64:01,udp,nw_src={WEB.four},nw_dst={DB.four}"
    )
    for port, dropped in ((52, False), (53, True), (60, True), (61, False)):
        found = cluster.node.trace(f"{base},nw_ttl=64,udp_src=4000,udp_dst={port}")
        last = found.rpartition("Datapath actions: ")[2]
        assert (not re.search(r"(^|,)\d", last)) == dropped, found


def test_rules_tell_types_ranges_and_protocols_apart(cluster: Cluster) -> None:
    open_ = [
        rule("allow", protocol="tcp", port=20, end_port=60),
        rule("allow", protocol="icmp", icmp_type=8),
        rule("allow", protocol="sctp", port=7000),
    ]
    cluster.tell([policy("in", "db", ingress=[*open_, rule("deny")])], {})
    for family in (0, 1):
        cluster.connection("web", "db", 22, family).close()
        with pytest.raises(TimeoutError):
            cluster.connection("web", "db", 80, family, within_s=TIMEOUT_S)
        assert [port for port in (7000, 7001) if sctp_arrives(family, port)] == [7000]
    assert ping(WEB.netns, DB.four).returncode == 0
    assert ping(WEB.netns, DB.six).returncode != 0, "icmp is not icmpv6"
    cluster.tell([policy("in", "db", ingress=[rule("deny", protocol="icmp", icmp_type=8)])], {})
    assert ping(WEB.netns, DB.four).returncode != 0
    assert ping(DB.netns, WEB.four).returncode == 0, "an answer is of another type"


def sctp_arrives(family: int, port: int) -> bool:
    """Whether the head of an SCTP packet (RFC 9260 §3.1) from web reaches db: no kernel has to know SCTP."""
    kind = (socket.AF_INET, socket.AF_INET6)[family]
    raw = partial(socket.socket, kind, socket.SOCK_RAW, socket.IPPROTO_SCTP)
    with within(DB.netns, raw) as heard, within(WEB.netns, raw) as sender:
        heard.settimeout(TIMEOUT_S)
        sender.sendto(struct.pack("!HHII", 40000, port, 0, 0), (ADDRESSES["db"][family], 0))
        try:
            return struct.pack("!HH", 40000, port) in heard.recv(100)
        except TimeoutError:
            return False


def test_fragments_of_what_is_allowed_arrive(cluster: Cluster) -> None:
    one = rule("allow", protocol="udp", port=9999)
    cluster.tell([policy("in", "db", ingress=[one]), policy("out", "web", egress=[one])], groups("deny"))
    for family, kind in ((0, socket.AF_INET), (1, socket.AF_INET6)):
        heard = within(DB.netns, partial(socket.socket, kind, socket.SOCK_DGRAM))
        sender = within(WEB.netns, partial(socket.socket, kind, socket.SOCK_DGRAM))
        with heard, sender:
            heard.bind((ADDRESSES["db"][family], 9999))
            heard.settimeout(5)
            sender.bind((ADDRESSES["web"][family], 0))
            sender.sendto(bytes(6000), (ADDRESSES["db"][family], 9999))
            data, back = heard.recvfrom(10000)
            assert len(data) == 6000
            sender.settimeout(5)
            heard.sendto(bytes(5000), back)
            assert len(sender.recv(10000)) == 5000
