"""`tenant.first`: the first tenant comes to 1,000 nodes with 100,000 endpoints.

From then on each node is told of its endpoints, and of the addresses of all that have no tenant. From the
request until every endpoint was told of, while others go on to ask for addresses, one after the other; and by
how much etcd's database grows meanwhile: it takes 2 GiB, and then nothing more. Beside it in the same run: as
many puts of the size of such a value, 120 in a transaction, one after the other on one connection.
"""

from __future__ import annotations

import time
from contextlib import closing

from bench.ipam_scale import ENDPOINTS, NODES, fill, resident_mb
from bench.puts import PEER, puts_s
from bench.row import Row, median, percentile, progress
from bench.service import Service
from store import keys
from store.etcd import EtcdStore

VALUE = b"x" * 80
GOAL_S, GROWTH_GOAL_MB, MEMORY_GOAL_MB = 10.0, 200.0, 600.0
LIMIT_S = 120.0


def measure() -> Row:
    """Measure."""
    progress(f"tenant.first: {NODES} nodes and {ENDPOINTS} endpoints go into the store")
    with Service(lambda store: fill(store, ENDPOINTS)) as service, closing(service.store()) as store:
        before_mb = service.database_mb
        began = time.perf_counter()
        service.send("POST", "/v1/tenants", {"name": "shop"})
        samples: list[float] = []
        while _told(store) < ENDPOINTS:
            if time.perf_counter() - began > LIMIT_S:
                raise SystemExit(f"bench: {_told(store)} endpoints were told of in {LIMIT_S:g} s")
            samples.append(_request_ms(service, len(samples)))
        took_s = time.perf_counter() - began
        grown_mb, memory_mb = service.database_mb - before_mb, resident_mb(service.pid)
        progress(f"tenant.first: {took_s:.1f} s; etcd's database grew by {grown_mb:.0f} MB")
        peer_s = puts_s(store, ENDPOINTS, VALUE)
    ok = took_s <= GOAL_S and grown_mb <= GROWTH_GOAL_MB and memory_mb <= MEMORY_GOAL_MB
    return Row(
        name="tenant.first",
        value=took_s,
        unit=f"s until {ENDPOINTS} endpoints were told of",
        p50=median(samples),
        p99=percentile(samples, 99),
        peer=PEER,
        peer_value=peer_s,
        ratio=peer_s / took_s,
        goal=(
            f"<= {GOAL_S:g} s; the database grew by {grown_mb:.0f} of {GROWTH_GOAL_MB:g} MB, "
            f"memory {memory_mb:.0f} of {MEMORY_GOAL_MB:g} MB"
        ),
        ok=ok,
    )


def _told(store: EtcdStore) -> int:
    """How many endpoints were told of, at least: beside these there is a group for each node."""
    return store.count([keys.COMPILED])[0] - NODES


def _request_ms(service: Service, number: int) -> float:
    began = time.perf_counter()
    service.send("POST", "/v1/endpoints", {"node": f"node-{number % NODES:04}"})
    return (time.perf_counter() - began) * 1000
