"""`ipam.single`: one address per REST request, by 32 clients that keep their connections.

Beside it in the same run and on the same etcd: one put per transaction by 32 threads through the same
client library, which is what an address costs at the least when each is written alone. The two take
turns, so that what else the machine does falls on both; the ratio is that of their medians.
"""

from __future__ import annotations

import json
from contextlib import closing

from bench.load import Job, load, threads_rate
from bench.row import Row, median, percentile, progress
from bench.service import Service
from store.client import Put
from store.etcd import EtcdStore

CLIENTS = 32
NODES = 32
ROUNDS = 5
SECONDS = 3.0
VALUE = b"x" * 300
RATIO_GOAL, P50_GOAL_MS = 1.0, 15.0


def measure() -> Row:
    """Measure."""
    with Service() as service:
        service.send("POST", "/v1/pools", {"name": "default", "cidr": "10.0.0.0/11"})
        for number in range(NODES):
            service.send("POST", "/v1/nodes", {"name": f"node-{number}", "asn": 64512})
        requests = tuple(
            ("POST", "/v1/endpoints", json.dumps({"node": f"node-{number}"})) for number in range(NODES)
        )
        ours, theirs = [], []
        samples: list[float] = []
        with closing(service.store()) as store:
            for number in range(ROUNDS):
                theirs.append(raw_rate(store, CLIENTS, SECONDS))
                done = load(Job(service.port, requests, CLIENTS, SECONDS))
                ours.append(done.rate)
                samples.extend(done.milliseconds)
                progress(
                    f"ipam.single: round {number + 1} of {ROUNDS}: {ours[-1]:.0f}/s, raw {theirs[-1]:.0f}/s, "
                    f"median {median(done.milliseconds):.1f} ms"
                )
    ratio, p50 = median(ours) / median(theirs), median(samples)
    return Row(
        name="ipam.single",
        value=median(ours),
        unit="addresses/s",
        p50=p50,
        p99=percentile(samples, 99),
        peer=f"one put a transaction, {CLIENTS} threads, the same client library",
        peer_value=median(theirs),
        ratio=ratio,
        goal=f"ratio >= {RATIO_GOAL}, p50 <= {P50_GOAL_MS:g} ms",
        ok=ratio >= RATIO_GOAL and p50 <= P50_GOAL_MS,
    )


def raw_rate(store: EtcdStore, threads: int, seconds: float) -> float:
    """Transactions per second of one put each."""
    return threads_rate(
        lambda thread, count: store.txn([], [Put(f"/bench/{thread}/{count}", VALUE)]), threads, seconds
    )
