"""What can be watched, and what an answer of the store's watch means for those who watch it.

A thing is one value; how it is shown may depend on keys beside it as well, such as what a node says of an
endpoint. A change of those is told like a change of the thing itself, at its own place in the order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from controller.watching.change import WHOLE, Change, Place, Side
from store.client import Change as Stored
from store.client import Changed, KeyValue, Removed, Store, Watch, key_of, revision_of
from store.codec import decode
from store.errors import Corrupt
from store.keys import Kind
from store.model import Value

log = logging.getLogger(__name__)

Show = Callable[[Store, Sequence[Any], bool], list[str]]
_Sides = tuple[Value | None, Value | None]


@dataclass(frozen=True, slots=True)
class Beside:
    """Keys that decide how a thing is shown, beside the thing's own.

    `place` gives the key of the thing that is shown differently since a change of such a key, or of a copy
    of it; None when nothing is. The thing is told as it is when the change is read.
    """

    prefix: str
    place: Callable[[Stored], str | None]


def _as_stored(store: Store, values: Sequence[Value], settled: bool) -> list[str]:
    """How values are shown that are shown as they are stored."""
    return [value.model_dump_json() for value in values]


@dataclass(frozen=True, slots=True)
class Topic:
    """What can be watched: a kind of value, and how one is shown; as it is stored when not given.

    `show` gives the JSON of values. It may read what else there is to say of them from the store, unless it
    is told that they were made this moment or are gone: then nothing is said of them.
    """

    kind: Kind[Any]
    show: Show = _as_stored
    beside: Beside | None = None

    def watch(self, store: Store, start_revision: int) -> Watch:
        """Watch all that the topic depends on, in the order of revisions."""
        prefixes = [self.kind.prefix(), *([self.beside.prefix] if self.beside else [])]
        return store.watch(prefixes, start_revision=start_revision, previous=True, in_order=len(prefixes) > 1)

    def changes(self, store: Store, stored: Sequence[Stored]) -> list[Change]:
        """What whole revisions brought to the things of the topic. Raises what the store does."""
        sides = self._sides(store, stored)
        texts = self._texts(store, sides)
        changes = []
        for revision, group in groupby(range(len(stored)), key=lambda index: revision_of(stored[index])):
            # Counted are those that are not told too: another controller may find more to tell, or less.
            told = {index: number for number, index in enumerate(group, start=1) if index in sides}
            for index, number in told.items():
                place = Place(revision, WHOLE if index == max(told) else number)
                changes.append(self._change(store, place, stored[index], sides[index], texts.get(index)))
        return changes

    def _sides(self, store: Store, stored: Sequence[Stored]) -> dict[int, _Sides]:
        """The thing before and after each change that is to be told, by the index of the change."""
        places = {} if self.beside is None else _places(self.beside, stored)
        found = store.get_many(list(dict.fromkeys(places.values())))
        things = {key: self._decoded(item) for key, item in found.items()}
        sides: dict[int, _Sides] = {}
        for index, each in enumerate(stored):
            if index in places:
                thing = things.get(places[index])
                if thing is not None:
                    sides[index] = thing, thing
            elif self.kind.parts(key_of(each)) is not None:
                after = each.item if isinstance(each, Changed) else None
                sides[index] = self._decoded(each.before), self._decoded(after)
        return sides

    def _texts(self, store: Store, sides: Mapping[int, _Sides]) -> dict[int, str]:
        """Of what was there before it was changed, by index: that may need a read of the store."""
        known = {
            index: after
            for index, (before, after) in sides.items()
            if before is not None and after is not None
        }
        return dict(zip(known, self.show(store, list(known.values()), False), strict=True))

    def _change(self, store: Store, place: Place, stored: Stored, sides: _Sides, text: str | None) -> Change:
        before, after = sides

        def settled(value: Value) -> str:
            return self.show(store, [value], True)[0]

        return Change(
            place,
            None if before is None else Side(before, lambda: settled(before)),
            None if after is None else Side(after, lambda: text or settled(after)),
            lost=before is None and isinstance(stored, Removed) and stored.before is None,
        )

    def _decoded(self, item: KeyValue | None) -> Value | None:
        """None for what is not there, and for what does not decode: that counts as absent."""
        if item is None:
            return None
        try:
            value: Value = decode(self.kind.model, item.value, key=item.key)
        except Corrupt as fault:
            log.error("event=corrupt-value key=%s why=%r", item.key, str(fault))
            return None
        return value


def _places(beside: Beside, stored: Sequence[Stored]) -> dict[int, str]:
    """Where the things are that are shown differently since a change beside them, by its index."""
    found = ((index, beside.place(each)) for index, each in enumerate(stored))
    return {index: place for index, place in found if place is not None}
