"""In which order what nodes are told of policies is written: no rule is ever without its sets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from zlib import crc32

from store import keys
from store.client import Delete, Put

MAX_OPS = 120
"""Of one transaction: etcd takes 128."""
MAX_BYTES = 1 << 20
"""Likewise: etcd takes 1.5 MiB."""


def in_turn(changes: Mapping[str, bytes | None]) -> Iterable[list[Put | Delete]]:
    """The writes, each list to be done before the next is begun: all in one where one transaction takes them.

    Sets, what speaks of them, that it was told; then what goes, the other way round.
    """
    sets = [key for key in changes if keys.SETS.parts(key)]
    told = [key for key in changes if keys.TOLD.parts(key)]
    of_their_own = {*sets, *told}
    rest = [key for key in changes if key not in of_their_own]
    # A set that grows has more shards: those are written before the old ones lose what went there.
    by_shard = sorted(sets, key=lambda key: -int((keys.SETS.parts(key) or "0")[-1]))
    turns: list[list[Put | Delete]] = [
        [*_puts(by_shard, changes)],
        [*_puts((*rest, *told), changes), *_deletes((*told, *rest), changes)],
        [*_deletes(sets, changes)],
    ]
    return [[*chain(*turns)]] if len(changes) <= MAX_OPS else filter(None, turns)


def shares(ops: Sequence[Put | Delete], count: int) -> list[list[Put | Delete]]:
    """The writes in `count` parts that may be done at a time: what is of one node, or set, stays together."""
    if len(ops) <= MAX_OPS:
        return [[*ops]]
    found: list[list[Put | Delete]] = [[] for _ in range(count)]
    for op in ops:
        (name, *_) = keys.SETS.parts(op.key) or (keys.compiled_for(op.key) or "",)
        found[crc32(name.encode()) % count].append(op)
    return found


def _puts(wanted: Iterable[str], changes: Mapping[str, bytes | None]) -> Iterator[Put]:
    return (Put(key, value) for key in wanted if (value := changes[key]) is not None)


def _deletes(wanted: Iterable[str], changes: Mapping[str, bytes | None]) -> Iterator[Delete]:
    return (Delete(key) for key in wanted if changes[key] is None)


def transactions(ops: Iterable[Put | Delete]) -> Iterator[list[Put | Delete]]:
    """What fits into one transaction each."""
    part: list[Put | Delete] = []
    size = 0
    for op in ops:
        more = len(op.value) if isinstance(op, Put) else 0
        if part and (len(part) == MAX_OPS or size + more > MAX_BYTES):
            yield part
            part, size = [], 0
        part.append(op)
        size += more
    if part:
        yield part
