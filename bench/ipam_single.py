"""`ipam.single`: one address per REST request, by 32 clients that keep their connections.

Beside it in the same run and on the same etcd: one put per transaction by 32 threads through the same
client library, which is what an address costs at the least when each is written alone. The two take
turns, so that what else the machine does falls on both; the ratio is that of their medians.
"""

from __future__ import annotations

import json

from bench.load import Job, load, threads_rate
from bench.row import Row
from bench.turns import NODES, ROUNDS, SECONDS, Turns, planted
from store.client import Put
from store.etcd import EtcdStore

CLIENTS = 32
VALUE = b"x" * 300
RATIO_GOAL, P50_GOAL_MS = 1.0, 15.0


def measure() -> Row:
    """Measure."""
    requests = tuple(
        ("POST", "/v1/endpoints", json.dumps({"node": f"node-{number}"})) for number in range(NODES)
    )
    turns = Turns("ipam.single")
    with planted("10.0.0.0/11") as (service, store):
        for _ in range(ROUNDS):
            theirs = raw_rate(store, CLIENTS, SECONDS)
            turns.add(theirs, load(Job(service.port, requests, CLIENTS, SECONDS)))
    return turns.row(
        "addresses/s",
        f"one put a transaction, {CLIENTS} threads, the same client library",
        f"ratio >= {RATIO_GOAL}, p50 <= {P50_GOAL_MS:g} ms",
        ok=turns.ratio >= RATIO_GOAL and turns.p50 <= P50_GOAL_MS,
    )


def raw_rate(store: EtcdStore, threads: int, seconds: float) -> float:
    """Transactions per second of one put each."""
    return threads_rate(
        lambda thread, count: store.txn([], [Put(f"/bench/{thread}/{count}", VALUE)]), threads, seconds
    )
