"""The outbound guard: what may leave for a router at all, whoever decided that it should.

It is asked last, right before a peer's prefixes are replaced, and trusts nothing that was worked out before:
only what pools say, how many prefixes the peer takes, and what it holds. What it keeps back is counted and
shown, never announced.

- Nothing outside the registered pools, nothing shorter than a pool, never the default route.
- The range of a pool itself only where that is one block of it, or the pool is announced by its summary.
- At most `Peer.max_prefixes`. What the peer holds already comes first, then the shorter prefixes: reaching
  the limit takes nothing away from what works, and blocks are not lost to addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from bgp.advertisement import Advertisement
from intent.ranges import Ranges
from store.model import Advertise, IPNetwork, Peer, Pool


@dataclass(frozen=True, slots=True)
class Guarded:
    """What may be announced, and what is kept back, with the reason of each, in the order of prefixes."""

    through: Mapping[IPNetwork, Advertisement]
    kept: Mapping[IPNetwork, str]

    @property
    def first(self) -> str:
        """The first prefix that is kept back, and why, in one line; empty when none is."""
        return next((f"{prefix}: {why}" for prefix, why in self.kept.items()), "")


def guard(
    wanted: Mapping[IPNetwork, Advertisement], pools: Iterable[Pool], peer: Peer, held: Set[IPNetwork]
) -> Guarded:
    """Divide what is wanted at a peer into what may be announced to it and what may not.

    Args:
        wanted: what should be announced.
        pools: every pool there is.
        peer: who would be told.
        held: what it was told before: those stay first when there are too many.
    """
    known = tuple(pools)
    ranges = Ranges((pool.cidr, pool) for pool in known)
    kept = {prefix: why for prefix in wanted if (why := _fault(prefix, ranges, known)) is not None}
    fit = [prefix for prefix in wanted if prefix not in kept] if kept else list(wanted)
    if len(fit) > peer.max_prefixes:
        fit.sort(key=lambda prefix: (prefix not in held, *_place(prefix)))
        why = f"beyond max_prefixes {peer.max_prefixes} of peer {peer.name}"
        kept.update(dict.fromkeys(fit[peer.max_prefixes :], why))
    if not kept:
        return Guarded(wanted, {})
    through = {prefix: made for prefix, made in wanted.items() if prefix not in kept}
    return Guarded(through, {prefix: kept[prefix] for prefix in sorted(kept, key=_place)})


def _place(prefix: IPNetwork) -> tuple[int, int, int]:
    """Where a prefix stands in an order that puts the larger ones first."""
    return prefix.prefixlen - prefix.max_prefixlen, prefix.version, int(prefix.network_address)


def _fault(prefix: IPNetwork, ranges: Ranges[Pool], pools: Iterable[Pool]) -> str | None:
    """Why a prefix may not be announced to anybody; None when it may."""
    if prefix.prefixlen == 0:
        return "the default route is never announced"
    pool = next(ranges.around(prefix), None)
    if pool is None:
        inside = next((pool for pool in pools if _holds(prefix, pool.cidr)), None)
        return "in no pool" if inside is None else f"shorter than pool {inside.name}"
    whole = prefix.prefixlen == pool.cidr.prefixlen < pool.block_prefixlen
    return f"the whole of pool {pool.name}" if whole and pool.advertise is not Advertise.SUMMARY else None


def _holds(outer: IPNetwork, inner: IPNetwork) -> bool:
    return outer.version == inner.version and inner.network_address in outer
