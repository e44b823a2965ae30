"""What one request wrote to the store, and what stood there before: gathered where it is read and committed.

No handler has to say what it changed. Each write compares that the value it replaces is still the one that
the request read, so what was read last of a key is what stood there.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar

from controller.promise import Promise
from store import keys
from store.client import Delete, KeyValue, Op, Put, TxnResult

NOUNS = tuple(
    kind.prefix()
    for kind in (
        keys.POOLS,
        keys.TENANTS,
        keys.TOKENS,
        keys.JOINS,
        keys.NODES,
        keys.PEERS,
        keys.SERVICES,
        keys.POLICIES,
        keys.DRAINS,
        keys.ENDPOINTS,
    )
)
"""What is told of. Copies below a node, addresses, moves under way, counts and events follow from these."""

ONE_KEY = (Put, Delete)

Change = tuple[bytes | None, bytes | None]
"""Before and after, as stored; None is absent."""


class Trail:
    """The reads and writes of one request."""

    def __init__(self) -> None:
        self._read: dict[str, bytes] = {}
        self._writes: list[tuple[Promise[int], list[tuple[str, Change]]]] = []
        self._given: dict[str, Change] = {}

    def saw(self, item: KeyValue) -> None:
        """The request read this."""
        self._read[item.key] = item.value

    def writes(self, ops: Iterable[Op], applied: Promise[int]) -> None:
        """The request does this, if `applied` will say so."""
        told: list[tuple[str, Change]] = [
            (op.key, (self._read.get(op.key), op.value if isinstance(op, Put) else None))
            for op in ops
            if isinstance(op, ONE_KEY) and op.key.startswith(NOUNS)
        ]
        if told:
            self._writes.append((applied, told))

    def wrote(self, ops: Iterable[Op], result: TxnResult) -> None:
        """The request has done this in a transaction of its own, if that succeeded."""
        applied: Promise[int] = Promise()
        applied.set_result(result.revision if result.succeeded else 0)
        self.writes(ops, applied)

    def gave(self, name: str, before: bytes | None, after: bytes) -> None:
        """The request gave this away, which no store keeps: told of as a change. JSON."""
        self._given[name] = before, after

    def changes(self) -> dict[str, Change]:
        """What was changed, by key: what stood there at first, and what does at last."""
        found = dict(self._given)
        for applied, told in self._writes:
            if applied.done() and not applied.exception() and applied.result():
                for key, (before, after) in told:
                    found[key] = (found[key][0] if key in found else before, after)
        return found


_current: ContextVar[Trail | None] = ContextVar("trail", default=None)


def begin() -> None:
    """Gather from here on what this request does."""
    _current.set(Trail())


def current() -> Trail | None:
    """What is gathered of the request that is handled now; None when nothing is."""
    return _current.get()


def end() -> None:
    """Gather no more."""
    _current.set(None)
