"""`watch.fanout`: from the request for an endpoint to its node's feed, while 1,000 nodes listen.

The feeds are those of the agents, over a real etcd, in a few processes. One sample is one request at one
controller, to a node chosen at random, until that node's feed tells the endpoint. No other node's feed may
tell it.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

from bench.load import Job, load
from bench.row import Row, alone, median, progress
from bench.service import Service
from lab.errors import LabError
from lab.wait import wait_until

NODES = 1000
PROCESSES = 5
SAMPLES = 300
PACE_S = 0.02
READY_S = 120.0
P50_GOAL_MS = 20.0


def measure() -> Row:
    """Measure. There is no peer that does the same job."""
    names = [f"node-{number}" for number in range(NODES)]
    with Service() as service, ExitStack() as stack:
        service.send("POST", "/v1/pools", {"name": "default", "cidr": "10.0.0.0/11"})
        load(Job(service.port, tuple(("POST", "/v1/nodes", _node(name)) for name in names), 8))
        progress(f"watch.fanout: {NODES} nodes; starting their feeds")
        listeners = [
            stack.enter_context(Listeners(service.etcd.url, names[number::PROCESSES]))
            for number in range(PROCESSES)
        ]
        for each in listeners:
            wait_until(each.ready.is_set, READY_S, "the feeds to have the store")
        sent = _send(service, names)
        told: dict[str, list[tuple[str, float]]] = {}

        def all_told() -> bool:
            told.clear()
            for line in (line for each in listeners for line in tuple(each.lines)):
                node, endpoint, at = line.split()
                told.setdefault(endpoint, []).append((node, float(at)))
            return len(told) >= len(sent)

        wait_until(all_told, READY_S, "every feed to tell")
    samples = [(told[endpoint][0][1] - began) * 1000 for endpoint, (_, began) in sent.items()]
    strangers = sum(1 for endpoint, seen in told.items() if [node for node, _ in seen] != [sent[endpoint][0]])
    p50 = median(samples)
    return alone(
        "watch.fanout",
        samples,
        "ms",
        f"p50 <= {P50_GOAL_MS:g} ms, told to {strangers} other feeds (0)",
        ok=p50 <= P50_GOAL_MS and not strangers,
    )


def _send(service: Service, names: list[str]) -> dict[str, tuple[str, float]]:
    """One request after the other: the node and the time of each endpoint."""
    sent = {}
    for number in range(SAMPLES):
        node, began = random.choice(names), time.perf_counter()  # noqa: S311
        made = service.send("POST", "/v1/endpoints", {"id": f"e{number}", "node": node})
        sent[made["id"]] = (node, began)
        time.sleep(PACE_S)
    return sent


def _node(name: str) -> str:
    return f'{{"name":"{name}","asn":64512}}'


class Listeners:
    """A process of feeds. A context manager: started on entry, ended on exit."""

    def __init__(self, etcd: str, nodes: list[str]) -> None:
        self._argv = [sys.executable, "-m", "bench.feeds", etcd, *nodes]
        self.lines: list[str] = []
        self.ready = threading.Event()

    def __enter__(self) -> Listeners:
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        if self._process.stdout is None:
            raise LabError("the feeds have no output")
        for line in self._process.stdout:
            if line == "ready\n":
                self.ready.set()
            else:
                self.lines.append(line)
