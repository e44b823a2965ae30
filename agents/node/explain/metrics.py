"""The agent's metrics: what endpoints send and get, what is dropped and why, what is held and was repaired.

Flows and ports are read at each scrape, by the connection that is for questions. When the switch is away a
scrape tells the rest.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agents.node.explain.devices import Passed
from agents.node.explain.rules import FLOWS, by_rule
from agents.node.plug import Busy, Plugged
from agents.reconciler import Reconciler
from intent.limits import limit_of, port_of
from openflow.cookie import Purpose, decode
from openflow.counting import counts
from openflow.decoding import Counted
from openflow.errors import SwitchError
from openflow.flow import FlowKey
from openflow.management import Management
from openflow.meter import MeterCount
from openflow.words import purpose_words

log = logging.getLogger(__name__)

PASS_BUCKETS_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class NodeMetrics:
    """What a scrape of an agent tells. Any thread may `render`; the loop's thread calls what `timed` returns.

    Args:
        management: the switch.
        plugged: what is plugged in, by endpoint.
        reconcilers: what the agent holds.
        wanted: what its last pass wanted: that tells the rules of flows.
    """

    def __init__(
        self,
        management: Management,
        plugged: Callable[[], Mapping[str, Plugged]],
        reconcilers: Callable[[], Iterable[Reconciler[object, object]]],
        wanted: Passed,
    ) -> None:
        self._management = management
        self._plugged = plugged
        self._reconcilers = reconcilers
        self._wanted = wanted
        self._registry = CollectorRegistry()
        self._pass = Histogram(
            "polder_agent_pass_seconds",
            "How long a pass of the agent took.",
            buckets=PASS_BUCKETS_S,
            registry=self._registry,
        )

    def timed(self, step: Callable[[], float | None]) -> Callable[[], float | None]:
        """The same step, measured."""

        def run() -> float | None:
            began = time.perf_counter()
            try:
                return step()
            finally:
                self._pass.observe(time.perf_counter() - began)

        return run

    def render(self) -> bytes:
        """The text that Prometheus reads. Blocking, some seconds at most."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(self._metrics()))
        return generate_latest(self._registry) + generate_latest(registry)

    def _metrics(self) -> list[Metric]:
        made = [*held(self._reconcilers())]
        try:
            flows, meters = self._management.counters(), self._management.meter_counts()
            names = {one.ofport: name for name, one in self._plugged().items() if one.ofport is not None}
        except (SwitchError, Busy) as fault:
            log.warning("metrics without flows why=%s", fault)
            return made
        passed = self._wanted()
        rules = of_rules(flows, passed[FLOWS]) if passed is not None else ()
        return [*made, *of_endpoints(flows, names), *of_drops(flows), *of_limits(meters, names), *rules]


class _Collector(Collector):
    """Tells metrics that are made already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics

    def describe(self) -> Iterator[Metric]:
        return iter(())


def held(reconcilers: Iterable[Reconciler[object, object]]) -> Iterator[Metric]:
    """What the agent holds, and what of it somebody else had changed."""
    there = GaugeMetricFamily("polder_agent_held", "What the agent holds.", labels=("kind",))
    repairs = CounterMetricFamily(
        "polder_agent_repairs", "What a look found changed by others, and was put right.", labels=("kind",)
    )
    for each in reconcilers:
        there.add_metric((each.name,), len(each.actual))
        repairs.add_metric((each.name,), each.repairs)
    yield from (there, repairs)


def of_endpoints(flows: Iterable[Counted], names: Mapping[int, str]) -> Iterator[Metric]:
    """What each endpoint sent, got, and was refused. Pure."""
    labels = ("endpoint", "direction")
    packets = CounterMetricFamily("polder_endpoint_packets", "Packets of an endpoint, by way.", labels=labels)
    octets = CounterMetricFamily("polder_endpoint_bytes", "Bytes of an endpoint, by way.", labels=labels)
    sums: dict[tuple[str, str], list[int]] = {}
    for one in flows:
        mine = counts(one.flow)
        if mine is None or mine.ofport not in names:
            continue
        total = sums.setdefault((names[mine.ofport], mine.way.value), [0, 0])
        total[0] += one.packets
        total[1] += one.bytes
    for key, (counted, size) in sums.items():
        packets.add_metric(key, counted)
        octets.add_metric(key, size)
    yield from (packets, octets)


def of_rules(flows: Iterable[Counted], wanted: Mapping[FlowKey, object]) -> Iterator[Metric]:
    """What each rule of each policy has matched; of a staged one, would have. Pure."""
    matched = CounterMetricFamily(
        "polder_policy_packets",
        "Packets that a rule of a policy has matched, or would have where it is staged.",
        labels=("policy", "direction", "rule"),
    )
    for of, total in by_rule(flows, wanted).items():
        matched.add_metric((of.policy, of.direction.value, str(of.place)), total.packets)
    yield matched


def of_drops(flows: Iterable[Counted]) -> Iterator[Metric]:
    """What was dropped, by purpose; each purpose is told, with 0 too. Pure."""
    sums = Counter({purpose.name: 0 for purpose in Purpose if purpose.drops})
    for one in flows:
        cookie = decode(one.flow.cookie)
        if cookie is not None and cookie.purpose >= Purpose.SPOOFED:
            sums[purpose_words(one.flow.cookie)] += one.packets
    dropped = CounterMetricFamily("polder_dropped_packets", "Packets that were dropped.", labels=("purpose",))
    for name, packets in sums.items():
        dropped.add_metric((name,), packets)
    yield dropped


def of_limits(meters: Mapping[int, MeterCount], names: Mapping[int, str]) -> Iterator[Metric]:
    """What each limit of each endpoint has dropped. Pure."""
    limited = CounterMetricFamily(
        "polder_endpoint_limited_packets",
        "Packets of an endpoint that a limit dropped.",
        labels=("endpoint", "limit"),
    )
    for number, count in sorted(meters.items()):
        if (endpoint := names.get(port_of(number))) is not None:
            limited.add_metric((endpoint, limit_of(number).name.lower()), count.dropped_packets)
    yield limited
