"""Requests that take turns with a peer on the same etcd: what else the machine does falls on both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from bench.load import Outcome
from bench.row import Row, median, percentile, progress
from bench.service import Service
from store.etcd import EtcdStore

NODES = 32
ROUNDS = 5
SECONDS = 3.0
"""Of each turn."""


@contextmanager
def planted(cidr: str) -> Iterator[tuple[Service, EtcdStore]]:
    """A service with a pool and `node-0` to `node-31`, and a client of its etcd."""
    with Service() as service:
        service.send("POST", "/v1/pools", {"name": "default", "cidr": cidr})
        for number in range(NODES):
            service.send("POST", "/v1/nodes", {"name": f"node-{number}", "asn": 64512})
        with closing(service.store()) as store:
            yield service, store


class Turns:
    """What was measured in turn, for the row of this name. `each` is how many of its unit a request is."""

    def __init__(self, name: str, each: int = 1) -> None:
        self._name = name
        self._each = each
        self._ours: list[float] = []
        self._theirs: list[float] = []
        self._milliseconds: list[float] = []

    def add(self, theirs: float, ours: Outcome) -> None:
        """A round: the peer's rate, and our requests."""
        self._ours.append(ours.rate * self._each)
        self._theirs.append(theirs)
        self._milliseconds.extend(ours.milliseconds)
        progress(
            f"{self._name}: round {len(self._ours)} of {ROUNDS}: {self._ours[-1]:.0f}/s, raw {theirs:.0f}/s, "
            f"median {median(ours.milliseconds):.1f} ms"
        )

    @property
    def rate(self) -> float:
        """Ours: the median of the rounds."""
        return median(self._ours)

    @property
    def ratio(self) -> float:
        """How many times the peer's that is."""
        return self.rate / median(self._theirs)

    @property
    def p50(self) -> float:
        """Of a request, in milliseconds."""
        return median(self._milliseconds)

    def row(self, unit: str, peer: str, goal: str, *, ok: bool) -> Row:
        """The row. `peer` says what the peer is."""
        p99, theirs = percentile(self._milliseconds, 99), median(self._theirs)
        return Row(self._name, self.rate, unit, self.p50, p99, peer, theirs, self.ratio, goal, ok)
