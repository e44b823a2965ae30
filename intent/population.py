"""Which endpoints are meant by a tenant and labels, kept up to date as endpoints and questions come and go.

Both sides are found by label pairs: an endpoint that changes is compared only with the choices that ask for
one of its pairs, and a new choice looks only at the endpoints that have its rarest one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from json import dumps
from typing import TypeVar

from store.model import Endpoint, IPAddress

ANY = "*"
"""The scope of endpoints of all tenants and of none."""
NONE = "-"
"""The group of endpoints without tenant."""

Pair = tuple[str, str]
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Choice:
    """Endpoints of a tenant, of none or of any, that have all of these labels."""

    scope: str
    """A tenant's name, `NONE` or `ANY`."""
    labels: frozenset[Pair] = frozenset()

    @classmethod
    def of(cls, scope: str, selector: Mapping[str, str]) -> Choice:
        """The choice that a selector makes."""
        return cls(scope, frozenset(selector.items()))

    def means(self, member: Member) -> bool:
        """Whether an endpoint is one of them."""
        return self.scope in {ANY, member.group} and self.labels <= member.labels

    @property
    def set_id(self) -> str:
        """The name of the set of their addresses: the same for the same choice, whoever computes it."""
        return _set_id(self)


@dataclass(frozen=True, slots=True)
class Member:
    """What of an endpoint decides where its policies and its addresses are needed."""

    id: str
    nodes: tuple[str, ...]
    """Its own, and the one that it leaves while that delivers it still."""
    group: str
    """Its tenant, or `NONE`."""
    labels: frozenset[Pair]
    addresses: tuple[IPAddress, ...]
    uid: str

    @classmethod
    def of(cls, endpoint: Endpoint, leaves: str | None = None) -> Member:
        """The endpoint as it counts here; `leaves` is a node that delivers it still."""
        also = () if leaves in {None, endpoint.node} else (leaves,)
        return cls(
            endpoint.id,
            (endpoint.node, *also),
            endpoint.tenant or NONE,
            frozenset(endpoint.labels.items()),
            endpoint.addresses,
            endpoint.uid,
        )


@lru_cache(maxsize=1 << 14)
def _set_id(choice: Choice) -> str:
    text = dumps([choice.scope, sorted(choice.labels)], separators=(",", ":"))
    return blake2b(text.encode(), digest_size=8).hexdigest()


class Population:
    """All endpoints, and the choices that are of interest. Not thread-safe."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._by_group: dict[str, dict[str, Member]] = {}
        self._by_pair: dict[Pair, dict[str, Member]] = {}
        self._choices: dict[tuple[str, Pair | None], set[Choice]] = {}
        """By scope and one of its pairs; None where it has none."""
        self._place: dict[Choice, tuple[str, Pair | None]] = {}

    def __iter__(self) -> Iterator[Member]:
        """Every endpoint."""
        return iter(self._members.values())

    def get(self, endpoint: str) -> Member | None:
        """One endpoint; None when there is none."""
        return self._members.get(endpoint)

    def put(self, member: Member) -> None:
        """Take an endpoint, in place of one with its id."""
        self.drop(member.id)
        self._members[member.id] = member
        self._by_group.setdefault(member.group, {})[member.id] = member
        for pair in member.labels:
            self._by_pair.setdefault(pair, {})[member.id] = member

    def drop(self, endpoint: str) -> None:
        """Forget an endpoint. Idempotent."""
        member = self._members.pop(endpoint, None)
        if member is None:
            return
        _remove(self._by_group, member.group, endpoint)
        for pair in member.labels:
            _remove(self._by_pair, pair, endpoint)

    def ask(self, choice: Choice) -> None:
        """From now on `choices_of` tells of this choice. Idempotent."""
        if choice in self._place:
            return
        pairs: list[Pair | None] = [*choice.labels] or [None]
        places = [(choice.scope, pair) for pair in pairs]
        place = min(places, key=lambda place: len(self._choices.get(place, ())))
        self._place[choice] = place
        self._choices.setdefault(place, set()).add(choice)

    def forget(self, choice: Choice) -> None:
        """It does not any more. Idempotent."""
        place = self._place.pop(choice, None)
        if place is not None:
            self._choices[place].discard(choice)
            if not self._choices[place]:
                del self._choices[place]

    def choices_of(self, member: Member) -> set[Choice]:
        """The choices of interest that mean an endpoint."""
        found: set[Choice] = set()
        for scope in (member.group, ANY):
            found |= self._choices.get((scope, None), set())
            for pair in member.labels:
                asked = self._choices.get((scope, pair), ())
                found.update(each for each in asked if each.labels <= member.labels)
        return found

    def members_of(self, choice: Choice) -> list[Member]:
        """The endpoints that a choice means."""
        few: Collection[Member] = self._members.values()
        if choice.scope != ANY:
            few = self._by_group.get(choice.scope, {}).values()
        for pair in choice.labels:
            those = self._by_pair.get(pair, {}).values()
            few = those if len(those) < len(few) else few
        return [member for member in few if choice.means(member)]


def _remove(index: dict[K, dict[str, Member]], key: K, endpoint: str) -> None:
    del index[key][endpoint]
    if not index[key]:
        del index[key]
