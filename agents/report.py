"""What a program says of its node, kept in the store: a driver for one family of keys.

`StoreDriver` makes the store equal to a mapping, as the kernel's drivers do for the kernel, so that a
program that restarts and finds its reports right writes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from agents.delta import Delta
from agents.driver import Outcome, Unreadable
from store.client import MAX_TXN_OPS, Compare, Delete, Op, Put, Store, Unchanged
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
        guard: what must hold for a value to be written; where it does not, the outcome is RETRY:
            the event that takes the value out of what is desired is on its way. A guarded key may be
            written by other threads too: it is deleted only as it was last seen here.
        keep: whether a key is not to be deleted now, though it is not desired: the outcome is RETRY.
    """

    def __init__(
        self,
        store: Store,
        kind: Kind[V],
        *parts: str,
        guard: Callable[[V], Compare] | None = None,
        keep: Callable[[str], bool] = lambda _key: False,
    ) -> None:
        self._store = store
        self._kind = kind
        self._prefix = kind.prefix(*parts)
        self._guard = guard
        self._keep = keep
        self._seen: dict[str, int] = {}
        """The revision at which each key was last read or written here."""

    def saw(self, key: str, revision: int) -> None:
        """A key was written by another thread, at this revision."""
        self._seen[key] = revision

    def read(self) -> Mapping[str, V]:
        """What the store holds. What does not decode counts as absent and is written over: it is ours."""
        try:
            items = self._store.range(self._prefix).items
        except (Unavailable, PermissionDenied) as fault:
            raise Unreadable(str(fault)) from fault
        self._seen = {item.key: item.mod_revision for item in items}
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
            if self._guard is not None:
                return self._apply_guarded(change, self._guard)
            self._write([*_puts(change.put), *(Delete(key) for key in change.delete)])
        except Unavailable as fault:
            log.warning("cannot report prefix=%s why=%s", self._prefix, fault)
            return Outcome.RETRY
        except (PermissionDenied, Invalid) as fault:
            log.error("report refused prefix=%s why=%s", self._prefix, fault)
            return Outcome.REJECTED
        return Outcome.DONE

    def _write(self, ops: Sequence[Op]) -> None:
        for start in range(0, len(ops), MAX_TXN_OPS):
            self._store.txn((), ops[start : start + MAX_TXN_OPS])

    def _apply_guarded(self, change: Delta[str, V], guard: Callable[[V], Compare]) -> Outcome:
        # Asked after the last read: who wants a key says so before the key is written.
        doomed = [key for key in change.delete if not self._keep(key)]
        for start in range(0, len(doomed), MAX_TXN_OPS):
            if not self._delete_as_seen(doomed[start : start + MAX_TXN_OPS]):
                return Outcome.RESYNC
        written = [self._write_guarded(guard(value), key, value) for key, value in change.put.items()]
        return Outcome.DONE if all(written) and len(doomed) == len(change.delete) else Outcome.RETRY

    def _delete_as_seen(self, keys: Sequence[str]) -> bool:
        compares = [Unchanged(key, self._seen[key]) for key in keys]
        return self._store.txn(compares, [Delete(key) for key in keys]).succeeded

    def _write_guarded(self, guard: Compare, key: str, value: V) -> bool:
        result = self._store.txn((guard,), _puts({key: value}))
        if result.succeeded:
            self._seen[key] = result.revision
        return result.succeeded


def _puts(values: Mapping[str, V]) -> list[Op]:
    return [Put(key, encode(value)) for key, value in values.items()]
