"""What a program knows of its store: nothing it may not believe, and what the kernel says at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.belief import Belief, was_heard
from agents.knowledge import Knowledge
from intent.mtu import Mtus
from intent.snapshot import watched
from lab.wait import wait_until
from store import keys
from store.client import Delete, Put
from store.codec import encode
from store.memory import MemoryStore
from store.model import Cluster
from tests.support.cluster import NODE, endpoint, key_of, pool

SOON_S = 5.0
WEB = endpoint().model_copy(update={"mtu_bytes": None})


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    made = MemoryStore()
    values = {key_of(each): each for each in (pool(), WEB)}
    values[keys.CLUSTER.key()] = Cluster(id="1", nonce="a" * 16)
    made.txn((), [Put(key, encode(value)) for key, value in values.items()])
    yield made
    made.close()


@pytest.fixture
def knowledge(store: MemoryStore, tmp_path: Path) -> Iterator[Knowledge]:
    made = Knowledge(store, NODE, lambda: None, Belief(tmp_path / "belief.json", was_heard), watched(NODE))
    yield made
    made.stop()


def mtu(knowledge: Knowledge) -> int | None:
    snapshot = knowledge.snapshot()
    assert snapshot is not None
    return snapshot.endpoints["web"].mtu_bytes


def test_what_the_kernel_says_is_known_at_once_but_with_nothing_that_is_doubted(
    store: MemoryStore, knowledge: Knowledge
) -> None:
    knowledge.measure(Mtus(9000))
    assert knowledge.snapshot() is None, "the store was not read yet"
    assert not knowledge.wait_for(lambda snapshot: True, 0)
    assert knowledge.believes == ""
    knowledge.start()
    assert knowledge.wait_for(lambda snapshot: "web" in snapshot.endpoints, SOON_S)
    assert (mtu(knowledge), knowledge.believes) == (9000, "a" * 16)
    knowledge.measure(Mtus(1400))
    assert mtu(knowledge) == 1400
    store.set_cluster_id("2")
    wait_until(lambda: knowledge.waits_for, SOON_S, "doubt")
    store.txn((), (Delete(key_of(WEB)), Put(keys.POOLS.key("default"), encode(pool()))))
    knowledge.measure(Mtus(1300))
    assert (mtu(knowledge), knowledge.believes) == (1400, "")
