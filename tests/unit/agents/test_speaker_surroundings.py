"""What an edge knows of all nodes: as the believed store had it last, never as a restored backup has it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from agents.speaker.surroundings import Surroundings
from lab.wait import wait_until
from store import keys
from store.client import Delete, Put
from store.codec import encode
from store.memory import MemoryStore
from store.model import Block, Cluster, Node, Value

SOON_S = 5.0
BLOCK = ip_network("10.64.0.0/26")
PLACE = keys.NODE_BLOCKS.key("node-2", BLOCK)


class Site:
    """A store, what is believed of it, and the surroundings of an edge."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.believes = "0" * 16
        self.changed = threading.Event()
        self.put(keys.NODES.key("node-2"), Node(name="node-2", asn=64512))
        self.put(PLACE, Block(cidr=BLOCK, pool="default", node="node-2"))
        self.is_of("0" * 16)
        self.around = Surroundings(self.store, self.changed.set, lambda: self.believes)

    def put(self, key: str, value: Value) -> None:
        self.store.txn((), (Put(key, encode(value)),))

    def is_of(self, nonce: str, cluster_id: str = "") -> None:
        """What the store says of itself."""
        own = self.store.cluster_id().partition(".")[0]
        self.put(keys.CLUSTER.key(), Cluster(id=cluster_id or own, nonce=nonce))

    def blocks(self) -> set[str] | None:
        members = self.around.members()
        return None if members is None else {str(one) for one in members["node-2"].snapshot.blocks}

    def blocks_are(self, *expected: str) -> None:
        wait_until(self.blocks, SOON_S, "the blocks", good=set(expected).__eq__)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.around.stop()


@pytest.mark.parametrize("cluster_id", ["", "abc"])
def test_a_restored_backup_counts_once_it_is_believed(site: Site, cluster_id: str) -> None:
    site.blocks_are(str(BLOCK))
    site.changed.clear()
    site.is_of("1" * 16, cluster_id)
    site.store.txn((), (Delete(PLACE),))
    assert site.changed.wait(SOON_S)
    wait_until(lambda: site.around._read, SOON_S, "it to be read", good=_is_of("1" * 16))
    assert site.blocks() == {str(BLOCK)}
    site.is_of("1" * 16)
    site.believes = "1" * 16
    site.blocks_are()


def test_nothing_is_known_before_the_store_is_believed(site: Site) -> None:
    site.believes = ""
    assert site.changed.wait(SOON_S)
    assert site.blocks() is None
    site.believes = "0" * 16
    assert site.blocks() == {str(BLOCK)}


def _is_of(nonce: str) -> Callable[[Any], bool]:
    return lambda read: read[0].nonce == nonce and not read[1]["node-2"].snapshot.blocks
