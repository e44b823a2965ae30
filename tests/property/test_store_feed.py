"""Whatever happens to the store, a feed's items amount to what is stored, and none is told twice."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from store import client
from store.feed import Delete, Feed, InSync, Item, Put
from store.memory import MemoryStore

NAMES = ["a/1", "a/2", "b/1", "b/2", "c/1"]
LAST = "b/~"  # in order behind all others

steps = st.one_of(
    st.tuples(st.just("put"), st.lists(st.sampled_from(NAMES), min_size=1, unique=True)),
    st.tuples(st.just("delete"), st.lists(st.sampled_from(NAMES), min_size=1, unique=True)),
    st.tuples(st.sampled_from(["compact", "outage", "relist", "read"]), st.just([])),
)


class Reader:
    """Keeps what a feed told, and checks each item against it."""

    def __init__(self, store: MemoryStore) -> None:
        self.feed = Feed(store, ["a/", "b/"], backoff_s=(0.0, 0.0))
        self.items = iter(self.feed)
        self.told: dict[str, tuple[bytes, int]] = {}

    def read(self) -> Item:
        item = next(self.items)
        match item:
            case Put(key, value, revision):
                assert revision > self.told.get(key, (b"", 0))[1]
                self.told[key] = (value, revision)
            case Delete(key, revision):
                assert revision > self.told.pop(key)[1]
        return item


def apply(store: MemoryStore, reader: Reader, step: str, names: list[str], number: int) -> None:
    match step:
        case "put":
            store.txn([], [client.Put(name, str(number).encode()) for name in names])
        case "delete":
            store.txn([], [client.Delete(name) for name in names])
        case "compact":
            store.compact(store.range("").revision)
        case "outage":
            store.set_available(False)
            store.set_available(True)
        case "relist":
            reader.feed.relist()
        case "read":  # one item, which there has to be
            store.txn([], [client.Put("b/read", str(number).encode())])
            reader.read()


@settings(deadline=None)
@given(script=st.lists(steps, max_size=30))
def test_a_feed_amounts_to_the_store(script: list[tuple[str, list[str]]]) -> None:
    store = MemoryStore()
    reader = Reader(store)
    for number, (step, names) in enumerate(script):
        apply(store, reader, step, names, number)
    store.txn([], [client.Put(LAST, b"")])
    while LAST not in reader.told:
        reader.read()
    stored = [item for prefix in ("a/", "b/") for item in store.range(prefix).items]
    assert reader.told == {item.key: (item.value, item.mod_revision) for item in stored}
    reader.feed.close()


@settings(deadline=None)
@given(script=st.lists(steps, max_size=15))
def test_in_sync_is_true_of_its_revision(script: list[tuple[str, list[str]]]) -> None:
    store = MemoryStore()
    reader = Reader(store)
    for number, (step, names) in enumerate(script):
        if step not in {"compact", "read"}:
            apply(store, reader, step, names, number)
    reader.feed.relist()
    while not isinstance(item := reader.read(), InSync):
        pass
    stored = [each for prefix in ("a/", "b/") for each in store.range(prefix, revision=item.revision).items]
    assert reader.told == {each.key: (each.value, each.mod_revision) for each in stored}
    reader.feed.close()
