"""The duty of policies: each node is told what its endpoints need of policies and tenants.

What is told follows from policies, tenants and endpoints alone (`intent.compiler`), so any controller would
write the same. While there is neither a policy nor a tenant no endpoint is looked at. Sets are written once,
for all nodes: before the rules that speak of them, and deleted after; an address that goes from one shard to
another is written to its new place first. Nobody else's writes come between: each transaction compares that
the duty is still ours, and one whose answer was lost is recalled before anything else is written. With no
controller at all nodes go on with what they were told.

Nodes are told last that they were told of an endpoint, and keep it closed until then (`Telling`): whoever
writes the first tenant or policy says so, and it ends when there is neither.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue

from controller.following import Following
from controller.reading import put, read, read_at_once
from controller.recall import Recalling
from controller.write_order import in_turn, shares, transactions
from intent.compiler import Compiler
from store import keys
from store.client import Compare, Delete, PrefixEmpty, Put, Store, Unchanged
from store.codec import encode
from store.errors import StoreError
from store.feed import DecodedItem, Decoder, Feed, InSync, Item
from store.feed import Delete as Gone
from store.feed import Put as Told
from store.model import Endpoint, Move, Policy, Telling, Tenant, Value

log = logging.getLogger(__name__)

RULED = (keys.POLICIES.prefix(), keys.TENANTS.prefix())
ALL = (*RULED, keys.ENDPOINTS.prefix(), keys.MOVES.prefix())

AT_ONCE = 4
"""Transactions that are under way at a time when there is much to write."""
REST_S = 1.0
"""A round of writes is followed by a rest as long as it took, at most so many seconds: others write too."""


class Compiling:
    """A term of the duty. One `run`, ended by `stop`.

    Args:
        store: where all of it is.
        identity: what stands in the key of the duty while it is ours; None where nobody else can have it.
        duty: its name.
        guard: raises where nothing may be written now.
    """

    def __init__(
        self,
        store: Store,
        duty: str,
        identity: str | None = None,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._writers = [Recalling(store) for _ in range(AT_ONCE)]
        self._duty = duty
        self._identity = identity
        self._guard = guard
        self._feeds = Following()
        self._fence: tuple[Compare, ...] = ()

    def run(self) -> None:
        """Tell nodes what they need, now and as it changes. Blocking, until `stop` or the duty is lost."""
        with suppress(_Lost):
            self._feeds.run(
                self._follow_what_is_needed,
                lambda fault: log.debug("event=put-off duty=%s why=%r", self._duty, str(fault)),
            )

    def stop(self) -> None:
        """End `run`. Idempotent."""
        self._feeds.end()

    def _follow_what_is_needed(self) -> None:
        if self._identity is not None:
            held = self._store.get(keys.leader(self._duty))
            if held is None or held.value.decode(errors="replace") != self._identity:
                raise _Lost
            self._fence = (Unchanged(held.key, held.mod_revision),)
        self._guard()
        for writer in self._writers:
            writer.settle()
        if self._follow(RULED):
            self._follow(ALL)

    def _follow(self, prefixes: Sequence[str]) -> bool:
        """Take in what is below these prefixes; true when endpoints are needed and are not among them."""
        compiler, decoder = Compiler(), Decoder()
        in_sync = False
        feed = self._feeds.begin(Feed(self._store, prefixes))
        for items in _gathered(feed):
            for item in decoder.decoded(items):
                take(compiler, item)
            self._look_after(compiler.moved(), compiler)
            listed = any(isinstance(item, InSync) for item in items)
            in_sync = in_sync or listed
            if not in_sync:
                continue
            if prefixes is RULED and not (compiler.idle and self._is_silent()):
                feed.close()
                return True
            # First nodes expect nothing any more; not while one is there that nobody can read.
            if prefixes is ALL and compiler.idle and self._is_silent():
                feed.close()
                return False
            changes = compiler.changes()
            self._write(self._differences(compiler.wanted) if listed else _encoded(changes))
            if listed and prefixes is ALL:
                self._speak()
        return False

    def _speak(self) -> None:
        """Say that nodes are told of endpoints, after that was done, where nobody has said so."""
        if self._store.get(keys.TELLING.key()) is None:
            self._guard()
            if not self._writers[0].txn(self._fence, (put(keys.TELLING, Telling()),)).succeeded:
                raise _Lost

    def _is_silent(self) -> bool:
        """Make sure that nodes expect nothing; false when there is a tenant or a policy after all."""
        if self._store.get(keys.TELLING.key()) is None:
            return True
        nothing = [PrefixEmpty(prefix) for prefix in RULED]
        self._guard()
        return self._writers[0].txn((*self._fence, *nothing), (Delete(keys.TELLING.key()),)).succeeded

    def _look_after(self, moved: Iterable[str], compiler: Compiler) -> None:
        """Find out whether their former nodes deliver them still: a feed may tell of that a moment later."""
        for endpoint in moved:
            if (found := read(self._store, keys.MOVES, endpoint)) is not None:
                compiler.put_move(endpoint, found.value.source)

    def _differences(self, wanted: Mapping[str, Value]) -> Mapping[str, bytes | None]:
        """What is not stored as it should be."""
        items, _ = read_at_once(self._store, (keys.COMPILED, keys.SETS.prefix()))
        stored = {item.key: item.value for item in items}
        found: dict[str, bytes | None] = {
            key: value for key, value in _encoded(wanted).items() if stored.get(key) != value
        }
        return found | {key: None for key in stored if key not in wanted}

    def _write(self, changes: Mapping[str, bytes | None]) -> None:
        """Write changes in an order that leaves no rule without its sets. Raises what the store does."""
        if not changes:
            return
        self._guard()
        began = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE, "policies") as pool:
            for ops in in_turn(changes):
                some = zip(self._writers, shares(ops, AT_ONCE), strict=False)
                for done in [pool.submit(self._write_in_order, *each) for each in some]:
                    done.result()
        took_s = time.monotonic() - began
        log.info("event=policies-compiled values=%d seconds=%.3f", len(changes), took_s)
        self._feeds.ended.wait(min(took_s, REST_S))

    def _write_in_order(self, writer: Recalling, ops: Sequence[Put | Delete]) -> None:
        for part in transactions(ops):
            if self._feeds.ended.is_set():
                return
            if not writer.txn(self._fence, part).succeeded:
                raise _Lost


class _Lost(Exception):
    """The duty is another's."""


def _gathered(feed: Feed) -> Iterator[list[Item]]:
    """What a feed tells: all that has come since the last look, so that many changes are written at once."""
    queue: SimpleQueue[tuple[Item, ...] | StoreError | None] = SimpleQueue()

    def listen() -> None:
        try:
            for batch in feed.batches():
                queue.put(batch)
            queue.put(None)
        except StoreError as fault:
            queue.put(fault)

    threading.Thread(target=listen, name="policies-feed", daemon=True).start()
    while True:
        came = [queue.get()]
        while not queue.empty():
            came.append(queue.get())
        items = [item for batch in came if isinstance(batch, tuple) for item in batch]
        if items:
            yield items
        for end in came:
            if isinstance(end, StoreError):
                raise end
            if end is None:
                return


def take(compiler: Compiler, item: DecodedItem) -> None:
    """Let a compiler know of one item of a feed."""
    if isinstance(item, Told):
        match item.value:
            case Endpoint():
                compiler.put_endpoint(item.value)
            case Move():
                compiler.put_move(item.value.endpoint.id, item.value.source)
            case Policy():
                compiler.put_policy(item.value)
            case Tenant():
                compiler.put_tenant(item.value)
    elif isinstance(item, Gone):
        for kind, drop in (
            (keys.ENDPOINTS, compiler.drop_endpoint),
            (keys.MOVES, compiler.drop_move),
            (keys.POLICIES, compiler.drop_policy),
            (keys.TENANTS, compiler.drop_tenant),
        ):
            if (parts := kind.parts(item.key)) is not None:
                drop(parts[0])


def _encoded(changes: Mapping[str, Value] | Mapping[str, Value | None]) -> dict[str, bytes | None]:
    """The same as stored. What many nodes are told is encoded once."""
    made: dict[int, bytes] = {}
    found: dict[str, bytes | None] = {}
    for key, value in changes.items():
        if value is None:
            found[key] = None
        elif (known := made.get(id(value))) is not None:
            found[key] = known
        else:
            found[key] = made[id(value)] = encode(value)
    return found
