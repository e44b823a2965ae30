"""What every Store promises, run against both: memory and a real etcd."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from store.client import (
    MAX_TXN_OPS,
    Absent,
    Change,
    Changed,
    Compare,
    Delete,
    DeletePrefix,
    Exists,
    Op,
    PrefixEmpty,
    PrefixUnwritten,
    Put,
    Removed,
    Store,
    Unchanged,
    Watch,
)
from store.errors import Compacted, Invalid, LeaseExpired, Unavailable

pytest_plugins = ["tests.support.etcd"]

NO_SUCH_LEASE = 12345678


def put(store: Store, *keys: str, value: bytes = b"v") -> int:
    """Write keys in one transaction; returns its revision."""
    return store.txn([], [Put(key, value) for key in keys]).revision


def mod_revision(store: Store, key: str) -> int:
    item = store.get(key)
    assert item is not None
    return item.mod_revision


def take(watch: Watch, count: int) -> list[Change]:
    """The next `count` changes; a watch that never brings them hangs here and fails by closing."""
    timer = threading.Timer(10, watch.close)
    timer.start()
    try:
        seen: list[Change] = []
        for changes in watch:
            seen.extend(changes)
            if len(seen) >= count:
                break
        return seen
    finally:
        timer.cancel()


def names(changes: Sequence[Change]) -> list[tuple[str, str]]:
    return [
        ("put", change.item.key) if isinstance(change, Changed) else ("del", change.key) for change in changes
    ]


def test_get_of_an_absent_key_is_none(store: Store, prefix: str) -> None:
    assert store.get(prefix + "a") is None


def test_get_returns_what_was_put_last(store: Store, prefix: str) -> None:
    first = put(store, prefix + "a", value=b"1")
    second = put(store, prefix + "a", value=b"\x00\xff2")
    item = store.get(prefix + "a")
    assert item is not None
    assert (item.key, item.value, item.lease_id) == (prefix + "a", b"\x00\xff2", 0)
    assert (item.create_revision, item.mod_revision) == (first, second)


def test_a_key_put_again_after_deletion_is_a_new_one(store: Store, prefix: str) -> None:
    put(store, prefix + "a")
    store.txn([], [Delete(prefix + "a")])
    again = put(store, prefix + "a")
    item = store.get(prefix + "a")
    assert item is not None
    assert item.create_revision == item.mod_revision == again


def test_an_empty_value_is_not_absence(store: Store, prefix: str) -> None:
    put(store, prefix + "a", value=b"")
    item = store.get(prefix + "a")
    assert item is not None
    assert item.value == b""


def test_range_is_in_lexical_order_and_holds_only_the_prefix(store: Store, prefix: str) -> None:
    put(store, prefix + "b/2", prefix + "b/10", prefix + "a", prefix + "b", prefix + "c")
    found = store.range(prefix + "b/")
    assert [item.key for item in found.items] == [prefix + "b/10", prefix + "b/2"]
    assert not found.more


def test_range_of_everything(store: Store, prefix: str) -> None:
    put(store, prefix + "a")
    assert prefix + "a" in [item.key for item in store.range("").items]


def test_range_after_non_ascii_keys(store: Store, prefix: str) -> None:
    keys = [prefix + name for name in ("a", "z", "é", "\U0001f6a2")]
    put(store, *keys)
    assert [item.key for item in store.range(prefix, after=keys[0]).items] == keys[1:]
    assert [item.key for item in store.range(keys[3]).items] == keys[3:]


def test_range_in_pages(store: Store, prefix: str) -> None:
    keys = [f"{prefix}{number}" for number in range(5)]
    put(store, *keys)
    pages, after, more = [], "", True
    while more:
        page = store.range(prefix, limit=2, after=after)
        pages.append([item.key for item in page.items])
        after, more = page.items[-1].key, page.more
    assert pages == [keys[:2], keys[2:4], keys[4:]]


def test_range_before_a_key(store: Store, prefix: str) -> None:
    keys = [f"{prefix}{number}" for number in range(5)]
    put(store, *keys)

    def found(below: str = prefix, **bounds: Any) -> list[str]:
        return [item.key for item in store.range(below, **bounds).items]

    assert found(before=keys[3]) == keys[:3]
    assert found(before=prefix + "2a", after=keys[0]) == keys[1:3]
    assert found(before=keys[1], after=keys[1]) == found(before=keys[0], after=keys[3]) == []
    assert found(before=prefix) == found(before="")[5:] == []
    assert found(before=prefix + "x") == keys
    assert found("", before=keys[2], after=keys[0]) == [keys[1]]
    page = store.range(prefix, before=keys[3], limit=2)
    assert ([item.key for item in page.items], page.more) == (keys[:2], True)
    page = store.range(prefix, before=keys[2], limit=2)
    assert ([item.key for item in page.items], page.more) == (keys[:2], False)
    revision = page.revision
    put(store, prefix + "1a")
    assert found(before=keys[2], revision=revision) == keys[:2]


def test_pages_of_keys_that_lie_unevenly_are_whole(store: Store, prefix: str) -> None:
    names = [f"{number:05}" for number in range(900)]
    names += [f"{stem}{number:03x}" for stem in ("a", "long-" * 20, "z") for number in range(300)]
    wanted = sorted(prefix + name for name in names)
    for start in range(0, len(wanted), MAX_TXN_OPS):
        put(store, *wanted[start : start + MAX_TXN_OPS])
    for _ in range(2):  # what was learnt the first time does not mislead the second
        for limit in (120, 450, 900):
            found: list[str] = []
            more, after, revision = True, "", 0
            while more:
                page = store.range(prefix, limit=limit, after=after, revision=revision)
                found += [item.key for item in page.items]
                assert len(page.items) == limit or not page.more
                more, after, revision = page.more, found[-1], page.revision
            assert found == wanted


def test_many_keys_are_read_together(store: Store, prefix: str) -> None:
    wanted = [f"{prefix}{number}" for number in range(MAX_TXN_OPS + 40)]
    put(store, *wanted[:MAX_TXN_OPS])
    found = store.get_many(wanted)
    assert list(found) == wanted[:MAX_TXN_OPS]
    assert found[wanted[1]] == store.get(wanted[1])
    assert store.get_many([]) == {}


def test_keys_are_counted_together(store: Store, prefix: str) -> None:
    put(store, f"{prefix}a/1", f"{prefix}a/2", f"{prefix}b/1", f"{prefix}b")
    wanted = [f"{prefix}{name}" for name in ("a/", "b/", "c/", "b", "")]
    assert store.count(wanted) == [2, 1, 0, 2, 4]
    assert store.count(wanted * MAX_TXN_OPS) == [2, 1, 0, 2, 4] * MAX_TXN_OPS
    assert store.count([]) == []


def test_a_full_last_page_has_no_more(store: Store, prefix: str) -> None:
    put(store, prefix + "a", prefix + "b")
    assert not store.range(prefix, limit=2).more


def test_range_after_a_key_before_the_prefix_is_the_whole_prefix(store: Store, prefix: str) -> None:
    put(store, prefix + "b/1")
    assert len(store.range(prefix + "b/", after=prefix + "a").items) == 1


def test_range_at_a_past_revision(store: Store, prefix: str) -> None:
    first = put(store, prefix + "a", prefix + "b", value=b"old")
    put(store, prefix + "a", value=b"new")
    store.txn([], [Delete(prefix + "b")])
    put(store, prefix + "c")
    then = store.range(prefix, revision=first)
    assert [(item.key, item.value) for item in then.items] == [(prefix + "a", b"old"), (prefix + "b", b"old")]
    assert then.revision == first


def test_range_now_names_the_revision_it_is_as_of(store: Store, prefix: str) -> None:
    revision = put(store, prefix + "a")
    assert store.range(prefix).revision == revision
    assert store.range(prefix + "none").revision == revision


def test_range_in_the_future_is_invalid(store: Store, prefix: str) -> None:
    with pytest.raises(Invalid):
        store.range(prefix, revision=store.range(prefix).revision + 1000)


COMPARES: list[tuple[str, Callable[[str, int], Compare], bool]] = [
    # `a` exists, last written at the revision given; `b` and `empty/` do not exist
    ("absent of an absent key", lambda p, r: Absent(p + "b"), True),
    ("absent of a key", lambda p, r: Absent(p + "a"), False),
    ("exists of a key", lambda p, r: Exists(p + "a"), True),
    ("exists of an absent key", lambda p, r: Exists(p + "b"), False),
    ("unchanged of a key at its revision", lambda p, r: Unchanged(p + "a", r), True),
    ("unchanged of a key at another", lambda p, r: Unchanged(p + "a", r - 1), False),
    ("unchanged of an absent key", lambda p, r: Unchanged(p + "b", r), False),
    ("empty of an empty prefix", lambda p, r: PrefixEmpty(p + "empty/"), True),
    ("empty of a prefix with a key", lambda p, r: PrefixEmpty(p), False),
    ("unwritten since the write", lambda p, r: PrefixUnwritten(p, r), True),
    ("unwritten since before the write", lambda p, r: PrefixUnwritten(p, r - 1), False),
    ("unwritten of an empty prefix", lambda p, r: PrefixUnwritten(p + "empty/", 0), True),
]


@pytest.mark.parametrize(
    ("make", "holds"), [case[1:] for case in COMPARES], ids=[case[0] for case in COMPARES]
)
def test_a_transaction_is_applied_only_if_the_compare_holds(
    store: Store, prefix: str, make: Callable[[str, int], Compare], holds: bool
) -> None:
    put(store, prefix + "a")
    revision = put(store, prefix + "a")
    result = store.txn([make(prefix, revision)], [Put(prefix + "written", b"")])
    assert result.succeeded is holds
    assert result.revision == revision + holds
    assert (store.get(prefix + "written") is not None) is holds


def test_prefix_unwritten_sees_any_key_of_the_prefix(store: Store, prefix: str) -> None:
    revision = put(store, prefix + "a")
    put(store, prefix + "b")
    assert not store.txn([PrefixUnwritten(prefix, revision)], []).succeeded


def test_all_compares_must_hold(store: Store, prefix: str) -> None:
    put(store, prefix + "a")
    assert not store.txn([Exists(prefix + "a"), Exists(prefix + "b")], []).succeeded


def test_a_transaction_writes_at_one_revision(store: Store, prefix: str) -> None:
    before = put(store, prefix + "gone/1", prefix + "gone/2", prefix + "x")
    ops: list[Op] = [
        Put(prefix + "a", b""),
        Put(prefix + "b", b""),
        Delete(prefix + "x"),
        DeletePrefix(prefix + "gone/"),
    ]
    result = store.txn([], ops)
    assert result.revision == before + 1
    assert [(item.key, item.mod_revision) for item in store.range(prefix).items] == [
        (prefix + "a", result.revision),
        (prefix + "b", result.revision),
    ]


def test_a_transaction_that_changes_nothing_raises_no_revision(store: Store, prefix: str) -> None:
    revision = put(store, prefix + "a")
    assert store.txn([], [Delete(prefix + "b"), DeletePrefix(prefix + "none/")]).revision == revision
    assert store.txn([Absent(prefix + "a")], [Put(prefix + "c", b"")]).revision == revision


@pytest.mark.parametrize("other", ["put", "delete", "delete prefix"])
def test_a_key_written_twice_in_a_transaction_is_invalid(store: Store, prefix: str, other: str) -> None:
    op = {
        "put": Put(prefix + "a", b"2"),
        "delete": Delete(prefix + "a"),
        "delete prefix": DeletePrefix(prefix),
    }
    with pytest.raises(Invalid):
        store.txn([], [Put(prefix + "a", b"1"), op[other]])
    assert store.get(prefix + "a") is None


def test_as_many_operations_as_allowed(store: Store, prefix: str) -> None:
    compares = [Absent(f"{prefix}{number}") for number in range(MAX_TXN_OPS)]
    ops = [Put(f"{prefix}{number}", b"") for number in range(MAX_TXN_OPS)]
    assert store.txn(compares, ops).succeeded
    assert len(store.range(prefix).items) == MAX_TXN_OPS


def test_too_many_operations_or_compares_are_invalid(store: Store, prefix: str) -> None:
    with pytest.raises(Invalid):
        store.txn([], [Put(f"{prefix}{number}", b"") for number in range(MAX_TXN_OPS + 1)])
    with pytest.raises(Invalid):
        store.txn([Absent(prefix)] * (MAX_TXN_OPS + 1), [])
    assert store.range(prefix).items == ()


def test_only_one_of_many_threads_creates_a_key(store: Store, prefix: str) -> None:
    won: list[int] = []

    def contend(number: int) -> None:
        if store.txn([Absent(prefix + "a")], [Put(prefix + "a", str(number).encode())]).succeeded:
            won.append(number)

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    item = store.get(prefix + "a")
    assert item is not None
    assert won == [int(item.value)]


def test_watch_from_a_past_revision_on_several_prefixes(store: Store, prefix: str) -> None:
    put(store, prefix + "a/0")
    start = put(store, prefix + "a/1", prefix + "b/1", prefix + "c/1")
    store.txn([], [Delete(prefix + "a/1")])
    watch = store.watch([prefix + "a/", prefix + "b/"], start_revision=start)
    seen = take(watch, 3)
    put(store, prefix + "c/2")
    last = put(store, prefix + "b/1", value=b"new")
    seen += take(watch, 1)
    watch.close()
    in_a = [change for change in names(seen) if "/a/" in change[1]]
    in_b = [change for change in names(seen) if "/b/" in change[1]]
    assert in_a == [("put", prefix + "a/1"), ("del", prefix + "a/1")]
    assert in_b == [("put", prefix + "b/1"), ("put", prefix + "b/1")]
    assert len(seen) == 4
    newest = seen[-1]
    assert isinstance(newest, Changed)
    assert (newest.item.value, newest.item.mod_revision) == (b"new", last)
    assert newest.item.create_revision == start


def test_a_watch_names_the_revision_of_a_deletion(store: Store, prefix: str) -> None:
    put(store, prefix + "a")
    revision = store.txn([], [Delete(prefix + "a")]).revision
    watch = store.watch([prefix], start_revision=revision)
    assert take(watch, 1) == [Removed(prefix + "a", revision)]
    watch.close()


def test_a_watch_tells_what_was_before_when_it_is_asked_to(store: Store, prefix: str) -> None:
    start = put(store, prefix + "a")
    store.txn([], [Put(prefix + "a", b"new")])
    store.txn([], [Delete(prefix + "a")])
    watch = store.watch([prefix], start_revision=start, previous=True)
    made, changed, removed = take(watch, 3)
    watch.close()
    assert made.before is None
    assert changed.before == (made.item if isinstance(made, Changed) else None)
    assert removed.before == (changed.item if isinstance(changed, Changed) else None)
    assert removed.before is not None


def test_a_watch_brings_a_transaction_in_one_item(store: Store, prefix: str) -> None:
    keys = [f"{prefix}{number:03}" for number in range(MAX_TXN_OPS)]
    watch = store.watch([prefix], start_revision=put(store, *keys))
    assert names(next(iter(watch))) == [("put", key) for key in keys]
    watch.close()


def test_a_watch_from_the_future_waits_for_it(store: Store, prefix: str) -> None:
    watch = store.watch([prefix], start_revision=store.range(prefix).revision + 2)
    put(store, prefix + "early")
    put(store, prefix + "late")
    assert names(take(watch, 1)) == [("put", prefix + "late")]
    watch.close()


def ended(watch: Watch, end: Callable[[], None]) -> bool:
    """Whether a thread that iterates the watch ends, without an error, when `end` is called."""
    result: list[object] = []

    def iterate() -> None:
        try:
            result.extend(watch)
            result.append("ended")
        except Unavailable as fault:
            result.append(fault)

    thread = threading.Thread(target=iterate)
    thread.start()
    end()
    thread.join(2)
    return not thread.is_alive() and result == ["ended"]


def test_closing_a_watch_from_another_thread_ends_it(store: Store, prefix: str) -> None:
    watch = store.watch([prefix], start_revision=store.range(prefix).revision + 1)
    assert ended(watch, watch.close)
    watch.close()
    assert list(watch) == []


def test_closing_the_store_ends_its_watches_and_refuses_more(store: Store, prefix: str) -> None:
    watch = store.watch([prefix], start_revision=store.range(prefix).revision + 1)
    assert ended(watch, store.close)
    store.close()
    with pytest.raises(Unavailable):
        store.get(prefix)
    with pytest.raises(Unavailable):
        store.watch([prefix], start_revision=1)


def test_the_end_of_a_lease_deletes_its_keys_and_a_watch_sees_it(store: Store, prefix: str) -> None:
    lease = store.grant(1)
    revision = store.txn([], [Put(prefix + "a", b"", lease), Put(prefix + "b", b"", lease)]).revision
    item = store.get(prefix + "a")
    assert item is not None
    assert item.lease_id == lease
    watch = store.watch([prefix], start_revision=revision + 1)
    assert sorted(names(take(watch, 2))) == [("del", prefix + "a"), ("del", prefix + "b")]
    watch.close()
    assert store.range(prefix).items == ()
    with pytest.raises(LeaseExpired):
        store.keep_alive(lease)


def test_a_lease_that_is_kept_alive_outlives_its_ttl(store: Store, prefix: str) -> None:
    kept, other = store.grant(2), store.grant(1)
    revision = store.txn([], [Put(prefix + "kept", b"", kept), Put(prefix + "other", b"", other)]).revision
    watch = store.watch([prefix], start_revision=revision + 1)
    assert store.keep_alive(kept) >= 2
    assert names(take(watch, 1)) == [("del", prefix + "other")]
    assert store.keep_alive(kept) >= 2
    watch.close()
    store.revoke(kept)


def test_revoking_a_lease_deletes_its_keys_at_once(store: Store, prefix: str) -> None:
    lease = store.grant(60)
    store.txn([], [Put(prefix + "a", b"", lease)])
    store.revoke(lease)
    assert store.get(prefix + "a") is None
    store.revoke(lease)
    with pytest.raises(LeaseExpired):
        store.keep_alive(lease)


def test_a_key_put_again_without_the_lease_outlives_it(store: Store, prefix: str) -> None:
    lease, other = store.grant(60), store.grant(60)
    store.txn([], [Put(prefix + "a", b"", lease), Put(prefix + "b", b"", lease)])
    store.txn([], [Put(prefix + "a", b""), Put(prefix + "b", b"", other)])
    store.revoke(lease)
    assert [item.key for item in store.range(prefix).items] == [prefix + "a", prefix + "b"]
    store.revoke(other)
    assert [item.key for item in store.range(prefix).items] == [prefix + "a"]


def test_a_put_under_a_lease_that_is_gone_is_refused(store: Store, prefix: str) -> None:
    with pytest.raises(LeaseExpired):
        store.txn([], [Put(prefix + "a", b"", NO_SUCH_LEASE), Put(prefix + "b", b"")])
    assert store.range(prefix).items == ()
    assert not store.txn([Exists(prefix + "a")], [Put(prefix + "a", b"", NO_SUCH_LEASE)]).succeeded


def test_a_lease_below_a_second_is_invalid(store: Store) -> None:
    with pytest.raises(Invalid):
        store.grant(0)


def test_compaction_forgets_what_was_before(store: Store, prefix: str) -> None:
    old = put(store, prefix + "a", prefix + "b")
    store.txn([], [Delete(prefix + "b")])
    kept = put(store, prefix + "a")
    put(store, prefix + "a")
    store.compact(kept)
    with pytest.raises(Compacted):
        store.range(prefix, revision=old)
    assert [item.mod_revision for item in store.range(prefix, revision=kept).items] == [kept]
    watch = store.watch([prefix], start_revision=old)
    with pytest.raises(Compacted) as caught:
        take(watch, 1)
    assert caught.value.compact_revision == kept
    watch = store.watch([prefix], start_revision=kept + 1)
    assert names(take(watch, 1)) == [("put", prefix + "a")]
    watch.close()


def test_a_watch_from_the_compacted_revision_never_passes_over_what_was_deleted_there(
    store: Store, prefix: str
) -> None:
    put(store, prefix + "a")
    gone = store.txn([], [Delete(prefix + "a")]).revision
    after = put(store, prefix + "b")
    store.compact(gone)
    with pytest.raises(Compacted):
        take(store.watch([prefix], start_revision=gone), 1)
    watch = store.watch([prefix], start_revision=gone + 1)
    assert [change.item.mod_revision for change in take(watch, 1) if isinstance(change, Changed)] == [after]
    watch.close()


def test_a_watch_in_order_tells_of_its_prefixes_and_nothing_between(store: Store, prefix: str) -> None:
    start = put(store, prefix + "c/1")
    for name in ("a/1", "b/1", "c/2", "a/2", "d/1", "c/3", "a", "b"):
        put(store, prefix + name)
    both = store.txn([], [Put(prefix + "c/1", b""), Put(prefix + "b/2", b""), Delete(prefix + "a/1")])
    watch = store.watch([prefix + "c/", prefix + "a/"], start_revision=start, in_order=True)
    told = names(take(watch, 7))
    assert told == [
        ("put", prefix + "c/1"),
        ("put", prefix + "a/1"),
        ("put", prefix + "c/2"),
        ("put", prefix + "a/2"),
        ("put", prefix + "c/3"),
        ("put", prefix + "c/1"),
        ("del", prefix + "a/1"),
    ]
    assert both.succeeded
    put(store, prefix + "b/3")
    put(store, prefix + "a/3")
    assert names(take(watch, 1)) == [("put", prefix + "a/3")]
    watch.close()


def test_of_removals_a_watch_tells_nothing_else(store: Store, prefix: str) -> None:
    start = put(store, prefix + "a/1")
    watch = store.watch([prefix + "b/"], start_revision=start, removals=[prefix + "a/"])
    for name in ("a/2", "b/1", "c/1"):
        put(store, prefix + name)
    store.txn([], [Delete(prefix + "a/2")])
    store.txn([], [Delete(prefix + "c/1")])
    put(store, prefix + "b/2")
    assert sorted(names(take(watch, 3))) == [
        ("del", prefix + "a/2"),
        ("put", prefix + "b/1"),
        ("put", prefix + "b/2"),
    ]
    watch.close()


def test_compaction_leaves_a_watch_that_has_seen_everything(store: Store, prefix: str) -> None:
    revision = put(store, prefix + "a")
    watch = store.watch([prefix], start_revision=revision)
    assert len(take(watch, 1)) == 1
    put(store, prefix + "b")
    assert len(take(watch, 1)) == 1
    store.compact(revision + 1)
    put(store, prefix + "c")
    assert names(take(watch, 1)) == [("put", prefix + "c")]
    watch.close()


def test_compacting_again_changes_nothing_and_the_future_is_invalid(store: Store, prefix: str) -> None:
    revision = put(store, prefix + "a")
    store.compact(revision)
    store.compact(revision)
    store.compact(1)
    with pytest.raises(Invalid):
        store.compact(revision + 1000)
