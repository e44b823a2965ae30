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
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from bgp.advertisement import Advertisement
from bgp.peer import Family

IPNetwork = IPv4Network | IPv6Network
IPAddress = IPv4Address | IPv6Address

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
        return cls(
            made.next_hop or local_address,
            tuple(sorted(set(made.communities))),
            made.med,
            tuple(sorted(set(made.large_communities))),
            made.local_pref,
            made.as_path,
        )


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
        self._wanted: dict[IPNetwork, Attributes] | None = None
        self._told: dict[IPNetwork, Attributes] = {}
        self._held: set[IPNetwork] = set(presumed)
        self._refused: dict[IPNetwork, Attributes] = {}

    @property
    def known(self) -> bool:
        """Whether somebody has said what is wanted. Until then nothing may be changed."""
        return self._wanted is not None

    @property
    def held(self) -> frozenset[IPNetwork]:
        """What the peer may have."""
        return frozenset(self._held)

    def want(self, wanted: Mapping[IPNetwork, Advertisement]) -> bool:
        """Make this the whole of what is wanted. Returns whether it differs from before."""
        resolved = {prefix: Attributes.of(made, self._local_address) for prefix, made in wanted.items()}
        mine = {prefix: made for prefix, made in resolved.items() if self._can_carry(prefix, made)}
        changed = mine != self._wanted
        self._wanted = mine
        return changed

    def found(self, told: Mapping[IPNetwork, Attributes]) -> None:
        """Take what the speaker process itself says it has; what it refused may be tried again."""
        self._told = dict(told)
        self._held.update(told)
        self._refused.clear()

    def changes(self) -> Iterator[Change]:
        """The commands that are missing: announcements, then withdrawals. Empty while nothing is known.

        Ordering: announcements first, so that a prefix that replaces another is there before it goes.
        """
        if self._wanted is None:
            return
        missing: dict[Attributes, list[IPNetwork]] = {}
        for prefix, attributes in self._wanted.items():
            if attributes not in (self._told.get(prefix), self._refused.get(prefix)):
                missing.setdefault(attributes, []).append(prefix)
        for attributes, prefixes in missing.items():
            for chunk in _chunks(prefixes):
                yield Announce(attributes, chunk)
        for chunk in _chunks(prefix for prefix in self._told if prefix not in self._wanted):
            yield Withdraw(chunk)

    def acknowledged(self, change: Change) -> None:
        """The speaker process took the change."""
        for prefix in change.prefixes:
            if isinstance(change, Announce):
                self._told[prefix] = change.attributes
                self._held.add(prefix)
            else:
                self._told.pop(prefix, None)
                self._held.discard(prefix)

    def refused(self, change: Change) -> None:
        """The speaker process did not understand the change. Not tried again before `found`."""
        if isinstance(change, Announce):
            self._refused.update(dict.fromkeys(change.prefixes, change.attributes))

    def lost(self) -> None:
        """The speaker process is gone, and what it was told with it."""
        self._told.clear()
        self._refused.clear()

    def flush_stale(self) -> None:
        """The peer has nothing but what was told: End-of-RIB was sent, or the restart time is over."""
        self._held = set(self._told)

    def _can_carry(self, prefix: IPNetwork, attributes: Attributes) -> bool:
        # RFC 4760 §3 without RFC 8950: the next hop is of the prefix's own family
        return Family.of(prefix) in self._families and attributes.next_hop.version == prefix.version


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
