"""The kernel's routes beyond the common contract: changes of kind, refusals, unreachable gateways, bulk."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from agents.delta import Delta, delta
from agents.driver import Outcome
from agents.kernel.neighbours import NeighbourDriver
from agents.kernel.routes import RouteDriver
from intent.names import BRIDGE, IMPORT_PROTOCOL
from intent.neighbours import Neighbour
from intent.routes import Route, RouteKind
from tests.contract.kernel.conftest import Place

pytestmark = pytest.mark.needs("root", "ip", "nsenter")

V4, V6 = ip_network("10.64.0.5/32"), ip_network("fd64::5/128")
GATEWAYS = {
    4: (ip_address("192.0.2.2"), ip_address("192.0.2.3")),
    6: (ip_address("2001:db8::2"), ip_address("2001:db8::3")),
}
ELSEWHERE = {4: ip_address("198.51.100.1"), 6: ip_address("2001:db8:1::1")}


def put(driver: RouteDriver, *routes: Route) -> Outcome:
    return driver.apply(Delta({route.key: route for route in routes}, {}))


@pytest.mark.parametrize("destination", [V4, V6], ids=["IPv4", "IPv6"])
def test_a_route_changes_its_kind(host: Place, destination: ip_network) -> None:
    driver = RouteDriver()
    gateways = GATEWAYS[destination.version]
    kinds = [
        Route(destination, oif=BRIDGE),
        Route(destination, gateways=gateways),
        Route(destination, kind=RouteKind.BLACKHOLE),
        Route(destination, kind=RouteKind.THROW),
        Route(destination, gateways=gateways[:1]),
        Route(destination, gateways=gateways),
        Route(destination, oif="up0"),
    ]
    for route in (*kinds, *reversed(kinds)):
        assert put(driver, route) is Outcome.DONE
        assert driver.read() == {route.key: route}


@pytest.mark.parametrize("destination", [V4, V6], ids=["IPv4", "IPv6"])
def test_unreachable_gateways_are_left_out(
    host: Place, destination: ip_network, caplog: pytest.LogCaptureFixture
) -> None:
    driver = RouteDriver()
    reachable = GATEWAYS[destination.version]
    route = Route(destination, gateways=(*reachable, ELSEWHERE[destination.version]))
    assert put(driver, route) is Outcome.REJECTED
    assert driver.read() == {route.key: replace(route, gateways=reachable)}
    assert "without 1 gateways" in caplog.text


@pytest.mark.parametrize("destination", [V4, V6], ids=["IPv4", "IPv6"])
def test_one_bad_route_does_not_stop_the_others(
    host: Place, destination: ip_network, caplog: pytest.LogCaptureFixture
) -> None:
    driver = RouteDriver()
    bad = Route(destination, gateways=(ELSEWHERE[destination.version],))
    good = Route(ip_network("10.64.0.6/32"), oif=BRIDGE)
    assert put(driver, bad, good) is Outcome.REJECTED
    assert driver.read() == {good.key: good}
    assert str(destination) in caplog.text
    assert "UNREACH" in caplog.text


def test_a_missing_interface_is_worth_a_retry(host: Place) -> None:
    driver = RouteDriver()
    good = Route(V6, oif=BRIDGE)
    assert put(driver, Route(V4, oif="gone0"), good) is Outcome.RETRY
    assert driver.read() == {good.key: good}
    neighbour = Neighbour("gone0", ip_address("10.64.0.5"), "02:00:00:00:00:05")
    change = {neighbour.key: neighbour}
    assert NeighbourDriver().apply(Delta(change, {})) is Outcome.RETRY
    assert NeighbourDriver().apply(Delta({}, change)) is Outcome.DONE


def test_an_interface_that_is_down_is_worth_a_retry(host: Place) -> None:
    host.run(f"ip link set {BRIDGE} down")
    assert put(RouteDriver(), Route(V4, oif=BRIDGE)) is Outcome.RETRY


def test_an_interface_made_anew_is_found(host: Place) -> None:
    driver, route = RouteDriver(), Route(V4, oif=BRIDGE)
    put(driver, route)
    host.run(f"ip link del {BRIDGE}")
    assert driver.read() == {}
    host.run(f"ip link add {BRIDGE} type bridge")
    host.run(f"ip link set {BRIDGE} up")
    assert put(driver, route) is Outcome.DONE
    assert driver.read() == {route.key: route}


def test_a_route_with_our_mark_in_no_shape_of_ours_is_repaired(host: Place) -> None:
    host.run("ip route add unreachable 10.64.0.5/32 proto 80 metric 80")
    host.run("ip route add 10.64.0.9/32 dev up0 proto 80")
    driver, route = RouteDriver(), Route(V4, oif=BRIDGE)
    wanted = {route.key: route}
    assert driver.apply(delta(wanted, driver.read())) is Outcome.DONE
    assert driver.read() == wanted
    assert "10.64.0.9" not in host.run("ip route")


def test_thousands_at_once(host: Place) -> None:
    driver = RouteDriver()
    wanted = {
        route.key: route
        for route in (
            Route(ip_network((base + number, length)), oif=BRIDGE)
            for base, length in ((0x0A400000, 32), (0xFD64 << 112, 128))
            for number in range(1000)
        )
    }
    assert driver.apply(Delta(wanted, {})) is Outcome.DONE
    assert driver.read() == wanted
    assert driver.apply(Delta({}, wanted)) is Outcome.DONE
    assert driver.read() == {}


def test_a_neighbour_changed_by_hand_is_seen(host: Place) -> None:
    driver = NeighbourDriver()
    one = Neighbour(BRIDGE, ip_address("10.64.0.5"), "02:00:00:00:00:05")
    driver.apply(Delta({one.key: one}, {}))
    host.run(f"ip neigh replace 10.64.0.5 lladdr 02:00:00:00:00:77 nud permanent dev {BRIDGE}")
    assert driver.read() == {one.key: replace(one, mac="02:00:00:00:00:77")}
    host.run(f"ip neigh replace 10.64.0.5 lladdr 02:00:00:00:00:77 nud stale dev {BRIDGE}")
    assert driver.read() == {}
    assert driver.apply(Delta({one.key: one}, {})) is Outcome.DONE
    assert driver.read() == {one.key: one}


@pytest.mark.parametrize("destination", [ip_network("0.0.0.0/0"), ip_network("::/0")], ids=["IPv4", "IPv6"])
def test_routes_of_two_protocols_do_not_touch_each_other(host: Place, destination: ip_network) -> None:
    gateways = GATEWAYS[destination.version]
    mine, other = RouteDriver(), RouteDriver(IMPORT_PROTOCOL)
    one, two = Route(destination, gateways=gateways[:1]), Route(destination, gateways=gateways)
    host.run(f"ip route add {destination} via {gateways[1]} metric 10")
    assert put(mine, one) is put(other, two) is Outcome.DONE
    assert (mine.read(), other.read()) == ({one.key: one}, {two.key: two})
    assert mine.apply(Delta({}, {one.key: one})) is Outcome.DONE
    assert (mine.read(), other.read()) == ({}, {two.key: two})
    assert put(mine, one) is other.apply(Delta({}, {two.key: two})) is Outcome.DONE
    assert (mine.read(), other.read()) == ({one.key: one}, {})
    assert "metric 10" in host.run(f"ip -{destination.version} route show default")
