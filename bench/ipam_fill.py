"""`ipam.fill`: a /16 filled to its last address over REST, and emptied.

What an address costs when the pool is almost full, beside what one costs when it is almost empty: 32
clients, one address per request, for eight nodes in turn, which then have the same share of the blocks.
A cost is the time that a hundredth of the pool took. What is between goes in batches.
"""

from __future__ import annotations

import json
from contextlib import closing

from bench.load import Job, Outcome, load
from bench.row import Row, median, percentile, progress
from bench.service import Service
from controller.reading import scan
from store import keys

CLIENTS, NODES, BATCH = 32, 8, 500
POOL = {"name": "default", "cidr": "10.64.0.0/16", "cooldown_s": 0}
ADDRESSES = (1 << 16) - 2
SLICE = ADDRESSES // 100
RATIO_GOAL = 1.5


def measure() -> Row:
    """Measure. Its value is milliseconds per address at 99 %."""
    with Service() as service:
        service.send("POST", "/v1/pools", POOL)
        for number in range(NODES):
            service.send("POST", "/v1/nodes", {"name": f"node-{number}", "asn": 64512})
        _assign(service, SLICE // 2)  # what is only done once is done
        first = _assign(service, SLICE)
        _assign_batches(service, ADDRESSES - 3 * SLICE)
        last = _assign(service, SLICE)
        _fill_up(service)
        progress(f"ipam.fill: {ADDRESSES} addresses are assigned, and no more")
        _empty(service)
    early_ms, late_ms = 1000 / first.rate, 1000 / last.rate
    return Row(
        name="ipam.fill",
        value=late_ms,
        unit="ms an address at 99 %",
        p50=median(last.milliseconds),
        p99=percentile(last.milliseconds, 99),
        peer="the same at 1 %",
        peer_value=early_ms,
        ratio=late_ms / early_ms,
        goal=f"at most {RATIO_GOAL} times the cost at 1 %",
        ok=late_ms <= RATIO_GOAL * early_ms,
    )


def _assign(service: Service, count: int) -> Outcome:
    requests = [("POST", "/v1/endpoints", json.dumps({"node": f"node-{n % NODES}"})) for n in range(count)]
    return load(Job(service.port, tuple(requests), CLIENTS))


def _assign_batches(service: Service, count: int) -> None:
    """Likewise, five hundred in a request: it is the price before and after that is asked for."""
    whole, rest = divmod(count // NODES, BATCH)
    requests = [
        ("POST", "/v1/endpoints:batch", json.dumps({"items": [{"node": f"node-{n}"}] * size}))
        for size in [BATCH] * whole + [rest]
        for n in range(NODES)
    ]
    load(Job(service.port, tuple(requests), 2, expect=200))


def _fill_up(service: Service) -> None:
    """Assign what is left, block by block, and prove that nothing is."""
    rest = [
        ("POST", "/v1/endpoints", json.dumps({"node": node["node"]}))
        for node in service.send("GET", "/v1/pools/default/usage")["nodes"]
        for _ in range(sum(block["free"] for block in node["blocks"]))
    ]
    load(Job(service.port, tuple(rest), 1))
    full = service.send("GET", "/v1/pools/default/usage")
    if (full["assigned"], full["free"]) != (ADDRESSES, 0):
        raise SystemExit(f"bench: {full['assigned']} of {ADDRESSES} addresses are assigned")


def _empty(service: Service) -> None:
    """A hundredth one by one, the rest five hundred in a request."""
    with closing(service.store()) as store:
        names = [endpoint.id for endpoint in scan(store, keys.ENDPOINTS).values]
    alone = tuple(("DELETE", f"/v1/endpoints/{name}", "") for name in names[:SLICE])
    one = load(Job(service.port, alone, CLIENTS, expect=204))
    rest = names[SLICE:]
    many = [
        ("POST", "/v1/endpoints:release", json.dumps({"items": [{"id": name} for name in part]}))
        for start in range(0, len(rest), BATCH)
        if (part := rest[start : start + BATCH])
    ]
    batches = load(Job(service.port, tuple(many), 2, expect=200))
    rate = batches.rate * len(rest) / len(many)
    progress(f"ipam.fill: emptied at {one.rate:.0f}/s one by one, {rate:.0f}/s in batches of {BATCH}")
    with closing(service.store()) as store:
        left = len(scan(store, keys.ENDPOINTS).items) + len(scan(store, keys.ADDRESSES).items)
    if left:
        raise SystemExit(f"bench: {left} keys of addresses are left")
