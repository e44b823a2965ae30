"""What a router accepted, compared with what was announced to it."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

from intent.verification import REFUSED, UNEXPECTED, UNTOLD, Accepted, differences
from store.model import IPNetwork, Session, SessionState

SESSION = Session(
    node="node-1",
    peer="tor-a",
    address=ip_address("10.1.1.0"),
    asn=64501,
    state=SessionState.ESTABLISHED,
    since=datetime(2026, 1, 1, tzinfo=UTC),
    local_address=ip_address("10.1.1.1"),
)
BLOCK, OTHER, HOST, HOST6 = "10.64.0.0/26", "10.64.0.64/26", "10.64.9.7/32", "fd64::7/128"


def nets(*prefixes: str) -> frozenset[IPNetwork]:
    return frozenset(map(ip_network, prefixes))


def found(announced: frozenset[IPNetwork], accepted: Accepted) -> dict[tuple[str, str], str]:
    compared = differences(SESSION, announced, accepted)
    return {(kind.value, str(prefix)): cause for (kind, prefix), cause in compared.items()}


def test_what_is_held_as_announced_is_no_difference() -> None:
    assert found(nets(BLOCK, HOST, HOST6), Accepted(nets(BLOCK, HOST, HOST6))) == {}
    assert found(nets(), Accepted(nets())) == {}


def test_a_prefix_that_the_router_does_not_hold() -> None:
    assert found(nets(BLOCK, OTHER), Accepted(nets(BLOCK))) == {("missing", OTHER): UNTOLD}
    assert found(nets(BLOCK), Accepted(nets())) == {("missing", BLOCK): UNTOLD}


def test_a_prefix_that_came_and_is_not_held_was_refused() -> None:
    accepted = Accepted(nets(BLOCK), received=nets(BLOCK, OTHER))
    assert found(nets(BLOCK, OTHER), accepted) == {("missing", OTHER): REFUSED}


def test_a_filter_that_takes_no_host_routes_is_told_from_others() -> None:
    announced = nets(BLOCK, HOST, HOST6)
    assert found(announced, Accepted(nets(BLOCK))) == {
        ("missing", HOST): "the router's inbound policy takes no /32",
        # Of IPv6 it takes nothing at all.
        ("missing", HOST6): UNTOLD,
    }
    assert found(announced | nets("10.64.9.8/32"), Accepted(nets(BLOCK, "10.64.9.8/32", HOST6))) == {
        ("missing", HOST): UNTOLD
    }


def test_a_prefix_that_nobody_announced() -> None:
    assert found(nets(BLOCK), Accepted(nets(BLOCK, HOST))) == {("unexpected", HOST): UNEXPECTED}


def test_a_session_that_only_the_node_has() -> None:
    compared = found(nets(BLOCK), Accepted(nets(), up=False, reason="the router closed it"))
    assert compared == {("missing", BLOCK): "the router has no session with 10.1.1.1: the router closed it"}
