"""One of a node's two uplinks loses its link: the kernel sees it, and traffic takes the other at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.lab import Lab
from tests.support.containers import Fixed, delete, make
from tests.support.uplinks import fails_under_traffic

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra")


@pytest.fixture
def web(lab: Lab) -> Iterator[Fixed]:
    yield make(lab, "uplinked")
    delete(lab, "uplinked")
    lab.fabric.remove_container("uplinked")


@pytest.mark.parametrize(("tor", "end"), [("tor-a", "node's"), ("tor-b", "router's")])
def test_with_a_static_route_over_both(web: Fixed, tor: str, end: str) -> None:
    fails_under_traffic(web, tor, end)
