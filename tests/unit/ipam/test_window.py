"""Many units in few transactions: none is lost where a load is full, and the last comes after all others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controller.ipam.committer import Committer
from controller.ipam.unit import Unit
from controller.ipam.window import FULL, UNDER_WAY, Window
from store.client import Absent, Put
from store.memory import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def window(store: MemoryStore) -> Iterator[Window[str]]:
    committer = Committer(store, pauses_s=(0, 0, 0))
    yield Window(committer)
    committer.close()


def new(key: str) -> Unit:
    return Unit((Absent(key),), (Put(key, b""),))


@pytest.mark.parametrize("count", [1, FULL - 1, FULL, FULL + 1, FULL * (UNDER_WAY + 2)])
def test_all_are_applied_and_the_last_behind_them(
    store: MemoryStore, window: Window[str], count: int
) -> None:
    names = [f"k/{number:05}" for number in range(count)]
    for name in names:
        window.submit(new(name), name)
    assert window.drain((new("last"), "last")) == [*names, "last"]
    items = store.range("k/").items
    last = store.get("last")
    assert [item.key for item in items] == names
    assert last is not None
    assert last.mod_revision >= max(item.mod_revision for item in items)
    assert window.drain() == [], "since the time before"


def test_one_that_loses_takes_no_other_along(store: MemoryStore, window: Window[str]) -> None:
    store.txn((), (Put("b", b"another's"),))
    for name in "abc":
        window.submit(new(name), name)
    assert window.drain() == ["a", "c"]
    assert not window.lease_expired
