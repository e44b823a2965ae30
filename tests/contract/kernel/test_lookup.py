"""Which route the real kernel takes, as a trace asks it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from agents.delta import Delta
from agents.driver import Outcome
from agents.kernel.lookup import Lookup, Taken, Way
from agents.kernel.routes import RouteDriver, RuleDriver
from intent.names import BRIDGE, DISPLACED_TABLE, PROTOCOL
from intent.routes import Route, RouteKind, rules
from tests.contract.kernel.conftest import Place

pytestmark = pytest.mark.needs("root", "ip", "nsenter")

HERE, NOBODY, ELSEWHERE = (ip_address(f"10.64.0.{last}") for last in (5, 6, 9))
ROUTER = ip_address("192.0.2.2")
ROUTES = (
    Route(ip_network("10.64.0.0/26"), kind=RouteKind.BLACKHOLE),
    Route(ip_network("10.64.0.5/32"), oif=BRIDGE),
    Route(ip_network("10.64.0.9/32"), DISPLACED_TABLE, gateways=(ROUTER,)),
)


def test_each_kind_of_route_is_told(host: Place) -> None:
    assert RouteDriver().apply(Delta({route.key: route for route in ROUTES}, {})) is Outcome.DONE
    assert RuleDriver().apply(Delta(rules(), {})) is Outcome.DONE
    lookup = Lookup()
    assert lookup.route(HERE) == Taken(
        ip_network("10.64.0.5/32"), 254, "unicast", PROTOCOL, (Way(BRIDGE, None),)
    )
    assert lookup.route(NOBODY) == Taken(None, 0, "blackhole", 0, ())
    displaced = lookup.route(ELSEWHERE)
    assert displaced is not None
    assert (displaced.table, displaced.ways[0].gateway) == (DISPLACED_TABLE, ROUTER)
    assert lookup.route(ip_address("198.51.100.1")) is None


def test_a_link_is_told_with_its_state(host: Place) -> None:
    link = Lookup().link(BRIDGE)
    assert link is not None
    assert link.is_up
    assert Lookup().link("nowhere") is None
