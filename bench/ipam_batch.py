"""`ipam.batch`: addresses by batches of 500 in one REST request.

Beside it in the same run and on the same etcd: puts at 120 a transaction by one thread through the same
client library. The two take turns; the ratio is that of their medians, in addresses and in puts a second.
"""

from __future__ import annotations

import json
from contextlib import closing

from bench.load import Job, load
from bench.puts import TXN, puts_per_s
from bench.row import Row, median, percentile, progress
from bench.service import Service

BATCH = 500
CLIENTS = 4
NODES = 32
ROUNDS = 5
SECONDS = 3.0
VALUE = b"x" * 300
RATIO_GOAL, RATE_GOAL = 0.3, 10_000


def measure() -> Row:
    """Measure."""
    with Service() as service:
        service.send("POST", "/v1/pools", {"name": "default", "cidr": "10.0.0.0/9"})
        for number in range(NODES):
            service.send("POST", "/v1/nodes", {"name": f"node-{number}", "asn": 64512})
        requests = tuple(("POST", "/v1/endpoints:batch", create_batch(number)) for number in range(NODES))
        ours, theirs = [], []
        samples: list[float] = []
        with closing(service.store()) as store:
            for number in range(ROUNDS):
                theirs.append(puts_per_s(store, SECONDS, VALUE))
                done = load(Job(service.port, requests, CLIENTS, SECONDS, expect=200))
                ours.append(done.rate * BATCH)
                samples.extend(done.milliseconds)
                progress(
                    f"ipam.batch: round {number + 1} of {ROUNDS}: {ours[-1]:.0f}/s, raw {theirs[-1]:.0f}/s"
                )
    value, ratio = median(ours), median(ours) / median(theirs)
    return Row(
        name="ipam.batch",
        value=value,
        unit="addresses/s",
        p50=median(samples),
        p99=percentile(samples, 99),
        peer=f"{TXN} puts a transaction, the same client library",
        peer_value=median(theirs),
        ratio=ratio,
        goal=f"ratio >= {RATIO_GOAL}, at least {RATE_GOAL} addresses/s",
        ok=ratio >= RATIO_GOAL and value >= RATE_GOAL,
    )


def create_batch(number: int) -> str:
    """The body of a request for `BATCH` endpoints on one node, so that the next batch is on another."""
    return json.dumps({"items": [{"node": f"node-{number}"}] * BATCH})
