"""What a feed makes of watches that break at awkward moments."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from store import client
from store.client import Change, Changed, KeyValue, Removed
from store.errors import PermissionDenied, Unavailable
from store.feed import Delete, Feed, InSync, Put
from store.memory import MemoryStore


class Script:
    """A watch that brings what it was given, then breaks."""

    def __init__(self, answers: Sequence[tuple[Change, ...]]) -> None:
        self._answers = answers

    def __iter__(self) -> Iterator[tuple[Change, ...]]:
        yield from self._answers
        raise Unavailable("the script ends")

    def close(self) -> None:
        """Nothing is open."""


class ScriptedWatches(MemoryStore):
    """A store whose watches bring what they were given, as those of several prefixes may."""

    def __init__(self, *scripts: Sequence[tuple[Change, ...]]) -> None:
        super().__init__()
        self.scripts = iter(scripts)
        self.starts: list[int] = []

    def watch(self, prefixes: Sequence[str], *, start_revision: int) -> Script:
        self.starts.append(start_revision)
        return Script(next(self.scripts))


def changed(key: str, revision: int) -> Changed:
    return Changed(KeyValue(key, b"", revision, revision))


def quick(store: client.Store, *prefixes: str) -> Feed:
    return Feed(store, prefixes, backoff_s=(0.0, 0.0))


def test_a_prefix_that_was_behind_when_the_watch_broke_misses_nothing() -> None:
    store = ScriptedWatches(
        [(changed("a/1", 10),)],  # what happened to b/ at 9 was still on its way
        [(changed("a/1", 10),), (changed("b/1", 9),), (changed("a/1", 11),)],
    )
    items = iter(quick(store, "a/", "b/"))
    assert [next(items) for _ in range(4)] == [
        InSync(1),
        Put("a/1", b"", 10),
        Put("b/1", b"", 9),
        Put("a/1", b"", 11),
    ]
    assert store.starts == [2, 2]


def test_a_deleted_key_does_not_come_back_when_the_past_is_told_again() -> None:
    past: list[tuple[Change, ...]] = [(changed("a/1", 5),), (Removed("a/1", 6),)]
    store = ScriptedWatches(past, [*past, (changed("a/2", 7),)])
    items = iter(quick(store, "a/", "b/"))
    assert [next(items) for _ in range(4)] == [
        InSync(1),
        Put("a/1", b"", 5),
        Delete("a/1", 6),
        Put("a/2", b"", 7),
    ]


def test_a_watch_starts_behind_what_every_prefix_has_reached() -> None:
    both = [(changed("a/1", 5),), (changed("b/1", 4),)]
    store = ScriptedWatches(both, [(changed("a/1", 6),)])
    items = iter(quick(store, "a/", "b/"))
    assert [next(items) for _ in range(4)][3] == Put("a/1", b"", 6)
    assert store.starts == [2, 5]


def test_a_list_is_as_of_one_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy(MemoryStore):
        """Something is written behind each page that is read."""

        def range(self, prefix: str, *, limit: int = 0, after: str = "", revision: int = 0) -> client.Range:
            page = super().range(prefix, limit=limit, after=after, revision=revision)
            self.txn([], [client.Put("a/4", b""), client.Put("b/2", b"")])
            return page

    monkeypatch.setattr("store.feed.PAGE", 2)
    store = Busy()
    store.txn([], [client.Put(key, b"") for key in ("a/1", "a/2", "a/3", "b/1")])
    batch = next(quick(store, "a/", "b/").batches())
    assert batch == (*(Put(key, b"", 2) for key in ("a/1", "a/2", "a/3", "b/1")), InSync(2))


def test_a_restored_store_is_told_anew_though_a_revision_is_the_same() -> None:
    store, backup = MemoryStore(), MemoryStore()
    store.txn([], [client.Put("a/1", b"before")])
    backup.txn([], [client.Put("a/1", b"restored")])
    items = iter(quick(store, "a/"))
    assert [next(items) for _ in range(2)] == [Put("a/1", b"before", 2), InSync(2)]
    store.txn([], [client.Put("a/2", b"")])
    assert next(items) == Put("a/2", b"", 3)
    store._history = backup._history
    store.set_cluster_id("2")
    assert [next(items) for _ in range(2)] == [Delete("a/2", 2), Put("a/1", b"restored", 2)]


def test_a_store_that_is_restored_between_list_and_watch_is_told_anew() -> None:
    class Restored(MemoryStore):
        """Becomes the backup just before the first watch begins."""

        def watch(self, prefixes: Sequence[str], *, start_revision: int) -> client.Watch:
            if self.cluster_id() == "1":
                self._history = backup._history
                self.set_cluster_id("2")
            return super().watch(prefixes, start_revision=start_revision)

    store, backup = Restored(), MemoryStore()
    store.txn([], [client.Put("a/1", b"before"), client.Put("a/2", b"")])
    backup.txn([], [client.Put("a/1", b"restored")])
    feed = quick(store, "a/")
    batches = feed.batches()
    assert len(next(batches)) == 3
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(next, batches)
        try:
            assert told.result(5) == (Delete("a/2", 2), Put("a/1", b"restored", 2), InSync(2))
        finally:
            feed.close()


def test_a_lost_store_is_told_once_in_the_log_and_nothing_in_the_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "store.feed")
    store = MemoryStore()
    feed = Feed(store, ["a/"], backoff_s=(0.001, 0.001))
    assert not feed.connected
    seen: list[object] = []
    got = threading.Semaphore(0)

    def iterate() -> None:
        for item in feed:
            seen.append(item)
            got.release()

    thread = threading.Thread(target=iterate)
    thread.start()
    assert got.acquire(timeout=5)
    assert feed.connected
    store.set_available(False)
    until = time.monotonic() + 5
    while feed.connected:
        assert time.monotonic() < until
        thread.join(0.001)
    store.set_available(True)
    revision = store.txn([], [client.Put("a/1", b"")]).revision
    assert got.acquire(timeout=5)
    assert feed.connected
    feed.close()
    thread.join(1)
    assert not thread.is_alive()
    assert seen == [InSync(1), Put("a/1", b"", revision)]
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO"]


def test_a_store_that_never_answered_is_told_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Away(MemoryStore):
        """Does not answer the first three times."""

        asked = 0

        def range(self, prefix: str, *, limit: int = 0, after: str = "", revision: int = 0) -> client.Range:
            self.asked += 1
            if self.asked <= 3:
                raise Unavailable("is it running?")
            return super().range(prefix, limit=limit, after=after, revision=revision)

    caplog.set_level(logging.INFO, "store.feed")
    assert next(iter(quick(Away(), "a/"))) == InSync(1)
    assert [record.getMessage() for record in caplog.records] == [
        "feed waits for the store why=is it running?",
        "feed has the store prefixes=a/",
    ]


def test_closing_ends_a_pause() -> None:
    store = MemoryStore()
    store.set_available(False)
    feed = Feed(store, ["a/"], backoff_s=(60.0, 60.0))
    thread = threading.Thread(target=lambda: list(feed))
    thread.start()
    thread.join(0.05)
    feed.close()
    thread.join(1)
    assert not thread.is_alive()


def test_a_refusal_is_final() -> None:
    class Refusing(MemoryStore):
        def range(self, prefix: str, *, limit: int = 0, after: str = "", revision: int = 0) -> client.Range:
            raise PermissionDenied(prefix)

    with pytest.raises(PermissionDenied):
        next(iter(Feed(Refusing(), ["a/"])))
