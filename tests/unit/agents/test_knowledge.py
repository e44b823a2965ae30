"""What a program knows of its store: nothing it may not believe, and what the kernel says at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agents.belief import Belief, was_heard
from agents.knowledge import Knowledge
from intent.mtu import Mtus
from intent.snapshot import watched
from lab.wait import wait_until
from store import keys
from store.client import Change, Changed, Delete, Put
from store.codec import encode
from store.memory import MemoryStore, MemoryWatch
from store.model import Cluster
from tests.support.cluster import NODE, endpoint, key_of, pool

SOON_S = 5.0
OTHER = endpoint("other", "10.64.0.2").model_copy(update={"mtu_bytes": None})
WEB = endpoint().model_copy(update={"mtu_bytes": None})


class Late(MemoryWatch):
    """Does not come to tell of the node's own keys, as a watch may that tells each prefix for itself."""

    def __iter__(self) -> Iterator[tuple[Change, ...]]:
        for changes in super().__iter__():
            yield tuple(each for each in changes if not _key(each).startswith(keys.node_prefix(NODE)))


class LateStore(MemoryStore):
    """Its watches are `Late`."""

    def watch(self, prefixes: Sequence[str], *, start_revision: int, **_: object) -> Late:
        return Late(self, tuple(prefixes), start_revision, previous=False, removals=())


def _key(change: Change) -> str:
    return change.item.key if isinstance(change, Changed) else change.key


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    made = LateStore()
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


def test_a_completed_store_is_known_with_all_that_was_adopted_though_the_watch_tells_that_later(
    store: MemoryStore, knowledge: Knowledge
) -> None:
    knowledge.start()
    assert knowledge.wait_for(lambda snapshot: "web" in snapshot.endpoints, SOON_S)
    store.set_cluster_id("2")
    wait_until(lambda: knowledge.waits_for, SOON_S, "doubt")
    store.txn((), (Put(key_of(OTHER), encode(OTHER)),))
    heard = Cluster(id="2", nonce="b" * 16, heard=(NODE,))
    store.txn((), (Put(keys.CLUSTER.key(), encode(heard)),))
    assert knowledge.wait_for(lambda snapshot: snapshot.cluster == heard, SOON_S)
    snapshot = knowledge.snapshot()
    assert snapshot is not None
    assert snapshot.endpoints.keys() == {"web", "other"}
    assert (knowledge.believes, knowledge.waits_for) == ("b" * 16, "")
