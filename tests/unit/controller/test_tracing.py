"""The part of a trace that the store tells: the two ends, and what routers were told between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agents.node.explain.questions import Questions
from controller.reading import put
from store import keys
from store.model import Advertised, Alive, Program, Session, SessionState
from store.model.trace import Outcome, TraceAsked, TraceSaid, TraceStep, Verdict
from store.model.value import parse_network
from tests.support.cluster import BOOT
from tests.unit.controller.conftest import NOW, Api
from tests.unit.controller.test_endpoints import attach

Answer = Callable[[TraceAsked], TraceSaid]


def seen(at: str, verdict: Verdict = Verdict.PASSES) -> tuple[TraceStep, ...]:
    return (TraceStep(at=at, verdict=verdict, what="as canned"),)


def leaves(_: TraceAsked) -> TraceSaid:
    return TraceSaid(outcome=Outcome.LEFT, steps=seen("uplink"))


def delivers(endpoint: str) -> Answer:
    return lambda _: TraceSaid(outcome=Outcome.DELIVERED, steps=seen("port"), endpoint=endpoint)


@contextmanager
def agents(api: Api, answers: dict[str, Answer]) -> Iterator[None]:
    """Agents that live and answer so."""
    heard = [Questions(api.store, node, {TraceAsked: answer}) for node, answer in answers.items()]
    for node, questions in zip(answers, heard, strict=True):
        alive = Alive(node=node, program=Program.AGENT, boot_id=BOOT, started=NOW)
        api.store.txn([], [put(keys.ALIVE, alive, node, Program.AGENT.value)])
        questions.start()
    try:
        yield
    finally:
        for questions in heard:
            questions.stop()


def announce(api: Api, node: str, prefix: str, state: SessionState = SessionState.ESTABLISHED) -> None:
    told = Advertised(prefix=parse_network(prefix), node=node, peers=("tor-a",))
    session = Session(node=node, peer="tor-a", address="192.0.2.1", asn=64501, state=state, since=NOW)
    api.store.txn([], [put(keys.ADVERTISED, told, node, prefix), put(keys.SESSIONS, session, node, "tor-a")])


@pytest.fixture
def two(plant: Api) -> Api:
    """Two endpoints on two nodes: 10.64.0.1 and 10.64.0.4."""
    for number in (1, 2):
        plant.made("/v1/endpoints", {"id": f"web-{number}", "node": f"node-{number}"})
    return plant


def trace(api: Api, source: str, destination: str) -> Any:
    return api.get(f"/v1/trace?source={source}&destination={destination}")


def test_both_nodes_and_the_routers_are_asked(two: Api) -> None:
    announce(two, "node-2", "10.64.0.4/30")
    with agents(two, {"node-1": leaves, "node-2": delivers("web-2")}):
        told = trace(two, "web-1", "web-2")
    assert [each["at"] for each in told["steps"]] == ["endpoint", "uplink", "router", "port", "endpoint"]
    assert told["arrives"]


def test_it_stops_at_a_router_whose_session_is_down(two: Api) -> None:
    announce(two, "node-2", "10.64.0.4/30", SessionState.ACTIVE)
    with agents(two, {"node-1": leaves, "node-2": delivers("web-2")}):
        told = trace(two, "web-1", "web-2")
    assert (told["verdict"], told["steps"][-1]["evidence"]) == ("stops", "tor-a: ACTIVE")


def test_the_longest_prefix_wins_whoever_announces_it(two: Api) -> None:
    moved = two.client.patch("/v1/endpoints/web-2", json={"node": "node-3"})
    assert moved.status_code == 200
    announce(two, "node-2", "10.64.0.4/30")
    asked: list[str] = []

    def answer(node: str) -> Answer:
        def look(_: TraceAsked) -> TraceSaid:
            asked.append(node)
            return TraceSaid(outcome=Outcome.STOPPED, steps=seen("kernel", Verdict.STOPS))

        return look

    with agents(two, {"node-1": leaves, "node-2": answer("node-2"), "node-3": delivers("web-2")}):
        assert not trace(two, "web-1", "web-2")["arrives"]
        assert asked == ["node-2"]
        announce(two, "node-3", "10.64.0.4/32")
        assert trace(two, "web-1", "web-2")["arrives"]


def test_where_a_block_attracts_what_another_node_has_the_reason_is_that_node_s(two: Api) -> None:
    announce(two, "node-2", "10.64.0.4/30")
    assert two.client.patch("/v1/endpoints/web-2", json={"node": "node-3"}).status_code == 200

    def reason() -> str:
        (step,) = [each for each in trace(two, "198.51.100.7", "web-2")["steps"] if each["at"] == "router"]
        return str(step["reason"])

    said = "node node-3 has 10.64.0.4 and does not announce it: "
    assert reason().startswith(f"{said}the node's agent does not say that it can deliver it")
    assert two.client.post("/v1/nodes/node-3:drain", json={}).status_code == 201
    assert reason() == f"{said}the node is drained"


def test_a_node_that_an_endpoint_leaves_attracts_it_until_it_lets_go(two: Api) -> None:
    for node in ("node-3", "node-1"):
        assert two.client.patch("/v1/endpoints/web-2", json={"node": node}).status_code == 200
        attach(two, "web-2")
    announce(two, "node-3", "10.64.0.4/32")
    with agents(two, {"node-3": delivers("web-2")}):
        assert trace(two, "198.51.100.7", "web-2")["arrives"]


def test_who_has_it_and_announces_a_shorter_prefix_is_said_to(two: Api) -> None:
    for node in ("node-3", "node-2"):
        assert two.client.patch("/v1/endpoints/web-2", json={"node": node}).status_code == 200
        attach(two, "web-2")
    announce(two, "node-3", "10.64.0.4/32")
    announce(two, "node-2", "10.64.0.4/30")
    with agents(two, {"node-3": delivers("web-2")}):
        (step,) = [each for each in trace(two, "198.51.100.7", "web-2")["steps"] if each["at"] == "router"]
    assert step["what"] == "routers send 10.64.0.4/32 to node node-3"
    assert step["reason"] == "node node-2 has 10.64.0.4, and announces it by 10.64.0.4/30, which is shorter"


def test_one_that_is_delivered_to_another_does_not_arrive(two: Api) -> None:
    with agents(two, {"node-1": delivers("web-9")}):
        told = trace(two, "web-1", "web-2")
    assert (told["arrives"], told["verdict"]) == (False, "stops")


def test_what_nobody_can_look_at_is_unknown(two: Api) -> None:
    told = trace(two, "web-1", "web-2")
    assert (told["arrives"], told["verdict"]) == (False, "unknown")
    assert "does not run" in told["why"]


def test_what_nobody_announces_is_said_with_the_likely_reason(two: Api) -> None:
    with agents(two, {"node-1": leaves}):
        told = trace(two, "web-1", "web-2")
    assert told["verdict"] == "stops"
    assert "is the endpoint attached?" in told["steps"][-1]["reason"]


def test_why_nobody_announces_a_service_or_a_pool(two: Api) -> None:
    two.made(
        "/v1/services",
        {"name": "www", "pool": "default", "address": "10.64.0.6", "selector": {"app": "web"}},
    )
    with agents(two, {"node-1": leaves}):
        assert (
            "none of its endpoints is healthy: polder service get www"
            in trace(two, "web-1", "10.64.0.6")["why"]
        )
        assert two.client.patch("/v1/pools/default", json={"advertise": "none"}).status_code == 200
        assert "pool default says advertise: none" in trace(two, "web-1", "web-2")["why"]


@pytest.fixture
def disks(two: Api) -> Api:
    """Beside them two endpoints on a VLAN, 10.73.0.2 and 10.73.0.6, of which the second is attached."""
    on = {"vlan": 120, "uplink": "trunk0"}
    pool = {
        "name": "disks",
        "cidr": "10.73.0.0/24",
        "block_prefixlen": 30,
        "gateway": "10.73.0.1",
        "segment": on,
    }
    two.made("/v1/pools", pool)
    for number in (1, 2):
        disk = {"id": f"disk-{number}", "node": f"node-{number}", "pool": "disks", "families": ["ipv4"]}
        two.made("/v1/endpoints", disk)
    attach(two, "disk-2")
    return two


@pytest.mark.parametrize(
    ("source", "destination", "steps", "verdict", "why"),
    [
        ("disk-1", "disk-2", ["endpoint", "uplink", "segment", "port", "endpoint"], "arrives", "disk-2"),
        ("web-1", "disk-2", ["endpoint", "uplink", "router", "port", "endpoint"], "arrives", "disk-2"),
        ("198.51.100.7", "disk-2", ["source", "router", "port", "endpoint"], "arrives", "disk-2"),
        ("disk-2", "disk-1", ["endpoint", "port", "segment", "port"], "stops", "disk-1 is not attached here"),
        ("disk-1", "10.73.0.99", ["endpoint", "uplink", "segment"], "unknown", "no endpoint's"),
        ("disk-1", "198.51.100.7", ["endpoint", "uplink", "router"], "arrives", "the routers' affair"),
    ],
)
def test_a_segment_carries_what_nobody_announces(
    disks: Api, source: str, destination: str, steps: list[str], verdict: str, why: str
) -> None:
    def second(asked: TraceAsked) -> TraceSaid:
        if asked.endpoint is not None:
            return TraceSaid(outcome=Outcome.LEFT, steps=seen("port"))
        return delivers("disk-2")(asked)

    with agents(disks, {"node-1": leaves, "node-2": second}):
        told = trace(disks, source, destination)
    assert ([each["at"] for each in told["steps"]], told["verdict"]) == (steps, verdict)
    assert why in told["why"]


def test_a_segment_without_a_router_ends_where_it_is(two: Api) -> None:
    on = {"vlan": 121, "uplink": "trunk0"}
    two.made("/v1/pools", {"name": "shut", "cidr": "10.74.0.0/24", "segment": on})
    two.made("/v1/endpoints", {"id": "shut", "node": "node-2", "pool": "shut"})
    with agents(two, {"node-1": leaves, "node-2": leaves}):
        for source, destination in (("web-1", "shut"), ("shut", "web-1"), ("shut", "198.51.100.7")):
            told = trace(two, source, destination)
            assert (told["verdict"], told["steps"][-1]["what"]) == ("stops", "VLAN 121 has no router")


def test_beyond_the_pools_it_is_the_routers_affair(two: Api) -> None:
    with agents(two, {"node-1": leaves}):
        assert trace(two, "web-1", "198.51.100.7")["arrives"]
    assert trace(two, "198.51.100.7", "198.51.100.9")["verdict"] == "unknown"


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("destination=web-2", "source"),
        ("source=web-1", "destination"),
        ("source=web-1&destination=nobody", "destination"),
        ("source=web-1&destination=10.64.0.4%2F30", "destination"),
        ("source=web-1&destination=2001:db8::1", "destination"),
        ("source=web-1&destination=web-2&protocol=tcp", "port"),
        ("source=web-1&destination=web-2&port=80", "port"),
        ("source=web-1&destination=web-2&protocol=gre", "protocol"),
        ("source=web-1&destination=224.0.0.1", "destination"),
    ],
)
def test_what_is_not_understood_is_named(two: Api, query: str, parameter: str) -> None:
    answer = two.client.get(f"/v1/trace?{query}")
    assert answer.status_code == 422
    assert [each["parameter"] for each in answer.json["errors"]] == [parameter]
