"""The agent's metrics: what flows count becomes samples, and where they are served."""

from __future__ import annotations

import http.client
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import Metric

from agents.command import Refusal
from agents.node.explain.exposition import MEDIA_TYPE, MetricsServer, loopback
from agents.node.explain.metrics import NodeMetrics, of_drops, of_endpoints, of_limits, of_rules
from agents.reconciler import Reconciler
from intent.limits import Limit, _meter_id
from intent.policy import Ruled
from openflow.cookie import Purpose
from openflow.decoding import Counted
from openflow.management import Management
from openflow.meter import TO_CONTROLLERS, MeterCount
from openflow.sampling import denied_flows
from openflow.tables import CLASSIFY, FORWARD, INGRESS, IPV4, IPV6, OUT, SEND
from store.model import Action, Direction
from tests.support.drivers import DictDriver

SENT = [
    Counted(CLASSIFY.flow(100, Purpose.ACCEPT, (), "", {**family, "in_port": 7}), 3, 300)
    for family in (IPV4, IPV6)
]
RECEIVED = Counted(SEND.flow(100, Purpose.SEND, (), "", {OUT: 7}), 5, 500)
SPOOFED = Counted(CLASSIFY.drop(50, Purpose.SPOOFED, "", {"in_port": 7}), 2, 120)
NO_ROUTE = Counted(FORWARD.drop(0, Purpose.NO_ROUTE, "", {}), 1, 60)
OF_NOBODY = Counted(CLASSIFY.flow(100, Purpose.ACCEPT, (), "", {"in_port": 9}), 9, 900)
DENIED = [Counted(flow, 4, 40) for flow in denied_flows(7, "web-1", tracked=True)]
FLOWS = [*SENT, RECEIVED, SPOOFED, NO_ROUTE, OF_NOBODY, *DENIED]


def samples(metrics: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in metrics
        for sample in metric.samples
    }


def test_the_flows_of_an_endpoint_are_one_sample_each_way() -> None:
    assert samples(of_endpoints(FLOWS, {7: "web-1"})) == {
        ("polder_endpoint_packets_total", "web-1", "sent"): 6,
        ("polder_endpoint_packets_total", "web-1", "received"): 5,
        ("polder_endpoint_packets_total", "web-1", "refused"): 6,
        ("polder_endpoint_packets_total", "web-1", "denied_sent"): 4,
        ("polder_endpoint_packets_total", "web-1", "denied_received"): 4,
        ("polder_endpoint_bytes_total", "web-1", "sent"): 600,
        ("polder_endpoint_bytes_total", "web-1", "received"): 500,
        ("polder_endpoint_bytes_total", "web-1", "refused"): 160,
        ("polder_endpoint_bytes_total", "web-1", "denied_sent"): 40,
        ("polder_endpoint_bytes_total", "web-1", "denied_received"): 40,
    }


def test_every_purpose_that_drops_is_told() -> None:
    told = samples(of_drops(FLOWS))
    assert told[("polder_dropped_packets_total", "SPOOFED")] == 2
    assert told[("polder_dropped_packets_total", "NO_ROUTE")] == 1
    assert set(told) == {("polder_dropped_packets_total", each.name) for each in Purpose if each.drops}


def test_what_limits_drop_is_told_by_endpoint_and_limit() -> None:
    count = MeterCount(9, 900, 3, 300)
    rate, connections = (_meter_id(7, limit) for limit in (Limit.INGRESS_RATE, Limit.EGRESS_CONNECTIONS))
    meters = {rate: count, connections: count, _meter_id(9, Limit.EGRESS_RATE): count, TO_CONTROLLERS: count}
    assert samples(of_limits(meters, {7: "web-1"})) == {
        ("polder_endpoint_limited_packets_total", "web-1", "ingress_rate"): 3,
        ("polder_endpoint_limited_packets_total", "web-1", "egress_connections"): 3,
    }


def test_what_a_rule_has_matched_is_told_by_its_place_whichever_flows_it_has() -> None:
    rule = Ruled("web", Direction.INGRESS, 2, "ssh", Action.DENY)
    assert str(rule) == "policy web, ingress rule 2 (ssh): deny"
    named = (rule, rule, "policy web, ingress rule 3: deny")
    flows = [INGRESS.drop(place, Purpose.POLICY_INGRESS, why, {}) for place, why in enumerate(named)]
    read = [Counted(replace(flow, reason=""), 2, 120) for flow in flows]
    told = samples(of_rules(read, {flow.key: flow for flow in flows}))
    assert told == {("polder_policy_packets_total", "web", "ingress", "2"): 4}


def test_without_the_switch_the_rest_is_told(tmp_path: Path) -> None:
    reconciler = Reconciler[object, object]("routes", DictDriver())
    reconciler.put({"a": 1, "b": 2})
    made = NodeMetrics(Management(tmp_path / "nowhere"), dict, lambda: [reconciler], lambda: None)
    assert made.timed(lambda: 0.5)() == 0.5
    text = made.render().decode()
    assert 'polder_agent_held{kind="routes"} 2.0' in text
    assert 'polder_agent_repairs_total{kind="routes"} 0.0' in text
    assert "polder_agent_pass_seconds_count 1.0" in text
    assert "polder_endpoint" not in text


@pytest.mark.parametrize(
    "text", ["0.0.0.0:9180", "192.0.2.1:9180", "[::1]:9180", "9180", "localhost:9180", "127.0.0.1:x", ":80"]
)
def test_metrics_are_for_this_host_only(text: str) -> None:
    with pytest.raises(Refusal, match="--metrics-listen"):
        loopback(text)


def test_metrics_are_served_on_loopback() -> None:
    server = MetricsServer(loopback("127.0.0.1:0"), lambda: b"up 1\n")
    server.start()
    port = server.server_address[1]
    try:
        with pytest.raises(Refusal, match="cannot listen"):
            MetricsServer(("127.0.0.1", port), bytes)
        assert asked(port, "/metrics") == (200, MEDIA_TYPE, b"up 1\n")
        assert asked(port, "/v1/attachments")[0] == 404
        assert asked(port, "/metrics", host="attacker.example")[0] == 421
    finally:
        server.stop()


def asked(port: int, path: str, *, host: str = "127.0.0.1") -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": f"{host}:{port}"})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()
