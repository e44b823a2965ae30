"""What a program says of its node, kept in the store: a driver for one family of keys.

`StoreDriver` makes the store equal to a mapping, as the kernel's drivers do for the kernel, so that a
program that restarts and finds its reports right writes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from agents.delta import Delta
from agents.driver import Outcome, Unreadable
from store.client import MAX_TXN_OPS, Compare, Delete, Op, Put, Store
from store.codec import decode, encode
from store.errors import Corrupt, Invalid, PermissionDenied, Unavailable
from store.keys import Kind
from store.model import Value

log = logging.getLogger(__name__)

V = TypeVar("V", bound=Value)


class StoreDriver(Generic[V]):
    """The keys of one kind below one prefix, as a mapping from key to value.

    Args:
        store: the store.
        kind: the family of keys.
        parts: the first parts of the keys that are this program's own: `("node-1",)`.
        guard: what must hold for a value to be written; a value whose guard fails is left out, silently:
            the next event tells why.
    """

    def __init__(
        self, store: Store, kind: Kind[V], *parts: str, guard: Callable[[V], Compare] | None = None
    ) -> None:
        self._store = store
        self._kind = kind
        self._prefix = kind.prefix(*parts)
        self._guard = guard

    def read(self) -> Mapping[str, V]:
        """What the store holds. A value that does not decode counts as absent and is written over: it is ours."""
        try:
            items = self._store.range(self._prefix).items
        except (Unavailable, PermissionDenied) as fault:
            raise Unreadable(str(fault)) from fault
        found = {}
        for item in items:
            if self._kind.parts(item.key) is None:
                continue
            try:
                found[item.key] = decode(self._kind.model, item.value, key=item.key)
            except Corrupt as fault:
                log.warning("unreadable report: %s", fault)
        return found

    def apply(self, change: Delta[str, V]) -> Outcome:
        """Write the change, in as few transactions as it takes."""
        try:
            for key, value in change.put.items() if self._guard else ():
                self._put_guarded(key, value)
            ops: list[Op] = (
                [] if self._guard else [Put(key, encode(value)) for key, value in change.put.items()]
            )
            ops += [Delete(key) for key in change.delete]
            for chunk in _chunks(ops):
                self._store.txn((), chunk)
        except Unavailable as fault:
            log.warning("cannot report prefix=%s why=%s", self._prefix, fault)
            return Outcome.RETRY
        except (PermissionDenied, Invalid) as fault:
            log.error("report refused prefix=%s why=%s", self._prefix, fault)  # noqa: TRY400
            return Outcome.REJECTED
        return Outcome.DONE

    def _put_guarded(self, key: str, value: V) -> None:
        assert self._guard is not None  # noqa: S101
        result = self._store.txn((self._guard(value),), (Put(key, encode(value)),))
        if not result.succeeded:
            log.info("not reported, no longer wanted key=%s", key)


def _chunks(ops: Sequence[Op]) -> Iterator[Sequence[Op]]:
    for start in range(0, len(ops), MAX_TXN_OPS):
        yield ops[start : start + MAX_TXN_OPS]
