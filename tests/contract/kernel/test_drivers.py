"""What every kernel driver promises, checked against the kernel for each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from agents.delta import Delta
from agents.driver import Driver, Outcome
from agents.kernel.neighbours import NeighbourDriver
from agents.kernel.routes import RouteDriver, RuleDriver
from intent.names import BRIDGE
from intent.neighbours import Neighbour
from intent.routes import Route, RouteKind, rules
from tests.contract.kernel.conftest import Place

pytestmark = pytest.mark.needs("root", "ip", "nsenter")


@dataclass(frozen=True)
class Case:
    """A driver, values it takes, and foreign state as like them as can be."""

    make: Callable[[], Driver[Any, Any]]
    values: Mapping[Any, Any]
    foreign: tuple[str, ...]
    show: tuple[str, ...]

    def foreign_lines(self, host: Place) -> list[str]:
        return [line for line in self.lines(host) if "proto 80" not in line]

    def lines(self, host: Place) -> list[str]:
        """What the kernel shows, but for what it adds by itself some time after a link has come up."""
        shown = [line for command in self.show for line in host.run(command).splitlines()]
        return [line for line in shown if not re.search(r"(fe80|ff00)::.* proto kernel", line)]


def routes(*made: Route) -> Mapping[Any, Any]:
    return {route.key: route for route in made}


CASES = {
    "routes of IPv4": Case(
        RouteDriver,
        routes(
            Route(ip_network("10.64.0.5/32"), oif=BRIDGE),
            Route(ip_network("10.64.0.0/26"), kind=RouteKind.BLACKHOLE),
            Route(ip_network("10.64.0.0/26"), 80, kind=RouteKind.THROW),
            Route(ip_network("10.64.0.7/32"), 80, gateways=(ip_address("192.0.2.2"),)),
            Route(
                ip_network("10.64.0.8/32"), 80, gateways=(ip_address("192.0.2.3"), ip_address("192.0.2.2"))
            ),
        ),
        (
            "ip route add 10.64.0.5/32 dev up0",
            "ip route add 10.64.0.5/32 dev up0 proto static metric 81",
            "ip route add blackhole 10.64.0.0/26 metric 100",
            "ip route add 10.64.0.7/32 via 192.0.2.9 table 80",
            "ip route add 10.64.0.7/32 via 192.0.2.9 table 81 metric 80",
        ),
        ("ip -d -o route show table all",),
    ),
    "routes of IPv6": Case(
        RouteDriver,
        routes(
            Route(ip_network("fd64::5/128"), oif=BRIDGE),
            Route(ip_network("fd64::/122"), kind=RouteKind.BLACKHOLE),
            Route(ip_network("fd64::/122"), 80, kind=RouteKind.THROW),
            Route(ip_network("fd64::7/128"), 80, gateways=(ip_address("2001:db8::2"),)),
            Route(ip_network("fd64::8/128"), 80, oif="up0", gateways=(ip_address("fe80::2"),)),
            Route(
                ip_network("fd64::9/128"), 80, gateways=(ip_address("2001:db8::3"), ip_address("2001:db8::2"))
            ),
        ),
        (
            "ip -6 route add fd64::5/128 dev up0",
            "ip -6 route add fd64::5/128 dev up0 proto static metric 81",
            "ip -6 route add blackhole fd64::/122 metric 100",
            "ip -6 route add fd64::7/128 via 2001:db8::9 table 80",
        ),
        ("ip -6 -d -o route show table main", "ip -6 -d -o route show table 80"),
    ),
    "rules": Case(
        RuleDriver,
        rules(),
        (
            f"ip rule add priority 100 iif {BRIDGE} table 80 protocol static",
            "ip rule add priority 100 iif lo table 80 protocol static",
            "ip -6 rule add priority 100 iif lo table 80 protocol static",
        ),
        ("ip -d -o rule", "ip -d -6 -o rule"),
    ),
    "neighbours": Case(
        NeighbourDriver,
        {
            one.key: one
            for one in (
                Neighbour(BRIDGE, ip_address("10.64.0.5"), "02:00:00:00:00:05"),
                Neighbour(BRIDGE, ip_address("fd64::5"), "02:00:00:00:00:05"),
            )
        },
        (
            "ip neigh add 10.64.0.5 lladdr 02:00:00:00:00:99 nud permanent dev up0",
            f"ip neigh add 10.64.0.6 lladdr 02:00:00:00:00:06 nud permanent dev {BRIDGE}",
            f"ip -6 neigh add fd64::6 lladdr 02:00:00:00:00:06 nud reachable dev {BRIDGE}",
        ),
        ("ip -o neigh",),
    ),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def driver(host: Place, case: Case) -> Driver[Any, Any]:
    for command in case.foreign:
        host.run(command)
    return case.make()


def test_read_returns_what_was_applied(driver: Driver[Any, Any], case: Case) -> None:
    assert driver.read() == {}
    assert driver.apply(Delta(case.values, {})) is Outcome.DONE
    assert driver.read() == case.values


def test_apply_twice_equals_once(host: Place, driver: Driver[Any, Any], case: Case) -> None:
    driver.apply(Delta(case.values, {}))
    once = case.lines(host)
    assert driver.apply(Delta(case.values, {})) is Outcome.DONE
    assert case.lines(host) == once


def test_foreign_state_is_untouched(host: Place, driver: Driver[Any, Any], case: Case) -> None:
    before = case.foreign_lines(host)
    assert len(before) >= len(case.foreign)
    driver.apply(Delta(case.values, {}))
    assert case.foreign_lines(host) == before
    assert driver.apply(Delta({}, case.values)) is Outcome.DONE
    assert case.lines(host) == before


def test_delete_of_absent_is_done(driver: Driver[Any, Any], case: Case) -> None:
    assert driver.apply(Delta({}, case.values)) is Outcome.DONE
    assert driver.read() == {}


def test_delete_leaves_the_others(driver: Driver[Any, Any], case: Case) -> None:
    driver.apply(Delta(case.values, {}))
    first, *others = case.values
    assert driver.apply(Delta({}, {first: case.values[first]})) is Outcome.DONE
    assert driver.read() == {key: case.values[key] for key in others}


def test_a_driver_without_memory_knows_its_own(driver: Driver[Any, Any], case: Case) -> None:
    driver.apply(Delta(case.values, {}))
    assert case.make().read() == case.values
