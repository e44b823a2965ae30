"""`auth.revoke`: from the request that deletes a token until another controller refuses it.

Two controllers on one etcd. A sample is one token, deleted at the first, while requests with it follow one
another at the second: until the first of them that is refused was answered. The request is one that reads
nothing from etcd and that the token's role may not make: 403 while the token is known, then 401.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing
from http.client import HTTPConnection

from bench.row import Row, alone, median, percentile, progress
from bench.service import Service
from lab.wait import wait_until

SAMPLES = 300
P99_GOAL_MS = 100.0
KNOWN_S = 10.0


def measure() -> Row:
    """Measure. There is no peer that does the same job."""
    asked, answered = [], []
    with (
        Service(controllers=2) as service,
        closing(HTTPConnection("127.0.0.1", service.controllers[1].port, timeout=30)) as other,
    ):
        for number in range(SAMPLES):
            since_asked, since_answered = _sample(service, other, f"t{number}")
            asked.append(since_asked)
            answered.append(since_answered)
    p50, p99 = median(asked), percentile(asked, 99)
    progress(f"auth.revoke: {SAMPLES} tokens, median {p50:.1f} ms, p99 {p99:.1f} ms")
    return alone(
        "auth.revoke",
        asked,
        "ms",
        f"p99 <= {P99_GOAL_MS:g} ms; after the answer to the deletion at most {max(answered):.1f} ms",
        ok=p99 <= P99_GOAL_MS,
    )


def _sample(service: Service, other: HTTPConnection, name: str) -> tuple[float, float]:
    """The milliseconds until the refusal: since the deletion was asked for, and since it was answered."""
    token = service.send("POST", "/v1/tokens", {"name": name, "role": "read-only"})["token"]
    wait_until(lambda: _known(other, token), KNOWN_S, "the other controller to know a token", poll_s=0.001)
    refused: list[float] = []

    def ask() -> None:
        while _known(other, token):
            pass
        refused.append(time.perf_counter())

    asking = threading.Thread(target=ask)
    asking.start()
    began = time.perf_counter()
    service.send("DELETE", f"/v1/tokens/{name}")
    deleted = time.perf_counter()
    asking.join()
    return (refused[0] - began) * 1000, max(0.0, refused[0] - deleted) * 1000


def _known(connection: HTTPConnection, token: str) -> bool:
    """Whether a controller takes the token for somebody's."""
    connection.request("GET", "/v1/tokens", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    answer.read()
    if answer.status not in {401, 403}:
        raise SystemExit(f"bench: GET /v1/tokens: {answer.status}")
    return answer.status == 403
