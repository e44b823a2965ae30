"""List, then watch: what is stored below some prefixes, and every change to it, as one stream of items.

A list at one revision gives a Put for each key that is new or changed and a Delete for each that has
vanished, then `InSync`. A watch goes on behind that revision. When the store is lost the watch is taken
up again where it stopped; when that revision is compacted, and every few minutes (watches of etcd 3.4
can lose events), the list is made again, and tells the difference only.

A watch keeps the order of revisions within one prefix only. So the revision that was reached is kept for
each prefix; a new watch starts at the lowest of them and what was seen before is left out.

The stream has no item for a store that is lost: nothing is to be undone then, and what was told stands.
`connected` is for those who report it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar

from store.client import Change, Changed, KeyValue, Store, Watch, key_of, revision_of
from store.codec import decode
from store.errors import Compacted, Corrupt, Unavailable
from store.keys import kind_of
from store.lasting import lasting
from store.model import Value

RELIST_S = 300.0
BACKOFF_S = (0.1, 2.0)
PAGE = 2000

T = TypeVar("T", covariant=True)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Put(Generic[T]):
    """The key holds this value. A value that was told is not told again."""

    key: str
    value: T
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Delete:
    """The key, which was told before, is gone; at `mod_revision`, or at last by then."""

    key: str
    mod_revision: int


@dataclass(frozen=True, slots=True)
class InSync:
    """What was told up to here is all there was at `revision`. Comes after each list."""

    revision: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A key that nobody asked for was written at this revision."""

    mod_revision: int


Item = Put[bytes] | Delete | InSync
DecodedItem = Put[Value] | Delete | InSync | LeftOut


class Feed:
    """The items of some prefixes, for one thread to iterate; the other methods are for any thread.

    Args:
        store: where to listen.
        prefixes: what the keys begin with.
        relist_s: seconds between lists.
        backoff_s: the first and the longest pause, in seconds, while the store is away.
    """

    def __init__(
        self,
        store: Store,
        prefixes: Sequence[str],
        *,
        relist_s: float = RELIST_S,
        backoff_s: tuple[float, float] = BACKOFF_S,
    ) -> None:
        self._store = store
        self._prefixes = _disjoint(prefixes)
        self._relist_s = relist_s
        self._backoff_s = backoff_s
        self._cluster_id = ""
        self._known: dict[str, int] = {}
        self._reached: dict[str, int] = {}
        self._list_due = time.monotonic()
        self._connected: bool | None = None
        """None until the store has answered, or not, for the first time."""
        self._closed = False
        self._watch: Watch | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()

    def __iter__(self) -> Iterator[Item]:
        """Yield the items of `batches`, one by one."""
        return chain.from_iterable(self.batches())

    def batches(self) -> Iterator[tuple[Item, ...]]:
        """Yield items in groups that belong together, until `close`.

        A group is a whole list, its `InSync` at the end, or what transactions changed below one prefix:
        who takes a group at once never sees half of a transaction.

        Raises:
            PermissionDenied: final; everything else is waited out.
        """
        pause_s, longest_s = self._backoff_s
        while not self._closed:
            since = time.monotonic()
            try:
                yield from self._listen()
            except Compacted as fault:
                log.warning("feed lists again why=compacted revision=%d", fault.compact_revision)
                self._list_due = time.monotonic()
            except Unavailable as fault:
                self._lost(fault)
                if time.monotonic() - since > longest_s:
                    pause_s = self._backoff_s[0]
                if self._wake.wait(pause_s):
                    self._wake.clear()
                pause_s = min(2 * pause_s, longest_s)

    @property
    def connected(self) -> bool:
        """Whether the store answered when it was last heard of."""
        return bool(self._connected)

    def relist(self) -> None:
        """List again now."""
        with self._lock:
            self._list_due = time.monotonic()
            self._interrupt()

    def close(self) -> None:
        """End the iteration, at once or when a request in flight has ended. Idempotent."""
        with self._lock:
            self._closed = True
            self._interrupt()

    def _interrupt(self) -> None:
        self._wake.set()
        if self._watch is not None:
            self._watch.close()

    def _listen(self) -> Iterator[tuple[Item, ...]]:
        """List if it is time; then follow until the watch ends."""
        if time.monotonic() >= self._list_due:
            items = self._list()
            self._found()
            yield items
        yield from self._follow()

    def _is_another(self) -> bool:
        """Whether a backup was restored since the last look: then all counts as new."""
        before, self._cluster_id = self._cluster_id, self._store.cluster_id()
        if before in {"", self._cluster_id}:
            return False
        log.warning("feed lists again why=restored cluster=%s", self._cluster_id)
        self._known = dict.fromkeys(self._known, 0)
        return True

    def _list(self) -> tuple[Item, ...]:
        """What differs from what was told. All of it is read before any of it counts."""
        due = time.monotonic() + self._relist_s
        revision, listed = 0, {}
        for prefix in self._prefixes:
            revision, items = self._read(prefix, revision)
            listed.update({item.key: item for item in items})
        self._is_another()
        gone = [Delete(key, revision) for key in self._known if key not in listed]
        new = [_put(item) for item in listed.values() if self._known.get(item.key) != item.mod_revision]
        self._known = {key: item.mod_revision for key, item in listed.items()}
        self._reached = dict.fromkeys(self._prefixes, revision)
        self._list_due = due
        return (*gone, *new, InSync(revision))

    def _read(self, prefix: str, revision: int) -> tuple[int, list[KeyValue]]:
        """All of a prefix, page by page, as of one revision; 0 is now."""
        page = self._store.range(prefix, limit=PAGE, revision=revision)
        items = list(page.items)
        while page.more:
            page = self._store.range(prefix, limit=PAGE, after=items[-1].key, revision=page.revision)
            items.extend(page.items)
        return page.revision, items

    def _follow(self) -> Iterator[tuple[Item, ...]]:
        watch = self._store.watch(self._prefixes, start_revision=min(self._reached.values()) + 1)
        with lasting(watch, self._list_due - time.monotonic()):
            with self._lock:
                self._watch = watch
                if self._closed or time.monotonic() >= self._list_due:
                    return
            # An answer at all, from an endpoint that works. Asked behind the watch: a store that was restored
            # since the list is noticed here, and one that is restored later ends the watch.
            self._store.get(self._prefixes[0])
            self._found()
            if self._is_another():
                self._list_due = time.monotonic()
                return
            for changes in watch:
                if items := self._fresh(changes):
                    yield items

    def _fresh(self, changes: Sequence[Change]) -> tuple[Item, ...]:
        """The items of what was not told yet."""
        items: list[Item] = []
        reached: dict[str, int] = {}
        for change in changes:
            key, revision = key_of(change), revision_of(change)
            prefix = next(each for each in self._prefixes if key.startswith(each))
            if revision <= self._reached[prefix]:
                continue
            reached[prefix] = revision
            if isinstance(change, Changed):
                self._known[key] = revision
                items.append(_put(change.item))
            elif self._known.pop(key, None) is not None:
                items.append(Delete(key, revision))
        self._reached.update(reached)
        return tuple(items)

    def _lost(self, fault: Unavailable) -> None:
        if self._connected is not False and not self._closed:
            log.warning("feed %s the store why=%s", "lost" if self._connected else "waits for", fault)
        self._connected = False

    def _found(self) -> None:
        if not self._connected:
            log.info("feed has the store prefixes=%s", ",".join(self._prefixes))
        self._connected = True


def decoded(feed: Feed) -> Iterator[DecodedItem]:
    """The items of a feed with their values decoded, one by one; see `decoded_batches`."""
    return chain.from_iterable(decoded_batches(feed))


def decoded_batches(feed: Feed, without: Collection[type[Value]] = ()) -> Iterator[tuple[DecodedItem, ...]]:
    """The batches of a feed with their values decoded, but for those of the models `without`.

    A value that does not decode counts as absent: it is reported in the log with its key, and deleted
    here if it was there before. Keys that hold no value (elections) are left out.
    """
    decoder = Decoder(without)
    for batch in feed.batches():
        if items := tuple(decoder.decoded(batch)):
            yield items


class Decoder:
    """Decodes the items of one feed, for who takes them one by one; see `decoded_batches`."""

    def __init__(self, without: Collection[type[Value]] = ()) -> None:
        self._without = without
        self._present: set[str] = set()

    def decoded(self, items: Iterable[Item]) -> Iterator[DecodedItem]:
        """Each of these when it is asked for, save those that hold no value."""
        return (item for raw in items if (item := self._decode(raw)) is not None)

    def _decode(self, item: Item) -> DecodedItem | None:
        if isinstance(item, InSync):
            return item
        if isinstance(item, Put) and (kind := kind_of(item.key)) is not None:
            if kind.model in self._without:
                return LeftOut(item.mod_revision)
            try:
                value = decode(kind.model, item.value, key=item.key)
                self._present.add(item.key)
                return Put(item.key, value, item.mod_revision)
            except Corrupt as fault:
                log.error("value counts as absent key=%s why=%s", item.key, " ".join(str(fault).split()))
        if item.key not in self._present:
            return None
        self._present.remove(item.key)
        return Delete(item.key, item.mod_revision)


def _put(item: KeyValue) -> Put[bytes]:
    return Put(item.key, item.value, item.mod_revision)


def _disjoint(prefixes: Sequence[str]) -> tuple[str, ...]:
    """The same keys by prefixes of which none covers another."""
    kept: list[str] = []
    for prefix in sorted(prefixes):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return tuple(kept)
