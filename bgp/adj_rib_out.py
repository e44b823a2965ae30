"""Wanted versus sent: the Adj-RIB-Out of one peer (RFC 4271 §3.2) as pure state.

Three views of the same prefixes are kept apart because they differ whenever something dies:

    wanted   what should be announced; None until somebody said it
    told     what the speaker process has acknowledged and will send again by itself after a reset
    held     what the peer may have: told, and what an earlier process announced and nobody withdrew

A process that dies takes `told` with it. The peer keeps what it had (graceful restart, RFC 4724) until
End-of-RIB or until the restart time is over; then `flush_stale` forgets it here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import chain, islice
from typing import TypeVar

from bgp.advertisement import Advertisement
from bgp.fingerprint import fingerprint, nlri
from bgp.peer import Family

IPNetwork = IPv4Network | IPv6Network
IPAddress = IPv4Address | IPv6Address

K = TypeVar("K")
V = TypeVar("V")

GRACEFUL_SHUTDOWN = (65535, 0)
"""RFC 8326 §4.1"""
CHUNK = 500
"""Prefixes in one command: some 10 KB of text, a few milliseconds of the speaker's time."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """The path attributes that prefixes of one command share."""

    next_hop: IPAddress
    communities: tuple[tuple[int, int], ...] = ()
    """In rising order: equal sets are equal values."""
    med: int | None = None
    large_communities: tuple[tuple[int, int, int], ...] = ()
    """In rising order."""
    local_pref: int | None = None
    as_path: tuple[int, ...] = ()

    @classmethod
    def of(cls, made: Advertisement, local_address: IPAddress) -> Attributes:
        """The attributes of one advertisement; a next hop that it leaves open is `local_address`."""
        return _attributes(
            made.next_hop or local_address,
            made.communities,
            made.med,
            made.large_communities,
            made.local_pref,
            made.as_path,
        )


@lru_cache(maxsize=8192)
def _attributes(
    next_hop: IPAddress,
    communities: tuple[tuple[int, int], ...],
    med: int | None,
    large_communities: tuple[tuple[int, int, int], ...],
    local_pref: int | None,
    as_path: tuple[int, ...],
) -> Attributes:
    """One value for all prefixes that share it: thousands do."""
    ordered, large = sorted(set(communities)), sorted(set(large_communities))
    return Attributes(next_hop, tuple(ordered), med, tuple(large), local_pref, as_path)


@dataclass(frozen=True, slots=True)
class Announce:
    """Announce these prefixes with these attributes, in place of whatever was announced for them."""

    attributes: Attributes
    prefixes: tuple[IPNetwork, ...]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Withdraw these prefixes, all of one family."""

    prefixes: tuple[IPNetwork, ...]


Change = Announce | Withdraw


class AdjRibOut:
    """What one peer should be, was and may have been told. Not thread-safe.

    Only prefixes that may be told otherwise than is wanted are looked at: one change costs about the same
    beside 20,000 other prefixes as beside none.

    Args:
        families: those of the session; prefixes of others, or with a next hop of another, are left out.
        local_address: the session's own, the next hop where none is named.
        presumed: what the peer may have from an earlier life of this program.
    """

    def __init__(
        self, families: Iterable[Family], local_address: IPAddress, presumed: Iterable[IPNetwork] = ()
    ) -> None:
        self._families = frozenset(families)
        self._local_address = local_address
        self._wish: Mapping[IPNetwork, Advertisement] | None = None
        self._wanted: dict[IPNetwork, Attributes] = {}
        """Of the wish, what the session can carry."""
        self._told: dict[IPNetwork, Attributes] = {}
        self._held: set[IPNetwork] = set(presumed)
        self._held_now: frozenset[IPNetwork] | None = None
        self._refused: dict[IPNetwork, Attributes] = {}
        self._open: set[IPNetwork] = set()
        """All prefixes of which `_wanted` and `_told` differ, and maybe others."""

    @property
    def known(self) -> bool:
        """Whether somebody has said what is wanted. Until then nothing may be changed."""
        return self._wish is not None

    @property
    def held(self) -> frozenset[IPNetwork]:
        """What the peer may have: the same object until it changes."""
        if self._held_now is None:
            self._held_now = frozenset(self._held)
        return self._held_now

    def want(self, wanted: Mapping[IPNetwork, Advertisement]) -> None:
        """Make this, which must not change any more, the whole of what is wanted."""
        touched = differing(self._wish or {}, wanted)
        for prefix in touched:
            made = wanted.get(prefix)
            attributes = None if made is None else Attributes.of(made, self._local_address)
            if attributes is not None and self._can_carry(prefix, attributes):
                self._wanted[prefix] = attributes
            else:
                self._wanted.pop(prefix, None)
        self._open |= touched
        self._wish = wanted

    def found(self, told: Mapping[IPNetwork, Attributes]) -> None:
        """Take what the speaker process itself says it has; what it refused may be tried again."""
        self._told = dict(told)
        self._hold(told)
        self._refused.clear()
        self._open = {*self._wanted, *self._told}

    def confirmed(self) -> None:
        """The speaker process has what it was told; what it refused may be tried again."""
        self._open.update(self._refused)
        self._refused.clear()

    def fingerprints(self) -> dict[Attributes, str]:
        """What was told, in short: to be compared with what the speaker process says of itself."""
        by_identity: dict[int, list[bytes]] = {}
        shared: dict[Attributes, list[bytes]] = {}
        for prefix, attributes in self._told.items():
            found = by_identity.get(id(attributes))
            if found is None:  # to look for an equal one costs more
                found = by_identity[id(attributes)] = shared.setdefault(attributes, [])
            found.append(nlri(prefix))
        return {attributes: fingerprint(nlris) for attributes, nlris in shared.items()}

    def changes(self) -> Iterator[Change]:
        """The commands that are missing: announcements, then withdrawals. Empty while nothing is known.

        Ordering: announcements first, so that a prefix that replaces another is there before it goes.
        """
        if self._wish is None:
            return
        missing: dict[Attributes, list[IPNetwork]] = {}
        surplus = []
        for prefix in self._open:
            attributes = self._wanted.get(prefix)
            if attributes is None:
                if prefix in self._told:
                    surplus.append(prefix)
            elif attributes not in (self._told.get(prefix), self._refused.get(prefix)):
                missing.setdefault(attributes, []).append(prefix)
        unsettled = len(surplus) + sum(map(len, missing.values()))
        if unsettled < len(self._open):
            self._open = {*surplus, *chain.from_iterable(missing.values())}
        for attributes, prefixes in missing.items():
            yield from _announcements(attributes, prefixes)
        for chunk in _chunks(surplus):
            yield Withdraw(chunk)

    def acknowledged(self, change: Change) -> None:
        """The speaker process took the change."""
        if isinstance(change, Announce):
            self._told.update(dict.fromkeys(change.prefixes, change.attributes))
            self._hold(change.prefixes)
            return
        for prefix in change.prefixes:
            self._told.pop(prefix, None)
        self._held.difference_update(change.prefixes)
        self._held_now = None

    def unanswered(self, changes: Iterable[Change]) -> None:
        """Nobody knows whether the speaker process took these: the peer may have what they announce."""
        for change in changes:
            if isinstance(change, Announce):
                self._hold(change.prefixes)

    def refused(self, change: Change) -> None:
        """The speaker process did not understand the change. Not tried again before a look."""
        if isinstance(change, Announce):
            self._refused.update(dict.fromkeys(change.prefixes, change.attributes))

    def lost(self) -> None:
        """The speaker process is gone, and what it was told with it."""
        self._told.clear()
        self._refused.clear()
        self._open = set(self._wanted)

    def flush_stale(self) -> None:
        """The peer has nothing but what was told: End-of-RIB was sent, or the restart time is over."""
        if self._held != self._told.keys():
            self._held = set(self._told)
            self._held_now = None

    def _hold(self, prefixes: Iterable[IPNetwork]) -> None:
        self._held.update(prefixes)
        self._held_now = None

    def _can_carry(self, prefix: IPNetwork, attributes: Attributes) -> bool:
        # RFC 4760 §3 without RFC 8950: the next hop is of the prefix's own family
        return Family.of(prefix) in self._families and attributes.next_hop.version == prefix.version


def shut_down(attributes: Attributes, prefixes: Iterable[IPNetwork]) -> Iterator[Announce]:
    """The same routes with GRACEFUL_SHUTDOWN (RFC 8326): the peer is to prefer others."""
    communities = tuple(sorted({*attributes.communities, GRACEFUL_SHUTDOWN}))
    return _announcements(replace(attributes, communities=communities), prefixes)


def _announcements(attributes: Attributes, prefixes: Iterable[IPNetwork]) -> Iterator[Announce]:
    return (Announce(attributes, chunk) for chunk in _chunks(prefixes))


def differing(old: Mapping[K, V], new: Mapping[K, V]) -> set[K]:
    """The keys that only one of them has, or whose values differ.

    A table changes near its end most often: what both begin with is skipped, which is many times as fast
    as to look it up, since an address computes its hash each time.
    """
    alike = 0
    for key, other_key, value, other in zip(old, new, old.values(), new.values(), strict=False):
        if (key is not other_key and key != other_key) or (value is not other and value != other):
            break
        alike += 1
    left, right = (dict(islice(table.items(), alike, None)) if alike else dict(table) for table in (old, new))
    gone = {key for key, value in left.items() if (now := right.get(key)) is not value and now != value}
    return gone | set(right).difference(left)


def _chunks(prefixes: Iterable[IPNetwork]) -> Iterator[tuple[IPNetwork, ...]]:
    """Cut into pieces of one family and at most `CHUNK` prefixes, in a stable order."""
    by_family: dict[Family, list[IPNetwork]] = {}
    for prefix in prefixes:
        by_family.setdefault(Family.of(prefix), []).append(prefix)
    for family in sorted(by_family):
        ordered = sorted(
            by_family[family], key=lambda prefix: (int(prefix.network_address), prefix.prefixlen)
        )
        for start in range(0, len(ordered), CHUNK):
            yield tuple(ordered[start : start + CHUNK])
