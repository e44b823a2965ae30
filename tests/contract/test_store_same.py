"""Memory does what etcd does: random transactions have the same results on both."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.etcd import EtcdServer
from store.client import (
    Absent,
    Compare,
    Delete,
    DeletePrefix,
    Exists,
    Op,
    PrefixEmpty,
    PrefixUnwritten,
    Put,
    Store,
    Unchanged,
)
from store.errors import Invalid
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from store.memory import MemoryStore

pytest_plugins = ["tests.support.etcd"]
pytestmark = pytest.mark.needs("etcd", "etcdctl")

_runs = itertools.count()
names = st.sampled_from(["a", "ab", "ab/c", "b", "b/é", "\u00ff"])
revisions = st.integers(0, 12)  # relative to the first
compares = st.one_of(
    st.builds(Absent, names),
    st.builds(Exists, names),
    st.builds(Unchanged, names, revisions),
    st.builds(PrefixEmpty, names),
    st.builds(PrefixUnwritten, names, revisions),
)
ops = st.one_of(
    st.builds(Put, names, st.binary(max_size=3), st.just(0)),
    st.builds(Delete, names),
    st.builds(DeletePrefix, names),
)
scripts = st.lists(st.tuples(st.lists(compares, max_size=2), st.lists(ops, max_size=4)), max_size=12)


class Relative:
    """A store under a prefix of its own, with revisions counted from where it began."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._first = store.range(prefix).revision

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> object:
        try:
            result = self._store.txn(
                [self._compare(each) for each in compares], [self._op(each) for each in ops]
            )
        except Invalid:
            return "invalid"
        return result.succeeded, result.revision - self._first

    def content(self) -> list[tuple[str, bytes, int, int]]:
        return [
            (
                item.key[len(self._prefix) :],
                item.value,
                item.create_revision - self._first,
                item.mod_revision - self._first,
            )
            for item in self._store.range(self._prefix).items
        ]

    def changes(self, count: int) -> list[tuple[str, bool, int]]:
        """The first changes since the beginning: key, whether it was put, revision."""
        seen: list[tuple[str, bool, int]] = []
        if not count:
            return seen
        watch = self._store.watch([self._prefix], start_revision=self._first + 1)
        for batch in watch:
            for change in batch:
                item = getattr(change, "item", None)
                key = item.key if item else change.key
                revision = item.mod_revision if item else change.revision
                seen.append((key[len(self._prefix) :], item is not None, revision - self._first))
            if seen[-1][2] >= count:
                break
        watch.close()
        return seen

    def _compare(self, compare: Compare) -> Compare:
        match compare:
            case Absent(key):
                return Absent(self._prefix + key)
            case Exists(key):
                return Exists(self._prefix + key)
            case Unchanged(key, revision):
                return Unchanged(self._prefix + key, self._first + revision)
            case PrefixEmpty(prefix):
                return PrefixEmpty(self._prefix + prefix)
            case PrefixUnwritten(prefix, revision):
                return PrefixUnwritten(self._prefix + prefix, self._first + revision)

    def _op(self, op: Op) -> Op:
        match op:
            case Put(key, value):
                return Put(self._prefix + key, value)
            case Delete(key):
                return Delete(self._prefix + key)
            case DeletePrefix(prefix):
                return DeletePrefix(self._prefix + prefix)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=scripts)
def test_random_transactions_have_the_same_results(
    etcd: EtcdServer, script: list[tuple[list[Compare], list[Op]]]
) -> None:
    store = EtcdStore(EtcdConfig(etcd.endpoints))
    memory = MemoryStore()
    prefix = f"/same/{next(_runs)}/"
    real, ours = Relative(store, prefix), Relative(memory, prefix)
    for compares, ops in script:
        assert ours.txn(compares, ops) == real.txn(compares, ops)
        assert ours.content() == real.content()
    written = memory.range("").revision - 1
    assert ours.changes(written) == real.changes(written)
    store.close()
