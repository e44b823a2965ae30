"""`e2e.latency`: from the request for an endpoint to its /32 in a ToR's kernel.

One sample is the POST to the controller, the attach to a namespace that waits, and the time until the
route is in the kernel of tor-a, as `ip monitor` stamps it. One after the other, in a pool that
advertises hosts. FRR holds its work queue for 50 ms of it.
"""

from __future__ import annotations

import time

from bench.row import Row, alone, median, percentile, progress
from lab.host import Host
from lab.lab import Lab
from lab.route import RouteMonitor
from lab.wait import wait_until

SAMPLES = 100
P50_GOAL_MS, P99_GOAL_MS = 120.0, 300.0
POOL = {"name": "hosts", "cidr": "10.65.0.0/16", "advertise": "host"}


def measure(lab: Lab) -> Row:
    """Measure. There is no peer that does the same job."""
    lab.api.do("POST", "/v1/pools", POOL)
    node = lab.nodes[0]
    containers = [lab.container(f"e{number}") for number in range(SAMPLES + 1)]
    monitor = lab.tors["tor-a"].host.monitor_routes()
    _sample(lab, node, containers[0], monitor)  # the first one claims the block
    samples = []
    for container in containers[1:]:
        samples.append(_sample(lab, node, container, monitor))
        if len(samples) % 20 == 0:
            progress(f"e2e.latency: {len(samples)} of {SAMPLES}, median {median(samples):.1f} ms")
    p50, p99 = median(samples), percentile(samples, 99)
    ok = p50 <= P50_GOAL_MS and p99 <= P99_GOAL_MS
    goal = f"p50 <= {P50_GOAL_MS:g} ms, p99 <= {P99_GOAL_MS:g} ms"
    return alone("e2e.latency", samples, "ms", goal, ok=ok)


def _sample(lab: Lab, node: str, container: Host, monitor: RouteMonitor) -> float:
    began = time.time()
    made = lab.api.do("POST", "/v1/endpoints", {"id": container.name, "node": node, "pool": "hosts"})
    lab.attach(container.name, container, node)
    prefix = made["prefixes"][0]
    changes = wait_until(
        lambda: [one for one in monitor.changes() if one.dst == prefix and not one.deleted], 10.0, prefix
    )
    return (changes[0].time_s - began) * 1000
