"""What was taken from one peer: of its Adj-RIB-In (RFC 4271 §3.2) the prefixes that are asked for. Pure.

    fresh   what the session that is up has announced
    stale   what an earlier session had, kept for a while (RFC 4724): the peer or the own process restarts

A prefix that is announced anew is fresh. What is still stale goes with the peer's End-of-RIB, or when its
time is over. It goes at once where the peer has not said that it goes on forwarding.

Without ADD-PATH (RFC 7911), which is not offered, a peer has one path to a prefix.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

from bgp.adj_rib_out import IPAddress, IPNetwork
from bgp.peer import Family


@dataclass(frozen=True, slots=True)
class Path:
    """How one peer reaches a prefix."""

    next_hop: IPAddress
    as_path: tuple[int, ...] = ()
    med: int | None = None
    local_pref: int | None = None
    stale: bool = False
    """Of a session that has ended."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A stale path, until when it is kept, and whether it was the own process that ended."""

    path: Path
    until: float
    own: bool


class AdjRibIn:
    """The paths that were taken from one peer. Not thread-safe. Times are of the caller's clock, in seconds.

    Args:
        asked: the prefixes to take, these very ones: not what lies within them. So it never holds more.
        local_asn, local_address: this speaker's own; a path through either is none.
    """

    def __init__(self, asked: Iterable[IPNetwork], local_asn: int, local_address: IPAddress) -> None:
        self._asked = frozenset(asked)
        self._local_asn = local_asn
        self._local_address = local_address
        self._fresh: dict[IPNetwork, Path] = {}
        self._stale: dict[IPNetwork, _Kept] = {}

    @property
    def taken(self) -> dict[IPNetwork, Path]:
        """The path to each prefix, stale ones marked so."""
        return {prefix: kept.path for prefix, kept in self._stale.items()} | self._fresh

    @property
    def due(self) -> float:
        """When `expire` has something to do next; infinite while nothing is stale."""
        return min((kept.until for kept in self._stale.values()), default=float("inf"))

    def suppose(self, taken: Mapping[IPNetwork, Path], until: float) -> None:
        """Keep what an earlier life of this program had taken, as stale."""
        self._stale = self._kept(taken, until, own=True)

    def found(self, announced: Mapping[IPNetwork, Path]) -> None:
        """Make this the whole of what the session that is up has announced."""
        self._fresh = {prefix: path for prefix, path in announced.items() if self._is_good(prefix, path)}
        for prefix in announced:
            self._stale.pop(prefix, None)

    def process_ended(self, until: float) -> None:
        """The own process is gone (RFC 4724 §4.1): what is fresh is kept until the peer has told it again."""
        self._stale |= self._kept(self._fresh, until, own=True)
        self._fresh = {}

    def session_ended(self, kept: Container[Family], until: float) -> None:
        """The peer is gone (RFC 4724 §4.2).

        Args:
            kept: the families for which it said that it goes on forwarding meanwhile; none after a
                NOTIFICATION.
            until: how long it may take to come back.
        """
        taken = {prefix: path for prefix, path in self.taken.items() if Family.of(prefix) in kept}
        self._stale = self._kept(taken, until, own=False)
        self._fresh = {}

    def session_began(self, kept: Container[Family], until: float) -> None:
        """A session is up. What it has announced is not known yet.

        Args:
            kept: the families for which the peer says that it went on forwarding.
            until: how long its End-of-RIB may take.
        """
        self.process_ended(until)  # it may be the session of before, heard of anew
        self._stale = {
            prefix: replace(stale, until=until)
            for prefix, stale in self._stale.items()
            if stale.own or Family.of(prefix) in kept
        }

    def swept(self, family: Family) -> None:
        """The peer sent End-of-RIB: what it has not announced by now it does not have."""
        self._stale = {
            prefix: kept for prefix, kept in self._stale.items() if Family.of(prefix) is not family
        }

    def expire(self, now: float) -> None:
        """Drop what was kept for too long."""
        self._stale = {prefix: kept for prefix, kept in self._stale.items() if kept.until > now}

    def clear(self) -> None:
        """Nothing is taken any more."""
        self._fresh, self._stale = {}, {}

    def _kept(self, taken: Mapping[IPNetwork, Path], until: float, *, own: bool) -> dict[IPNetwork, _Kept]:
        return {
            prefix: _Kept(replace(path, stale=True), until, own)
            for prefix, path in taken.items()
            if prefix in self._asked
        }

    def _is_good(self, prefix: IPNetwork, path: Path) -> bool:
        # RFC 4271 §9.1.2: a path through the own AS is a loop; §5.1.3: the next hop is not the receiver
        return (
            prefix in self._asked
            and path.next_hop.version == prefix.version
            and path.next_hop != self._local_address
            and self._local_asn not in path.as_path
        )
