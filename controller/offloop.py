"""The store, for requests in the thread of the event loop: see `controller.waiting`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from controller.waiting import aside
from store.client import Compare, KeyValue, Op, Range, Store, TxnResult, Watch


class OffLoop:
    """The Store protocol over another store, whose blocking calls are made off the loop's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str) -> KeyValue | None:
        return aside(self._store.get, key)

    def range(self, prefix: str, *, limit: int = 0, after: str = "", revision: int = 0) -> Range:
        return aside(lambda: self._store.range(prefix, limit=limit, after=after, revision=revision))

    def get_many(self, keys: Sequence[str]) -> Mapping[str, KeyValue]:
        return aside(self._store.get_many, keys)

    def count(self, prefixes: Sequence[str]) -> list[int]:
        return aside(self._store.count, prefixes)

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        return aside(self._store.txn, compares, ops)

    def watch(
        self,
        prefixes: Sequence[str],
        *,
        start_revision: int,
        previous: bool = False,
        in_order: bool = False,
        removals: Sequence[str] = (),
    ) -> Watch:
        return self._store.watch(
            prefixes,
            start_revision=start_revision,
            previous=previous,
            in_order=in_order,
            removals=removals,
        )

    def grant(self, ttl_s: int) -> int:
        return aside(self._store.grant, ttl_s)

    def keep_alive(self, lease_id: int) -> int:
        return aside(self._store.keep_alive, lease_id)

    def revoke(self, lease_id: int) -> None:
        aside(self._store.revoke, lease_id)

    def compact(self, revision: int) -> None:
        aside(self._store.compact, revision)

    def cluster_id(self) -> str:
        return aside(self._store.cluster_id)

    def close(self) -> None:
        self._store.close()
