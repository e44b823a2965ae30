"""`ipam.batch`: addresses by batches of 500 in one REST request.

Beside it in the same run and on the same etcd: puts at 120 a transaction by one thread through the same
client library. The two take turns; the ratio is that of their medians, in addresses and in puts a second.
"""

from __future__ import annotations

import json

from bench.load import Job, load
from bench.puts import TXN, puts_per_s
from bench.row import Row
from bench.turns import NODES, ROUNDS, SECONDS, Turns, planted

BATCH = 500
CLIENTS = 4
VALUE = b"x" * 300
RATIO_GOAL, RATE_GOAL = 0.3, 10_000


def measure() -> Row:
    """Measure."""
    requests = tuple(("POST", "/v1/endpoints:batch", create_batch(number)) for number in range(NODES))
    turns = Turns("ipam.batch", BATCH)
    with planted("10.0.0.0/9") as (service, store):
        for _ in range(ROUNDS):
            theirs = puts_per_s(store, SECONDS, VALUE)
            turns.add(theirs, load(Job(service.port, requests, CLIENTS, SECONDS, expect=200)))
    return turns.row(
        "addresses/s",
        f"{TXN} puts a transaction, the same client library",
        f"ratio >= {RATIO_GOAL}, at least {RATE_GOAL} addresses/s",
        ok=turns.ratio >= RATIO_GOAL and turns.rate >= RATE_GOAL,
    )


def create_batch(number: int) -> str:
    """The body of a request for `BATCH` endpoints on one node, so that the next batch is on another."""
    return json.dumps({"items": [{"node": f"node-{number}"}] * BATCH})
