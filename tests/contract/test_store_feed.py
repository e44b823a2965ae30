"""What a feed promises, over both stores: a list, its InSync, then every change once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address

import pytest

from store import client, keys
from store.client import Store
from store.codec import encode
from store.feed import Delete, Feed, InSync, Item, LeftOut, Put, decoded, decoded_batches
from store.model import Alive, Peer, Program

pytest_plugins = ["tests.support.etcd"]


@pytest.fixture
def feed(store: Store, prefix: str) -> Iterator[Feed]:
    """A feed of two prefixes that fails its test by ending when nothing comes for ten seconds."""
    feed = Feed(store, [prefix + "a/", prefix + "b/"])
    timer = threading.Timer(10, feed.close)
    timer.start()
    yield feed
    timer.cancel()
    feed.close()


def put(store: Store, *names: str, value: bytes = b"v") -> int:
    return store.txn([], [client.Put(name, value) for name in names]).revision


def until_in_sync(items: Iterator[Item]) -> list[Item]:
    seen: list[Item] = []
    for item in items:
        seen.append(item)
        if isinstance(item, InSync):
            return seen
    pytest.fail(f"the feed ended without InSync after {seen}")


def test_in_sync_comes_after_the_list(store: Store, prefix: str, feed: Feed) -> None:
    old = put(store, prefix + "b/1", value=b"old")
    new = put(store, prefix + "a/1", prefix + "a/2", value=b"new")
    put(store, prefix + "c/1")
    now = store.range(prefix).revision
    assert until_in_sync(iter(feed)) == [
        Put(prefix + "a/1", b"new", new),
        Put(prefix + "a/2", b"new", new),
        Put(prefix + "b/1", b"old", old),
        InSync(now),
    ]
    assert feed.connected


def test_an_empty_store_is_in_sync_too(store: Store, prefix: str, feed: Feed) -> None:
    assert until_in_sync(iter(feed)) == [InSync(store.range(prefix).revision)]


def test_changes_follow_the_list_once_each(store: Store, prefix: str, feed: Feed) -> None:
    put(store, prefix + "a/1")
    items = iter(feed)
    until_in_sync(items)
    first = put(store, prefix + "a/1", value=b"2")
    assert next(items) == Put(prefix + "a/1", b"2", first)
    put(store, prefix + "c/1")
    gone = store.txn([], [client.Delete(prefix + "a/1")]).revision
    assert next(items) == Delete(prefix + "a/1", gone)
    last = put(store, prefix + "a/1", value=b"3")
    assert next(items) == Put(prefix + "a/1", b"3", last)


def test_a_transaction_is_one_batch(store: Store, prefix: str, feed: Feed) -> None:
    put(store, prefix + "a/1")
    batches = feed.batches()
    next(batches)
    ops = [client.Put(prefix + "a/2", b""), client.Delete(prefix + "a/1")]
    revision = store.txn([], ops).revision
    assert next(batches) == (Put(prefix + "a/2", b"", revision), Delete(prefix + "a/1", revision))


def test_a_list_after_compaction_tells_the_difference_exactly(store: Store, prefix: str, feed: Feed) -> None:
    put(store, prefix + "a/gone", prefix + "a/same", prefix + "a/changed", prefix + "b/again")
    items = iter(feed)
    until_in_sync(items)
    store.txn([], [client.Delete(prefix + "a/gone"), client.Delete(prefix + "b/again")])
    put(store, prefix + "a/brief")
    store.txn([], [client.Delete(prefix + "a/brief")])
    again = put(store, prefix + "b/again")
    changed = put(store, prefix + "a/changed")
    store.compact(changed)
    assert until_in_sync(items) == [
        Delete(prefix + "a/gone", changed),
        Put(prefix + "a/changed", b"v", changed),
        Put(prefix + "b/again", b"v", again),
        InSync(changed),
    ]
    last = put(store, prefix + "a/last")
    assert next(items) == Put(prefix + "a/last", b"v", last)


def test_what_was_deleted_at_the_compacted_revision_is_told(store: Store, prefix: str, feed: Feed) -> None:
    put(store, prefix + "a/gone", prefix + "a/same")
    items = iter(feed)
    until_in_sync(items)
    gone = store.txn([], [client.Delete(prefix + "a/gone")]).revision
    store.compact(gone)
    assert until_in_sync(items) == [Delete(prefix + "a/gone", gone), InSync(gone)]


def test_a_list_on_demand_tells_nothing_twice(store: Store, prefix: str, feed: Feed) -> None:
    put(store, prefix + "a/1")
    items = iter(feed)
    until_in_sync(items)
    change = put(store, prefix + "a/2")
    assert next(items) == Put(prefix + "a/2", b"v", change)
    feed.relist()
    assert until_in_sync(items) == [InSync(change)]


def test_the_list_is_made_again_by_itself(store: Store, prefix: str) -> None:
    feed = Feed(store, [prefix], relist_s=0.05)
    items = iter(feed)
    put(store, prefix + "a")
    assert len(until_in_sync(items)) == 2
    assert len(until_in_sync(items)) == 1
    feed.close()


def test_a_list_of_many_pages(store: Store, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.feed.PAGE", 3)
    names = [f"{prefix}{number}" for number in range(10)]
    put(store, *names)
    feed = Feed(store, [prefix])
    listed = until_in_sync(iter(feed))
    assert [item.key for item in listed if isinstance(item, Put)] == names
    feed.close()


def test_prefixes_that_cover_each_other_are_told_once(store: Store, prefix: str) -> None:
    revision = put(store, prefix + "a/1")
    feed = Feed(store, [prefix + "a/1", prefix, prefix + "a/"])
    items = iter(feed)
    assert until_in_sync(items) == [Put(prefix + "a/1", b"v", revision), InSync(revision)]
    first, second = put(store, prefix + "a/1"), put(store, prefix + "z")
    assert [next(items), next(items)] == [Put(prefix + "a/1", b"v", first), Put(prefix + "z", b"v", second)]
    feed.close()


@pytest.mark.parametrize("before", ["the first item", "a change"])
def test_closing_from_another_thread_ends_the_iteration(
    store: Store, prefix: str, feed: Feed, before: str
) -> None:
    in_sync = threading.Event()
    seen: list[Item] = []

    def iterate() -> None:
        for item in feed:
            seen.append(item)
            in_sync.set()

    thread = threading.Thread(target=iterate)
    if before == "a change":
        thread.start()
        assert in_sync.wait(5)
    feed.close()
    if before == "the first item":
        thread.start()
    thread.join(1)
    assert not thread.is_alive()
    assert len(seen) == (before == "a change")


def test_decoded_values_and_what_does_not_decode(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer(name="feed-test", address=IPv4Address("192.0.2.1"), asn=64501)
    key = keys.PEERS.key("feed-test")
    alive = Alive(node="feed-test", program=Program.AGENT, boot_id="x", started=datetime.now(UTC))
    first = store.txn(
        [], [client.Put(key, encode(peer)), client.Put(keys.leader("feed-test"), b"?")]
    ).revision
    feed = Feed(store, [key, keys.leader("feed-test"), keys.ALIVE.prefix("feed-test")])
    items = decoded(feed)
    assert [next(items), next(items)] == [Put(key, peer, first), InSync(first)]
    corrupt = put(store, key, value=b'{"v":1,"name":"feed-test"}')
    assert next(items) == Delete(key, corrupt)
    assert key in caplog.text
    put(store, key, value=b"not JSON either")
    store.txn([], [client.Delete(key)])
    last = put(store, keys.ALIVE.key("feed-test", "agent"), value=encode(alive))
    assert next(items) == Put(keys.ALIVE.key("feed-test", "agent"), alive, last)
    feed.close()
    store.txn([], [client.DeletePrefix(keys.ALIVE.prefix("feed-test"))])


def test_what_nobody_asks_for_is_not_decoded_and_its_revision_is_told(store: Store) -> None:
    peer = Peer(name="feed-test", address=IPv4Address("192.0.2.1"), asn=64501)
    key, other = keys.PEERS.key("feed-test"), keys.ALIVE.key("feed-test", "agent")
    first = store.txn([], [client.Put(key, encode(peer)), client.Put(other, b"not even JSON")]).revision
    feed = Feed(store, [key, other])
    batches = decoded_batches(feed, without={Alive})
    assert [*next(batches)] == [LeftOut(first), Put(key, peer, first), InSync(first)]
    again = put(store, other, value=b"nor this")
    assert next(batches) == (LeftOut(again),)
    store.txn([], [client.Delete(other)])
    last = store.txn([], [client.Delete(key)]).revision
    assert next(batches) == (Delete(key, last),), "what was left out does not go either"
    feed.close()


def test_two_feeds_of_one_store_see_the_same(new_store: Callable[[], Store], prefix: str) -> None:
    one, two = new_store(), new_store()
    put(one, prefix + "a")
    feeds = [Feed(one, [prefix]), Feed(two, [prefix])]
    assert until_in_sync(iter(feeds[0])) == until_in_sync(iter(feeds[1]))
    for feed in feeds:
        feed.close()
