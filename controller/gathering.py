"""Reads that requests of the event loop make at the same moment go to etcd in one.

While one is under way, reads queue; the next takes what fits. So a lone request waits for nobody, and many
share what a call of gRPC costs, which is more than all else that a short request does. What answers a read
began after it was asked for: it is as fresh as one of its own.

Requests in threads of their own read for themselves: the way to the loop and back would cost as much.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from controller.promise import Promise
from controller.waiting import Runner, in_loop, wait
from store.client import MAX_TXN_OPS, KeyValue, Store
from store.errors import StoreError, Unavailable

PATIENCE_S = 5.0
"""How long a read may wait before it is sent."""


@dataclass(frozen=True, slots=True)
class _Read:
    keys: Sequence[str]
    found: Promise[Mapping[str, KeyValue]]
    since: float


class Gathering:
    """The Store protocol over another store.

    Args:
        store: the other.
        runner: where reads are sent from: stacks of the loop.
        monotonic: seconds that never go back.
    """

    def __init__(self, store: Store, runner: Runner, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._runner = runner
        self._monotonic = monotonic
        self.range, self.count, self.txn, self.watch = store.range, store.count, store.txn, store.watch
        self.grant, self.keep_alive, self.revoke = store.grant, store.keep_alive, store.revoke
        self.cluster_id, self.close = store.cluster_id, store.close
        # Of the thread of the loop alone:
        self._queue: deque[_Read] = deque()
        self._reading = False

    def get(self, key: str) -> KeyValue | None:
        """See `Store.get`."""
        return self._gathered([key]).get(key) if in_loop() else self._store.get(key)

    def get_many(self, keys: Sequence[str]) -> Mapping[str, KeyValue]:
        """See `Store.get_many`."""
        if not keys or len(keys) > MAX_TXN_OPS or not in_loop():
            return self._store.get_many(keys)
        found = self._gathered(keys)
        return {key: found[key] for key in keys if key in found}

    def _gathered(self, keys: Sequence[str]) -> Mapping[str, KeyValue]:
        """What stands at these keys, and at those that others asked for."""
        read = _Read(keys, Promise(), self._monotonic())
        self._queue.append(read)
        if not self._reading:
            self._reading = True
            self._runner.begin(self._run)
        return wait(read.found)

    def _run(self) -> None:
        """Read what is queued until nothing is left."""
        while self._queue:
            reads, keys = self._next()
            try:
                found = self._store.get_many(list(keys)) if keys else {}
            except StoreError as fault:
                for read in reads:
                    read.found.set_exception(fault)
            else:
                for read in reads:
                    read.found.set_result(found)
        self._reading = False

    def _next(self) -> tuple[list[_Read], Mapping[str, None]]:
        """The reads at the head of the queue that fit into one request, and their keys."""
        reads: list[_Read] = []
        keys: dict[str, None] = {}
        oldest = self._monotonic() - PATIENCE_S
        while self._queue:
            read = self._queue[0]
            if read.since < oldest:
                read.found.set_exception(Unavailable(f"it waited for more than {PATIENCE_S:g} s"))
            elif len(keys) + len(read.keys) > MAX_TXN_OPS:
                break
            else:
                reads.append(read)
                keys.update(dict.fromkeys(read.keys))
            self._queue.popleft()
        return reads, keys
