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
    session = Session(node=node, peer="tor-a", address="192.0.2.1", asn=64501, state=state, since=NOW)  # type: ignore[arg-type]
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
