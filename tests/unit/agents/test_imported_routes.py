"""The kernel's imported routes are made what is wanted, and again when they may not be."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from agents.speaker.imported_routes import RETRY_S, ImportedRoutes
from intent.routes import Route, RouteKey
from tests.support.drivers import DictDriver

DEFAULT = Route(ip_network("0.0.0.0/0"), gateways=(ip_address("10.0.1.0"),))
OTHER = Route(ip_network("10.1.0.0/16"), gateways=(ip_address("10.0.1.0"),))


def imported(kernel: DictDriver[RouteKey, Route]) -> ImportedRoutes:
    return ImportedRoutes(lambda: None, kernel)


def test_what_is_wanted_is_made_and_nothing_is_done_twice() -> None:
    kernel: DictDriver[RouteKey, Route] = DictDriver({OTHER.key: OTHER})
    routes = imported(kernel)
    assert routes.actual is None
    assert routes.bring([DEFAULT]) is None
    assert kernel.held == routes.actual == {DEFAULT.key: DEFAULT}
    del kernel.held[DEFAULT.key]
    assert routes.bring([DEFAULT]) is None
    assert (kernel.held, kernel.reads) == ({}, 1), "nobody has said that it is gone"
    routes.forget()
    assert routes.bring([DEFAULT]) is None
    assert kernel.held == {DEFAULT.key: DEFAULT}


def test_a_kernel_that_is_busy_is_tried_again_and_what_it_refuses_is_not() -> None:
    kernel: DictDriver[RouteKey, Route] = DictDriver()
    routes = imported(kernel)
    kernel.away = True
    assert routes.bring([DEFAULT]) == RETRY_S
    kernel.away, kernel.refuse = False, {OTHER.key}
    assert routes.bring([DEFAULT, OTHER]) is None
    assert kernel.held == {DEFAULT.key: DEFAULT}
    kernel.refuse = set()
    assert routes.bring([DEFAULT, OTHER]) is None
    assert kernel.held == {DEFAULT.key: DEFAULT}, "not before it is looked at again"
    routes.forget()
    assert routes.bring([DEFAULT, OTHER]) is None
    assert kernel.held == {each.key: each for each in (DEFAULT, OTHER)}
