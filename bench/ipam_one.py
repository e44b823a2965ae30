"""`ipam.read` and `ipam.delete`: one endpoint per REST request, read or deleted by 32 clients.

Beside each in the same run and on the same etcd: one get, or one deletion, per request to etcd by 32 threads
through the same client library. The two take turns; the ratio is that of their medians. Goals of our own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from bench.ipam_batch import BATCH, create_batch
from bench.load import Job, Outcome, load, threads_rate
from bench.row import Row
from bench.service import Service
from bench.turns import ROUNDS, SECONDS, Turns, planted
from store.client import Delete
from store.etcd import EtcdStore

CLIENTS = 32
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
    turns = Turns(name)
    with planted("10.0.0.0/9") as (service, store):
        for _ in range(ROUNDS):
            ids = [each for node in range(DELETED // BATCH) for each in _made(service, node)]
            raw = threads_rate(lambda thread, _: theirs(store, thread), CLIENTS, SECONDS)
            turns.add(raw, ours(service, ids))
    return turns.row(
        "requests/s",
        f"{peer}, {CLIENTS} threads, the same client library",
        f"ratio >= {goal}",
        ok=turns.ratio >= goal,
    )


def _made(service: Service, node: int) -> list[str]:
    """The ids of endpoints that are new."""
    answer = service.send("POST", "/v1/endpoints:batch", json.loads(create_batch(node)))
    return [item["endpoint"]["id"] for item in answer["items"]]
