"""What a change would do at each router: prefixes appear, change or vanish, sessions are opened anew.

Two states of all that speakers read are compared, and both are put to the functions that speakers ask. So
what is predicted is what then happens, as far as it follows from what is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bgp.advertisement import Advertisement
from intent.cluster import Member
from intent.edge import Edge
from intent.guard import Guarded
from intent.ranges import Ranges
from intent.session import changes
from intent.told import NOTHING, Place, Teller, Told
from store.model import Endpoint, EndpointState, IPAddress, IPNetwork


class Fate(StrEnum):
    """What becomes of a session."""

    STAYS = "stays"
    OPENS = "opens"
    CLOSES = "closes"
    RESETS = "resets"
    """It is opened anew, with other terms."""
    REFUSED = "refused"
    """It cannot be opened, or not anew: then it is left as it is."""


@dataclass(frozen=True, slots=True)
class PeerImpact:
    """What becomes of one session, and of what it carries.

    Args:
        node, peer, address: whose session, and with which router.
        fate: of the session.
        because: why, one phrase each.
        appear, vanish: prefixes with their attributes then, and now.
        change: prefixes that stay, with their attributes now and then.
        kept: what the outbound guard keeps back then and not now, with the reason of each.
    """

    node: str
    peer: str
    address: IPAddress
    fate: Fate
    because: tuple[str, ...]
    appear: tuple[Advertisement, ...]
    change: tuple[tuple[Advertisement, Advertisement], ...]
    vanish: tuple[Advertisement, ...]
    kept: Mapping[IPNetwork, str]

    @property
    def is_none(self) -> bool:
        """Whether nothing happens."""
        return self.fate is Fate.STAYS and not (self.appear or self.change or self.vanish or self.kept)


@dataclass(frozen=True, slots=True)
class Affected:
    """An endpoint whose address lies in a prefix that vanishes somewhere.

    `unreachable_at` names the peers that are then told of no prefix around it at all.
    """

    endpoint: Endpoint
    unreachable_at: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Impact:
    """What a change would do, at every router.

    Args:
        peers: what becomes of sessions, without those of which nothing does.
        endpoints: those that it concerns.
        advertised: how many prefixes all nodes announce now, each counted at each peer.
    """

    peers: tuple[PeerImpact, ...]
    endpoints: tuple[Affected, ...]
    advertised: int

    @property
    def withdrawn(self) -> int:
        """How many of them vanish."""
        return sum(len(each.vanish) for each in self.peers)

    @property
    def withdrawn_percent(self) -> float:
        """Likewise, as a share of all."""
        return 100 * self.withdrawn / self.advertised if self.advertised else 0.0


def impact(before: Mapping[str, Member], after: Mapping[str, Member], now_s: float) -> Impact:
    """What a change does.

    Args:
        before: every node as it is.
        after: every node as it becomes; the very members of before where nothing does.
        now_s: the time, in seconds since 1970.
    """
    edge = Edge()
    is_told = Teller(before, now_s, edge).told()
    then = Teller(after, now_s, edge).told_after(is_told)
    peers = tuple(
        made
        for place in sorted(is_told.keys() | then.keys(), key=_order)
        if is_told.get(place) is not then.get(place)
        and not (made := _peer(place, is_told.get(place), then.get(place))).is_none
    )
    return Impact(
        peers=peers,
        endpoints=tuple(_affected(before, peers, then)),
        advertised=sum(len(each.outbound.through) for each in is_told.values()),
    )


def _order(place: Place) -> tuple[str, str, int, int]:
    node, peer, address = place
    return node, peer, address.version, int(address)


def _peer(place: Place, before: Told | None, after: Told | None) -> PeerImpact:
    was, becomes = _outbound(before), _outbound(after)
    fate, because = _fate(before, after)
    changed = [
        (was.through[prefix], made)
        for prefix, made in becomes.through.items()
        if prefix in was.through and was.through[prefix] != made
    ]
    return PeerImpact(
        *place,
        fate,
        because,
        appear=_only(becomes.through, was.through),
        change=tuple(sorted(changed, key=lambda pair: _by_prefix(pair[0]))),
        vanish=_only(was.through, becomes.through),
        kept={prefix: why for prefix, why in becomes.kept.items() if prefix not in was.kept},
    )


def _outbound(told: Told | None) -> Guarded:
    return told.outbound if told is not None else NOTHING


def _fate(before: Told | None, after: Told | None) -> tuple[Fate, tuple[str, ...]]:
    was = before.terms if before is not None else None
    becomes = after.terms if after is not None else None
    if after is not None and after.refused and (before is None or before.refused != after.refused):
        return Fate.REFUSED, (after.refused,)
    if was is None:
        return (Fate.STAYS if becomes is None else Fate.OPENS), ()
    if becomes is None:
        return Fate.CLOSES, ()
    found = changes(was, becomes)
    return (Fate.RESETS if found else Fate.STAYS), found


def _only(
    these: Mapping[IPNetwork, Advertisement], those: Mapping[IPNetwork, Advertisement]
) -> tuple[Advertisement, ...]:
    return tuple(sorted((made for prefix, made in these.items() if prefix not in those), key=_by_prefix))


def _by_prefix(made: Advertisement) -> tuple[int, int, int]:
    prefix = made.prefix
    return prefix.version, int(prefix.network_address), prefix.prefixlen


def _affected(
    members: Mapping[str, Member], peers: tuple[PeerImpact, ...], then: Mapping[Place, Told]
) -> Iterator[Affected]:
    vanished: dict[IPNetwork, list[PeerImpact]] = {}
    for each in peers:
        for made in each.vanish:
            vanished.setdefault(made.prefix, []).append(each)
    if not vanished:
        return
    ranges = Ranges(vanished.items())
    left = _Left(then)
    for _, member in sorted(members.items()):
        for endpoint in member.snapshot.endpoints.values():
            if endpoint.state is not EndpointState.ASSIGNED:
                continue
            hit = [(address, at) for address in endpoint.addresses for at in ranges.around(address)]
            if hit:
                gone = {each.peer for address, at in hit for each in at if not left.reaches(address, each)}
                yield Affected(endpoint, tuple(sorted(gone)))


class _Left:
    """What routers are told after a change."""

    def __init__(self, told: Mapping[Place, Told]) -> None:
        self._told: dict[IPAddress, list[Told]] = {}
        for (_, _, router), each in told.items():
            self._told.setdefault(router, []).append(each)
        self._ranges: dict[IPAddress, Ranges[IPNetwork]] = {}

    def reaches(self, address: IPAddress, at: PeerImpact) -> bool:
        """Whether some node tells a router of a prefix around an address."""
        ranges = self._ranges.get(at.address)
        if ranges is None:
            told = self._told.get(at.address, ())
            ranges = Ranges((prefix, prefix) for each in told for prefix in each.outbound.through)
            self._ranges[at.address] = ranges
        return any(True for _ in ranges.around(address))
