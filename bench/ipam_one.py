"""`ipam.read` and `ipam.delete`: one endpoint per REST request, read or deleted by 32 clients.

Beside each in the same run and on the same etcd: one get, or one deletion, per request to etcd by 32 threads
through the same client library. The two take turns; the ratio is that of their medians. Goals of our own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing

from bench.ipam_batch import BATCH, create_batch
from bench.load import Job, Outcome, load, threads_rate
from bench.row import Row, median, percentile, progress
from bench.service import Service
from store.client import Delete
from store.etcd import EtcdStore

CLIENTS = 32
NODES = 32
ROUNDS = 5
SECONDS = 3.0
DELETED = 4_000
"""Endpoints of each round."""

READ_GOAL, DELETE_GOAL = 0.8, 0.3


def measure_read() -> Row:
    """Measure `ipam.read`."""

    def ours(service: Service, ids: Sequence[str]) -> Outcome:
        requests = tuple(("GET", f"/v1/endpoints/{each}", "") for each in ids[:BATCH])
        return load(Job(service.port, requests, CLIENTS, SECONDS, expect=200))

    def theirs(store: EtcdStore, number: int) -> None:
        store.get(f"/bench/{number}")

    return _row("ipam.read", "one get a request", READ_GOAL, ours, theirs)


def measure_delete() -> Row:
    """Measure `ipam.delete`."""

    def ours(service: Service, ids: Sequence[str]) -> Outcome:
        requests = tuple(("DELETE", f"/v1/endpoints/{each}", "") for each in ids)
        return load(Job(service.port, requests, CLIENTS, expect=204))

    def theirs(store: EtcdStore, number: int) -> None:
        store.txn([], [Delete(f"/bench/{number}")])

    return _row("ipam.delete", "one deletion a transaction", DELETE_GOAL, ours, theirs)


def _row(
    name: str,
    peer: str,
    goal: float,
    ours: Callable[[Service, Sequence[str]], Outcome],
    theirs: Callable[[EtcdStore, int], None],
) -> Row:
    rates, peers = [], []
    samples: list[float] = []
    with Service() as service:
        service.send("POST", "/v1/pools", {"name": "default", "cidr": "10.0.0.0/9"})
        for number in range(NODES):
            service.send("POST", "/v1/nodes", {"name": f"node-{number}", "asn": 64512})
        with closing(service.store()) as store:
            for number in range(ROUNDS):
                ids = [each for node in range(DELETED // BATCH) for each in _made(service, node)]
                peers.append(threads_rate(lambda thread, _: theirs(store, thread), CLIENTS, SECONDS))
                done = ours(service, ids)
                rates.append(done.rate)
                samples.extend(done.milliseconds)
                progress(
                    f"{name}: round {number + 1} of {ROUNDS}: {rates[-1]:.0f}/s, raw {peers[-1]:.0f}/s, "
                    f"median {median(done.milliseconds):.1f} ms"
                )
    ratio = median(rates) / median(peers)
    return Row(
        name=name,
        value=median(rates),
        unit="requests/s",
        p50=median(samples),
        p99=percentile(samples, 99),
        peer=f"{peer}, {CLIENTS} threads, the same client library",
        peer_value=median(peers),
        ratio=ratio,
        goal=f"ratio >= {goal}",
        ok=ratio >= goal,
    )


def _made(service: Service, node: int) -> list[str]:
    """The ids of endpoints that are new."""
    answer = service.send("POST", "/v1/endpoints:batch", json.loads(create_batch(node)))
    return [item["endpoint"]["id"] for item in answer["items"]]
