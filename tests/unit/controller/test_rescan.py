"""What is looked at again and again: as a scan would find it, and decoded once for each change."""

from __future__ import annotations

import logging

import pytest

from controller import rescan
from controller.reading import decodable, put, scan
from controller.rescan import Rescan
from store import keys
from store.client import Delete, KeyValue, Put
from store.memory import MemoryStore
from store.model import Node


def test_each_look_finds_what_a_scan_does_and_decodes_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    store, decoded = MemoryStore(), list[str]()

    def spy(kind: keys.Kind[Node], items: list[KeyValue]) -> object:
        decoded.extend(item.key for item in items)
        return decodable(kind, items)

    monkeypatch.setattr(rescan, "decodable", spy)
    nodes = Rescan(store, keys.NODES)
    assert nodes.look() == []
    store.txn([], [put(keys.NODES, Node(name=name, asn=64512), name) for name in ("a", "b", "c")])
    assert nodes.look() == list(scan(store, keys.NODES).items)
    decoded.clear()
    assert nodes.look() == list(scan(store, keys.NODES).items)
    assert decoded == []
    changed = put(keys.NODES, Node(name="b", asn=64513), "b")
    store.txn([], [changed, Delete(keys.NODES.key("c"))])
    assert [found.value.asn for found in nodes.look()] == [64512, 64513]
    assert decoded == [changed.key]
    store.txn([], [changed])
    assert nodes.look() == list(scan(store, keys.NODES).items), (
        "the revision of a proof is the one it has now"
    )


def test_what_does_not_decode_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    store.txn([], [Put(keys.NODES.key("bad"), b"not json")])
    nodes = Rescan(store, keys.NODES)
    with caplog.at_level(logging.ERROR):
        assert nodes.look() == nodes.look() == []
    assert [record.getMessage().split()[0] for record in caplog.records] == ["event=corrupt-value"]
    store.txn([], [put(keys.NODES, Node(name="bad", asn=64512), "bad")])
    assert [found.value.name for found in nodes.look()] == ["bad"]
