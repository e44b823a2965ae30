"""What the controller counts, for Prometheus. One registry per application."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)
LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The metrics of one controller. Safe to call from many threads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "polder_http_requests_total",
            "Requests, by route and status.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._latency = Histogram(
            "polder_http_request_seconds",
            "Time to answer a request, by route.",
            ("method", "route"),
            buckets=LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._assigned = Counter(
            "polder_addresses_assigned_total",
            "Addresses that this controller assigned, by pool.",
            ("pool",),
            registry=self._registry,
        )
        self._pools: dict[str, Counter] = {}
        self._batch = Histogram(
            "polder_commit_units",
            "Units of work that shared one transaction of the store.",
            buckets=BATCH_BUCKETS,
            registry=self._registry,
        )
        self._reclaimed = Counter(
            "polder_addresses_reclaimed_total",
            "Addresses that this controller took back from nobody, by why.",
            ("why",),
            registry=self._registry,
        )
        self._leads = Gauge(
            "polder_duty_leader",
            "1 while this controller is the one that does the duty.",
            ("duty",),
            registry=self._registry,
        )
        self._ends = Gauge(
            "polder_certificate_end_seconds",
            "When the certificate in the file ends, in seconds since 1970.",
            ("file",),
            registry=self._registry,
        )
        self._add_bmp()

    def _add_bmp(self) -> None:
        """The metrics of what routers tell by BMP."""
        self._differences = Gauge(
            "polder_bgp_differences",
            "Prefixes of which the router and the node differ for longer than a moment, by session and kind.",
            ("peer", "node", "kind"),
            registry=self._registry,
        )
        self._routers = Gauge(
            "polder_bmp_routers", "Routers that are connected by BMP.", registry=self._registry
        )
        self._refused = Counter(
            "polder_bmp_refused_total", "BMP connections that were closed at once.", registry=self._registry
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        key = (method, route, status)
        found = self._children.get(key)
        if found is None:  # two threads may both come here: they get the same children
            found = self._requests.labels(method, route, str(status)), self._latency.labels(method, route)
            self._children[key] = found
        found[0].inc()
        found[1].observe(seconds)

    def assigned(self, pool: str, addresses: int = 1) -> None:
        """So many addresses of the pool were assigned."""
        found = self._pools.get(pool)
        if found is None:
            found = self._pools[pool] = self._assigned.labels(pool)
        found.inc(addresses)

    def committed(self, units: int) -> None:
        """A transaction of so many units was applied."""
        self._batch.observe(units)

    def reclaimed(self, why: str, addresses: int) -> None:
        """So many addresses were taken back: `node-gone`, `no-endpoint`."""
        self._reclaimed.labels(why).inc(addresses)

    def leads(self, duty: str, leading: bool) -> None:
        """This controller took a duty up, or lost it."""
        self._leads.labels(duty).set(1 if leading else 0)

    def certificate(self, file: str, end_s: Callable[[], float]) -> None:
        """A certificate that this controller uses, and what tells when it ends."""
        self._ends.labels(file).set_function(end_s)

    def bgp_differences(self, node: str, peer: str, kind: str, count: int | None) -> None:
        """So many prefixes of a session differ; None when that is not known any more."""
        if count is None:
            self._differences.remove(peer, node, kind)
        else:
            self._differences.labels(peer, node, kind).set(count)

    def bmp_routers(self, count: int) -> None:
        """So many routers are connected by BMP."""
        self._routers.set(count)

    def bmp_refused(self) -> None:
        """A connection of BMP was closed at once."""
        self._refused.inc()

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self._registry)
