"""A controller that sees a restore refuses until the store is completed, and not for longer."""

from __future__ import annotations

import pytest

from controller.epoch import Epoch, fresh_cluster
from controller.reading import put
from store import keys
from store.errors import Restored
from store.memory import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def complete(store: MemoryStore) -> None:
    store.txn([], [put(keys.CLUSTER, fresh_cluster(store, ["node-1"]))])


@pytest.mark.parametrize("cluster", ["2", "1.1"])
def test_it_is_believed_again_when_it_is_completed(store: MemoryStore, cluster: str) -> None:
    epoch = Epoch(store, lambda: 0.0)
    epoch.check()
    store.set_cluster_id(cluster)
    for _ in range(2):
        with pytest.raises(Restored):
            epoch.check()
    assert epoch.doubted
    complete(store)
    epoch.check()
    assert epoch.doubted is None


def test_one_that_was_completed_while_nobody_looked_is_believed_at_once(store: MemoryStore) -> None:
    epoch = Epoch(store, lambda: 0.0)
    epoch.check()
    store.set_cluster_id("2")
    complete(store)
    epoch.check()
    assert epoch.doubted is None
