"""What an edge node announces for all nodes: the prefixes of each, with that node as the next hop.

Any number of edges may do so for the same nodes; each is told by the store alone, so that either may die.
"""

from __future__ import annotations

from collections.abc import Mapping

from bgp.advertisement import Advertisement
from intent.advertisements import Entries, advertisements
from intent.cluster import Member
from intent.snapshot import Snapshot
from store.model import Announces, IPNetwork, Node, Peer

Wanted = Mapping[IPNetwork, Advertisement]


class Edge:
    """The advertisements of all nodes for the peers of one. One thread at a time.

    What was worked out for a node is kept as long as nothing of it has changed.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[Member, Peer, Node, Wanted]] = {}
        self.own = Entries()
        """Of the node itself."""

    def advertisements(
        self, members: Mapping[str, Member], speaker: Node, peer: Peer
    ) -> dict[IPNetwork, Advertisement]:
        """The prefixes of all members but the speaker, of the first by name where two hold the same."""
        made: dict[IPNetwork, Advertisement] = {}
        for name in sorted(members, reverse=True):
            if name != speaker.name:
                made |= self._of(members[name], speaker, peer)
        self._kept = {
            place: kept for place, kept in self._kept.items() if place[0] != peer.name or place[1] in members
        }
        return made

    def _of(self, member: Member, speaker: Node, peer: Peer) -> Wanted:
        place = peer.name, member.snapshot.name
        kept = self._kept.get(place)
        if kept is None or kept[0] is not member or kept[1] != peer or kept[2] != speaker:
            wanted = advertisements(member.snapshot, peer, member.boot_id, speaker)
            kept = self._kept[place] = member, peer, speaker, wanted
        return kept[3]


def wanted(
    snapshot: Snapshot,
    peer: Peer,
    boot_id: str | None,
    edge: Edge,
    members: Mapping[str, Member] | None,
    now_s: float,
) -> Wanted | None:
    """What a peer is to be told: the node's own prefixes, or those of all nodes by an edge.

    Args:
        snapshot: of the node that speaks.
        boot_id: see `advertisements`.
        edge: what was worked out of others before.
        members: every node; None while they are not known.
        now_s: the time, in seconds since 1970.

    Returns:
        None while it is not known.
    """
    node = snapshot.node
    if peer.announces is Announces.OWN or node is None:
        return advertisements(snapshot, peer, boot_id, entries=edge.own)
    if not node.edge:
        return {}  # it was one: what it announced for others is theirs no more
    if members is None:
        return None
    others = edge.advertisements(present(members, peer, now_s), node, peer)
    return others | advertisements(snapshot, peer, boot_id, entries=edge.own)


def present(members: Mapping[str, Member], peer: Peer, now_s: float) -> dict[str, Member]:
    """The nodes that a peer is told of: all but those none of whose programs has lived for too long.

    As with a session of its own: for the time of a graceful restart the dataplane of a silent node is taken
    to forward, then the node is gone.
    """
    return {
        name: member
        for name, member in members.items()
        if member.lost is None or now_s - member.lost.since.timestamp() < peer.graceful_restart_s
    }
