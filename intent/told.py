"""What every node's speaker tells every router, worked out for all of them at once.

The functions are those that the speakers ask of themselves: peers, session terms, advertisements, and the
outbound guard last.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from intent.cluster import Member
from intent.edge import Edge, wanted
from intent.guard import Guarded, guard
from intent.session import NoSession, Terms, terms
from store.model import Announces, IPAddress, IPNetwork, Peer

Place = tuple[str, str, IPAddress]
"""A node, one of its peers, and the address of the router that this is."""

NOTHING = Guarded({}, {})


@dataclass(frozen=True, slots=True)
class Told:
    """What one router is told by one node.

    Args:
        member, peer: by whom, and whom.
        terms: of the session; None where there is none.
        refused: why there is none, or why it is left as it was; empty when nothing is wrong.
        outbound: what is announced, and what is kept back.
    """

    member: Member
    peer: Peer
    terms: Terms | None
    refused: str
    outbound: Guarded


@dataclass(frozen=True, slots=True)
class Teller:
    """Works it out.

    Args:
        members: every node.
        now_s: the time, in seconds since 1970.
        edge: what edges were found to announce for others.
    """

    members: Mapping[str, Member]
    now_s: float
    edge: Edge

    def told(self) -> dict[Place, Told]:
        """What each router is told, by node and peer, as far as what is stored says."""
        return {place: self._told(member, peer, None) for place, member, peer in self._places()}

    def told_after(self, earlier: Mapping[Place, Told]) -> dict[Place, Told]:
        """Likewise, of what an earlier state becomes: what is not touched stays the same object."""
        return {
            place: before
            if (before := earlier.get(place)) is not None and self._same(before, member, peer)
            else self._told(member, peer, before)
            for place, member, peer in self._places()
        }

    def _places(self) -> list[tuple[Place, Member, Peer]]:
        return [
            ((name, peer.name, peer.address), member, peer)
            for name, member in sorted(self.members.items())
            for peer in member.snapshot.peers.values()
        ]

    def _same(self, before: Told, member: Member, peer: Peer) -> bool:
        return before.member is member and peer.announces is Announces.OWN

    def _told(self, member: Member, peer: Peer, before: Told | None) -> Told:
        agreed, refused = _terms(member, peer)
        if agreed is None and before is not None:
            agreed = before.terms  # a speaker leaves a session that cannot be configured as it is
        outbound = NOTHING
        if agreed is not None:
            made = wanted(member.snapshot, peer, member.boot_id, self.edge, self.members, self.now_s)
            held = _held(member, peer) if before is None else before.outbound.through.keys()
            outbound = guard(made or {}, member.snapshot.pools.values(), peer, held)
        return Told(member, peer, agreed, refused, outbound)


def _terms(member: Member, peer: Peer) -> tuple[Terms | None, str]:
    node = member.snapshot.node
    if node is None:
        return None, "the node is not registered"
    try:
        return terms(node, peer), ""
    except NoSession as fault:
        return None, str(fault)


def _held(member: Member, peer: Peer) -> Set[IPNetwork]:
    """What is reported to be announced to a peer."""
    advertised = member.snapshot.advertised.values()
    return frozenset(each.prefix for each in advertised if peer.name in each.peers)
