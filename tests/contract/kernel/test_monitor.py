"""What the monitor reports, and what it keeps quiet about."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from agents.delta import Delta
from agents.driver import Driver, Outcome
from agents.kernel.links import Links, LinkSpec
from agents.kernel.monitor import Changed, Monitor
from agents.kernel.neighbours import NeighbourDriver
from agents.kernel.routes import RouteDriver, RuleDriver
from agents.kernel.shares import ShareDriver
from intent.names import BRIDGE, GATEWAYS, IMPORT_PROTOCOL
from intent.neighbours import Neighbour
from intent.routes import Route, RouteKind, rules
from intent.shares import LOWEST, OTHERS, ROOT, Class, Discipline, Filter, Share, ShareKey
from tests.contract.kernel.conftest import DEADLINE_S, Place, poll

pytestmark = pytest.mark.needs("root", "ip", "nsenter", "tc")

ROUTES = {
    route.key: route
    for route in (
        Route(ip_network("10.64.0.5/32"), oif=BRIDGE),
        Route(ip_network("fd64::/122"), kind=RouteKind.BLACKHOLE),
    )
}
NEIGHBOUR = Neighbour(BRIDGE, ip_address("10.64.0.5"), "02:00:00:00:00:05")
NEIGHBOURS = {NEIGHBOUR.key: NEIGHBOUR}
SHARES: dict[ShareKey, Share] = {
    share.key: share
    for share in (
        Discipline("up0"),
        Class("up0", ROOT, 0, 50_000, 50_000),
        Class("up0", OTHERS, ROOT, 500, 50_000, LOWEST),
        Filter("up0", ip_address("10.64.0.5"), OTHERS),
    )
}
TBF = "tbf rate 1gbit burst 128kb latency 50ms"

Heard = queue.SimpleQueue[Changed]


@pytest.fixture
def heard(host: Place) -> Iterator[Heard]:
    """What is reported from here on; the host has routes, rules, neighbours and shares of ours."""
    RouteDriver().apply(Delta(ROUTES, {}))
    RuleDriver().apply(Delta(rules(), {}))
    NeighbourDriver().apply(Delta(NEIGHBOURS, {}))
    ShareDriver().apply(Delta(SHARES, {}))
    # The kernel tells of a carrier up to a second late.
    poll(lambda: "state UP" in host.run("ip link show up0"), "up0 is up")
    found: Heard = queue.SimpleQueue()
    monitor = Monitor(found.put, is_uplink="up0".__eq__, awaits_shares="far0".__eq__)
    monitor.start()
    yield found
    monitor.close()


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        ("ip route del 10.64.0.5/32", Changed.ROUTE),
        ("ip -6 route del blackhole fd64::/122", Changed.ROUTE),
        ("ip route add 10.64.0.9/32 dev up0 proto 80", Changed.ROUTE),
        ("ip rule del priority 100 iif lo table 80", Changed.RULE),
        ("ip -6 rule del priority 100 iif lo table 80", Changed.RULE),
        (f"ip neigh del 10.64.0.5 dev {BRIDGE}", Changed.NEIGHBOUR),
        (f"ip neigh replace 10.64.0.5 lladdr 02:00:00:00:00:77 dev {BRIDGE}", Changed.NEIGHBOUR),
        ("ip link set up0 down", Changed.LINK),
        ("ip link set far0 down", Changed.LINK),
        ("ip link set up0 mtu 1400", Changed.LINK),
        (f"ip link set {BRIDGE} mtu 1400", Changed.LINK),
        (f"ip link del {BRIDGE}", Changed.LINK),
        ("tc qdisc del dev up0 root", Changed.SHARE),
        (f"tc qdisc replace dev up0 root {TBF}", Changed.SHARE),
        ("tc class change dev up0 parent 706c:1 classid 706c:2 htb rate 9mbit", Changed.SHARE),
        ("tc class add dev up0 parent 706c:1 classid 706c:9 htb rate 1mbit", Changed.SHARE),
        ("tc filter del dev up0 parent 706c:", Changed.SHARE),
    ],
)
def test_a_change_by_hand_is_reported(host: Place, heard: Heard, command: str, changed: Changed) -> None:
    host.run(command)
    found = heard.get(timeout=DEADLINE_S)
    while found is not changed:
        found = heard.get(timeout=DEADLINE_S)


def reported(host: Place, heard: Heard, command: str, changed: Changed) -> list[Changed]:
    """All that was reported before this change, which is always reported and like none of those before."""
    host.run(command)
    found = []
    while (one := heard.get(timeout=DEADLINE_S)) is not changed:
        found.append(one)
    return found


ROUTE_ADDED = "ip route add 10.99.0.0/16 dev up0 proto 80", Changed.ROUTE
UPLINK_DOWN = "ip link set up0 down", Changed.LINK


def test_foreign_changes_are_not_reported(host: Place, heard: Heard) -> None:
    for command in (
        "route add 10.98.0.0/16 dev up0",
        "-6 route add 2001:db8:9::/64 dev up0",
        "rule add priority 200 iif lo table 80",
        f"neigh add 10.64.0.9 lladdr 02:00:00:00:00:09 nud permanent dev {BRIDGE}",
        "link add other0 type bridge",
        "link set other0 mtu 1400",
    ):
        host.run(f"ip {command}")
    assert reported(host, heard, *ROUTE_ADDED) == []


def test_traffic_control_of_others_is_not_reported_until_an_uplink_is_free(host: Place, heard: Heard) -> None:
    far, bridge = "dev far0", f"dev {BRIDGE}"
    for command in (
        f"qdisc add {bridge} root handle 1: htb",
        f"class add {bridge} parent 1: classid 1:1 htb rate 1mbit",
        f"filter add {bridge} parent 1: protocol ip prio 4 u32 match ip src 10.0.0.1/32 flowid 1:1",
        f"filter del {bridge} parent 1:",
        f"qdisc del {bridge} root",
        f"qdisc add {far} ingress",
        f"qdisc del {far} ingress",
        f"qdisc add {far} root handle 1: {TBF}",
        f"qdisc replace {far} root handle 2: {TBF}",
    ):
        host.run(f"tc {command}")
    assert reported(host, heard, f"tc qdisc del {far} root", Changed.SHARE) == []


@pytest.mark.parametrize(
    ("make", "held"),
    [(RouteDriver, ROUTES), (RuleDriver, rules()), (NeighbourDriver, NEIGHBOURS), (ShareDriver, SHARES)],
    ids=["routes", "rules", "neighbours", "shares"],
)
def test_own_changes_are_not_reported(
    host: Place, heard: Heard, make: Callable[[], Driver[Any, Any]], held: Mapping[Any, Any]
) -> None:
    driver = make()
    assert driver.apply(Delta({}, held)) is Outcome.DONE
    assert driver.apply(Delta(held, {})) is Outcome.DONE
    assert reported(host, heard, *UPLINK_DOWN) == []


def test_only_the_own_protocol_number_is_reported(host: Place) -> None:
    found: Heard = queue.SimpleQueue()
    monitor = Monitor(found.put, protocol=IMPORT_PROTOCOL)
    monitor.start()
    host.run("ip route add 10.99.0.0/16 dev up0 proto 80")
    host.run(f"ip route add default via 192.0.2.2 proto {IMPORT_PROTOCOL}")
    before = set(iter(lambda: found.get(timeout=DEADLINE_S), Changed.ROUTE))
    monitor.close()
    assert before <= {Changed.LINK}, "the kernel may be settling the link still"
    assert found.empty()


def test_own_links_are_not_reported(host: Place, endpoint: Place, heard: Heard, links: Links) -> None:
    links.ensure_endpoint_link(spec(endpoint))
    links.remove_link("pl1")
    assert reported(host, heard, *ROUTE_ADDED) == []


def spec(endpoint: Place) -> LinkSpec:
    addresses = (ip_address("10.64.0.5"),)
    return LinkSpec("pl1", endpoint.path, "eth0", NEIGHBOUR.mac, addresses, GATEWAYS[:1], 1500)


def test_a_link_that_is_set_down_before_it_has_worked_is_reported(
    host: Place, endpoint: Place, heard: Heard, links: Links
) -> None:
    host.run(f"ip link add pl1 type veth peer name eth0 netns {endpoint.name}")
    links.raise_link("pl1")
    assert reported(host, heard, *ROUTE_ADDED) == []
    host.run("ip link set pl1 down")
    assert heard.get(timeout=DEADLINE_S) is Changed.LINK


def test_a_link_that_goes_with_its_namespace_is_reported(
    host: Place, endpoint: Place, heard: Heard, links: Links
) -> None:
    links.ensure_endpoint_link(spec(endpoint))
    host.run(f"ip netns del {endpoint.name}")
    assert heard.get(timeout=DEADLINE_S) is Changed.LINK
    poll(lambda: not links.owned_links(), "the host's end is gone")


def test_lost_notifications_ask_for_a_resync(host: Place) -> None:
    found: Heard = queue.SimpleQueue()
    monitor = Monitor(found.put)
    routes = {
        route.key: route
        for route in (Route(ip_network((0x0A400000 + number, 32)), oif=BRIDGE) for number in range(20_000))
    }
    driver = RouteDriver()
    driver.apply(Delta(routes, {}))  # nobody reads: the thread is not started yet
    monitor.start()
    assert found.get(timeout=DEADLINE_S) is Changed.RESYNC
    monitor.close()


def test_close_ends_it_at_once(host: Place) -> None:
    found: Heard = queue.SimpleQueue()
    monitor = Monitor(found.put)
    monitor.start()
    monitor.close()
    monitor.close()
    host.run("ip route add 10.99.0.0/16 dev up0 proto 80")
    assert found.empty()
    Monitor(found.put).close()
