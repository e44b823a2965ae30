"""Services in the pass of the agent: the order up and down, what a restart keeps, and what is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from agents.node.plan import SETTLE_S, WITHDRAW_WAIT_S
from agents.node.serving import BEHIND
from agents.node.wants import Stage, Want
from intent.names import DISPLACED_TABLE, MAIN_TABLE
from intent.routes import RouteKey, RouteKind
from intent.services import unfit
from openflow.cookie import Purpose, decode
from openflow.flow import ChoosePort
from store.model import Check, CheckKind, EndpointKind, Health, Membership, Segment, Value, host_prefix
from store.model.value import parse_address
from tests.support.cluster import (
    BOOT,
    NODE,
    advertised,
    block,
    endpoint,
    health,
    peer,
    pool,
    service,
    snapshot,
)
from tests.unit.agents.test_dataplane import Node

APP = {"app": "web"}
CHECK = Check(kind=CheckKind.TCP, port=80)
A, B = endpoint("a", "10.64.0.1", labels=APP), endpoint("b", "10.64.0.2", labels=APP)
WWW, PREFIX = service(check=CHECK), "10.64.255.1/32"
ADDRESS = parse_address("10.64.255.1")


def want(name: str) -> Want:
    return Want(name, f"/run/netns/{name}", "1", "eth0")


def node_with(*values: Value) -> Node:
    """A node whose endpoints a and b are attached, if they are among the values."""
    node = Node()
    node.know(*values)
    for each in (A, B):
        if each in values:
            node.wants.add(want(each.id))
    node.dataplane.step()
    return node


def take(node: Node) -> list[str]:
    """The endpoints whose ports the service's packets are given to."""
    ports = {one.ofport: name for name, one in node.plug.plugged.items()}
    chosen = {
        port
        for flow in node.drivers["flows"].held.values()
        for action in flow.actions
        if isinstance(action, ChoosePort)
        for port in action.ports
    }
    return sorted(ports.get(port, f"port {port}") for port in chosen)


def route(node: Node, table: int = MAIN_TABLE) -> Any:
    return node.drivers["routes"].held.get(RouteKey(host_prefix(ADDRESS), table))


def backends(node: Node) -> Mapping[str, str]:
    """What is said of each endpoint: why it is not healthy."""
    assert node.snapshot is not None
    said: Mapping[str, Health] = node.dataplane._services.report(node.snapshot)
    return {each.endpoint: each.why for one in said.values() for each in one.backends}


def test_up_is_address_neighbour_route_flow_readiness() -> None:
    node = node_with(A, WWW)
    assert node.plug.plugged["a"].services == {ADDRESS}
    assert (take(node), route(node).kind) == ([], RouteKind.BLACKHOLE)
    assert PREFIX not in node.said.says["ready"]
    assert backends(node) == {"a": "not checked yet"}
    assert list(node.checks.targets) == [("www", "a")]
    assert str(node.checks.targets["www", "a"].address) == "10.64.0.1"
    node.touched()
    node.checks.say("www", "a")
    node.dataplane.step()
    assert node.touched() == ["put neighbours", "put routes", "put flows", "put ready"]
    assert (take(node), route(node).oif) == (["a"], "polder0")
    assert PREFIX in node.said.says["ready"]
    assert backends(node) == {"a": ""}


def test_a_first_step_has_the_address_before_the_rest() -> None:
    node = Node()
    node.know(A, service())
    node.wants.add(want("a"))
    node.dataplane.step()
    assert node.touched() == [
        "put plug",
        "put address",
        "put rules",
        "put neighbours",
        "put routes",
        "put meters",
        "put flows",
        "put ready",
        "put health",
        "put attachments",
    ]
    assert take(node) == ["a"], "without a check what is attached is healthy"


def test_down_is_readiness_the_withdrawal_then_the_rest() -> None:
    node = node_with(A, WWW, peer())
    node.checks.say("www", "a")
    node.dataplane.step()
    node.know(A, WWW, peer(), advertised(PREFIX))
    node.dataplane.step()
    node.touched()
    node.checks.say("www", "a", "tcp 80: connection refused")
    assert node.dataplane.step() is not None
    assert node.touched() == ["put routes", "delete ready"]
    assert (take(node), route(node).oif) == (["a"], "polder0"), "peers may still send"
    assert route(node, DISPLACED_TABLE).gateways, "its own go by the routers already"
    node.know(A, WWW, peer())
    node.now += SETTLE_S
    assert node.dataplane.step() is None
    assert node.touched() == ["put routes", "delete flows", "delete neighbours"]
    assert (take(node), route(node).kind) == ([], RouteKind.BLACKHOLE)
    assert node.plug.plugged["a"].services == {ADDRESS}, "it may be well again"
    assert backends(node) == {"a": "tcp 80: connection refused"}


def test_a_withdrawal_that_does_not_come_is_not_waited_for_for_ever() -> None:
    node = node_with(A, service(), advertised(PREFIX))
    node.know(A, advertised(PREFIX))
    assert node.dataplane.step() is not None
    assert take(node) == ["a"]
    node.now += WITHDRAW_WAIT_S
    assert node.dataplane.step() is None
    assert (take(node), route(node)) == ([], None)
    assert node.plug.plugged["a"].services == frozenset()


def test_the_healthy_ones_share_and_only_they() -> None:
    node = node_with(A, B, WWW)
    for name in ("a", "b"):
        node.checks.say("www", name)
    node.dataplane.step()
    assert take(node) == ["a", "b"]
    node.touched()
    node.checks.say("www", "b", "status 503")
    assert node.dataplane.step() is None
    assert (take(node), node.touched()) == (["a"], ["put flows", "delete flows"])
    accepted = [
        flow
        for flow in node.drivers["flows"].held.values()
        if ("ipv4_src", ADDRESS) in flow.match
        and (cookie := decode(flow.cookie))
        and cookie.purpose == Purpose.ACCEPT
    ]
    assert len(accepted) == 2, "what b answers still may leave"


def test_the_last_taker_that_is_detached_delivers_until_the_withdrawal() -> None:
    node = node_with(A, service(), advertised(PREFIX))
    node.touched()
    node.wants.advance("a", Stage.DETACHING)
    assert node.dataplane.step() is not None
    assert node.touched() == ["delete ready"]
    assert (take(node), set(node.plug.plugged)) == (["a"], {"a"})
    node.know(A, service())
    node.now += SETTLE_S
    assert node.dataplane.step() is None
    assert node.touched() == [
        "delete flows",
        "delete routes",
        "delete neighbours",
        "delete address",
        "delete plug",
        "delete attachments",
    ]
    assert backends(node) == {"a": "it is not attached"}


def test_a_taker_that_is_not_the_last_goes_at_once() -> None:
    node = node_with(A, B, service(), advertised(PREFIX))
    node.wants.advance("a", Stage.DETACHING)
    assert node.dataplane.step() is None
    assert (take(node), set(node.plug.plugged)) == (["b"], {"b"})
    assert PREFIX in node.said.says["ready"]


def test_a_restarted_agent_presumes_what_was_said_in_this_boot() -> None:
    for boot_id, kept in ((BOOT, True), ("boot-before", False)):
        node = node_with(A, WWW)
        node.checks.say("www", "a")
        node.dataplane.step()
        node.touched()
        node.know(A, WWW, health("www", boot_id, a=True))
        node.start_agent()
        node.dataplane.step()
        assert (take(node) == ["a"]) is kept
        assert (PREFIX in node.said.says["ready"]) is kept
        if kept:
            assert not [word for word in node.touched() if word.split()[1] in {"routes", "flows", "address"}]


def test_a_first_check_takes_nobody_packets_away_before_it_fails() -> None:
    node = node_with(A, service(check=None))
    assert take(node) == ["a"]
    node.know(A, WWW)
    node.dataplane.step()
    assert take(node) == ["a"]
    assert PREFIX in node.said.says["ready"]
    node.checks.say("www", "a", "refused")
    node.dataplane.step()
    assert take(node) == []


def test_a_service_that_nobody_is_selected_for_costs_nothing() -> None:
    node = node_with(A, service(selector={"app": "other"}))
    assert (node.plug.plugged["a"].services, route(node), take(node)) == (frozenset(), None, [])
    assert node.said.says["health"] == set()


def test_an_address_in_the_nodes_own_block_goes_by_the_routers() -> None:
    inside = service(address="10.64.0.60", selector={"app": "other"})
    node = node_with(A, inside, peer())
    key = RouteKey(host_prefix(inside.address), DISPLACED_TABLE)
    assert node.drivers["routes"].held[key].gateways == (peer().address,)


def test_selection_heeds_tenant_family_and_labels() -> None:
    blue = A.model_copy(update={"tenant": "blue"})
    six = service("six", "fd00::53")
    node = node_with(B, service())
    node.snapshot = replace(snapshot(pool(), block(), blue, B, service(), six), name=NODE)
    node.dataplane.step()
    assert backends(node) == {"b": "it has no IPv6 address"}
    assert {key.rsplit("/", 1)[1] for key in node.dataplane._services.report(node.snapshot)} == {"www", "six"}
    assert node.plug.plugged["b"].services == {ADDRESS}


def test_who_is_on_a_segment_or_behind_a_neighbour_takes_nothing_and_is_told_why() -> None:
    on = Membership(segment=Segment(vlan=120, uplink="eth1"), networks=(ip_network("10.64.0.0/24"),))
    disk, machine = B.model_copy(update={"membership": on}), A.model_copy(update={"kind": EndpointKind.HOST})
    node = Node()
    node.know(machine, disk, service())
    node.wants.add(Want("a", port="eth8", via=(parse_address("192.0.2.7"),)))
    node.wants.add(want("b"))
    node.dataplane.step()
    assert node.plug.plugged.keys() == {"a", "b"}
    assert take(node) == []
    assert backends(node) == {"a": BEHIND, "b": unfit(service(), disk)}
    assert "on segment 120@eth1" in backends(node)["b"]


def test_a_namespace_that_does_not_take_the_address_holds_up_nothing_else() -> None:
    node = node_with(A, B)
    node.plug.stuck = {"a"}
    node.know(A, B, service())
    assert node.dataplane.step() is not None
    assert take(node) == ["b"]
    assert PREFIX in node.said.says["ready"]
    node.plug.stuck = set()
    assert node.dataplane.step() is None
    assert take(node) == ["a", "b"]


def test_a_verdict_that_comes_during_a_pass_is_not_lost() -> None:
    node = node_with(A, WWW)
    said = node.checks.verdicts

    def late() -> Any:
        before = said()
        node.checks.say("www", "a")
        node.checks.verdicts = said
        return before

    node.dataplane.resync()
    node.checks.verdicts = late
    node.dataplane.step()
    node.dataplane.step()
    assert take(node) == ["a"]


@pytest.mark.parametrize("device", ["routes", "flows"])
def test_what_a_device_lacks_is_not_ready(device: str) -> None:
    node = node_with(A, service())
    assert PREFIX in node.said.says["ready"]
    held = node.drivers[device].held
    key = next(
        key
        for key, each in held.items()
        if key == RouteKey(host_prefix(ADDRESS))
        or any(isinstance(action, ChoosePort) for action in getattr(each, "actions", ()))
    )
    held.pop(key)
    node.drivers[device].refuse = {key}
    node.dataplane.resync()
    node.dataplane.step()
    assert PREFIX not in node.said.says["ready"]
