"""A rehearsal reads as the store would after the same writes, and leaves the store alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.rehearsal import Rehearsal
from store.client import Delete, DeletePrefix, Op, Put, Store
from store.memory import MemoryStore

keys = st.text("ab/", min_size=1, max_size=3)
values = st.binary(max_size=2)
puts = st.builds(Put, keys, values, st.just(0))
ops = st.one_of(puts, st.builds(Delete, keys), st.builds(DeletePrefix, keys))


@given(
    st.lists(puts, max_size=8),
    st.lists(ops, max_size=8),
    st.lists(keys, max_size=8),
    keys,
    keys,
    st.integers(0, 3),
)
def test_it_reads_as_the_store_would(
    there: list[Put], written: list[Op], read_before: list[str], prefix: str, after: str, limit: int
) -> None:
    stored, real = MemoryStore(), MemoryStore()
    for op in there:
        stored.txn((), (op,))
        real.txn((), (op,))
    rehearsal = Rehearsal(stored)
    before = stored.range("")
    for number, each in enumerate(written):
        for read in read_before[number : number + 1]:
            assert pages(rehearsal, read, "", 0) == pages(real, read, "", 0)
        assert rehearsal.txn((), (each,)).succeeded
        real.txn((), (each,))
    everything = sorted({key for op in (*there, *written) for key in named(op)} | {prefix})
    assert [held(rehearsal, key) for key in everything] == [held(real, key) for key in everything]
    many = rehearsal.get_many(everything)
    assert {key: item.value for key, item in many.items()} == {
        key: item.value for key, item in real.get_many(everything).items()
    }
    assert pages(rehearsal, prefix, after, limit) == pages(real, prefix, after, limit)
    assert stored.range("") == before
    gone = {item.key for item in before.items if rehearsal.removes(item.key)}
    assert gone == {item.key for item in before.items if real.get(item.key) is None}


def test_a_lease_that_is_revoked_stays() -> None:
    stored = MemoryStore()
    stored.txn((), (Put("a", b"", lease := stored.grant(9)),))
    Rehearsal(stored).revoke(lease)
    assert stored.get("a") is not None


def named(op: Op) -> list[str]:
    return [] if isinstance(op, DeletePrefix) else [op.key]


def held(store: Store, key: str) -> bytes | None:
    item = store.get(key)
    return item.value if item is not None else None


def pages(store: Store, prefix: str, after: str, limit: int) -> list[tuple[str, bytes]]:
    found = []
    more = True
    while more:
        page = store.range(prefix, limit=limit, after=after)
        found += [(item.key, item.value) for item in page.items]
        more, after = page.more, page.items[-1].key if page.more else after
    return found
