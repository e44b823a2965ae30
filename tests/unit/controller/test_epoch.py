"""A controller that sees a restore refuses until the store is completed, and not for longer."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from controller.epoch import NOT_COMPLETED, Epoch, fresh_cluster
from controller.events import Events
from controller.reading import put, read
from controller.restoring import Restoring
from store import keys
from store.errors import Restored
from store.memory import MemoryStore
from store.model import Alive, Program

NOW = datetime(2026, 1, 1, tzinfo=UTC)


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


def test_an_agent_that_doubts_the_store_is_believed_by_a_controller_that_saw_nothing(
    store: MemoryStore,
) -> None:
    epoch = Epoch(store, lambda: 0.0)
    epoch.check()
    duty = Restoring(store, epoch, lambda: NOW, Events(store, lambda: NOW))
    first = read(store, keys.CLUSTER)
    assert first is not None
    for nonce, doubted in (("", False), ("of-another", False), (first.value.nonce, True)):
        alive = Alive(node="node-1", program=Program.AGENT, boot_id="b", started=NOW, waits_for=nonce)
        store.txn([], [put(keys.ALIVE, alive, "node-1", "agent")])
        duty.turn()
        stored = read(store, keys.CLUSTER)
        assert stored is not None
        assert (stored.value.id == NOT_COMPLETED) is doubted, nonce
    with pytest.raises(Restored):
        Epoch(store, lambda: 0.0).check()
