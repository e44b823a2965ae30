"""The peer of rows that write much: puts, so many a transaction, one after the other on one connection."""

from __future__ import annotations

import time

from store.client import Put
from store.etcd import EtcdStore

TXN = 120
PEER = f"as many puts, {TXN} a transaction, one connection"


def puts_s(store: EtcdStore, count: int, value: bytes) -> float:
    """Seconds that so many take."""
    began = time.perf_counter()
    for start in range(0, count, TXN):
        _put(store, start, value)
    return time.perf_counter() - began


def puts_per_s(store: EtcdStore, seconds: float, value: bytes) -> float:
    """How many a second, for so long."""
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        _put(store, count, value)
        count += TXN
    return count / (time.perf_counter() - began)


def _put(store: EtcdStore, start: int, value: bytes) -> None:
    store.txn([], [Put(f"/bench/{number}", value) for number in range(start, start + TXN)])
