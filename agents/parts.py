"""A mapping in parts, so that what has changed since the last pass is found without a look at all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from functools import cached_property
from itertools import islice
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


LOOKS = 10
"""Looks for a key in a part take as long as one comparison of a value."""


class Parts(Mapping[K, V]):
    """The mappings put together; of equal keys the last one's counts.

    A part is made once and kept by whoever made it: it never changes, and parts are compared by identity.
    """

    def __init__(self, parts: Iterable[Mapping[K, V]]) -> None:
        self.parts = tuple(parts)

    def __getitem__(self, key: K) -> V:
        return self.whole[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self.whole)

    def __len__(self) -> int:
        return len(self.whole)

    def touched(self, before: Parts[K, V]) -> Set[K] | None:
        """The only keys that may differ from those of `before`; None when a look at all is quicker.

        They are those that differ in what lies between the parts that both have, if these are in one order.
        """
        most = min(len(before.parts), len(self.parts))
        begin = _alike(before.parts, self.parts, most)
        end = _alike(reversed(before.parts), reversed(self.parts), most - begin)
        old = Parts(before.parts[begin : len(before.parts) - end])
        found = Parts(self.parts[begin : len(self.parts) - end])._differing(old)
        if found is None:
            return None
        many = len(found) * len(self.parts) > LOOKS * sum(map(len, self.parts))
        return None if many else found

    def _differing(self, before: Parts[K, V]) -> Set[K] | None:
        was, now = {*map(id, before.parts)}, {*map(id, self.parts)}
        if [each for each in map(id, before.parts) if each in now] != [
            each for each in map(id, self.parts) if each in was
        ]:
            return None
        gone, new = before._between(now), self._between(was)
        return frozenset[K]().union(
            *(_differing(gone.get(gap, {}), new.get(gap, {})) for gap in {*gone, *new})
        )

    def _between(self, shared: Set[int]) -> Mapping[int, Mapping[K, V]]:
        """What lies after so many of the parts with these ids, put together."""
        made, gap = dict[int, dict[K, V]](), 0
        for part in self.parts:
            if id(part) in shared:
                gap += 1
            else:
                made.setdefault(gap, {}).update(part)
        return made

    def only(self, keys: Set[K]) -> dict[K, V]:
        """Those of the keys that it has."""
        looked_for, found = frozenset(keys), dict[K, V]()
        for part in self.parts if looked_for else ():
            # the one look at many parts that uses the hashes that set and dictionary keep
            missing = looked_for.difference(part)
            if len(missing) != len(looked_for):
                found.update((key, part[key]) for key in looked_for - missing)
        return found

    @cached_property
    def whole(self) -> Mapping[K, V]:
        """All of it in one dictionary."""
        made: dict[K, V] = {}
        for part in self.parts:
            made.update(part)
        return made


def _alike(these: Iterable[object], those: Iterable[object], most: int) -> int:
    """How many at the beginning of both are the same objects, `most` at most."""
    pairs = islice(zip(these, those, strict=False), most)
    return next((place for place, (one, other) in enumerate(pairs) if one is not other), most)


def _differing(was: Mapping[K, V], now: Mapping[K, V]) -> Set[K]:
    found = {key for key, value in now.items() if key not in was or was[key] != value}
    found.update(key for key in was if key not in now)
    return found
