"""The path attributes that the prefixes of one pool have for one peer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bgp.advertisement import Advertisement
from store.model import IPAddress, IPNetwork, Node, Peer, Pool, of_version


@dataclass(frozen=True, slots=True)
class Attributes:
    """What `bgp.advertisement.Advertisement` says of each prefix alike."""

    next_hop: IPAddress | None = None
    communities: tuple[tuple[int, int], ...] = ()
    large_communities: tuple[tuple[int, int, int], ...] = ()
    med: int | None = None
    local_pref: int | None = None
    as_path: tuple[int, ...] = ()

    def advertisement(self, prefix: IPNetwork, reason: str) -> Advertisement:
        """A prefix with these."""
        return Advertisement(
            prefix,
            self.next_hop,
            self.communities,
            self.med,
            self.large_communities,
            self.local_pref,
            self.as_path,
            reason,
        )


def attributes(
    node: Node | None,
    peer: Peer,
    pool: Pool,
    version: int,
    extra: Iterable[str] = (),
    speaker: Node | None = None,
) -> Attributes | None:
    """The attributes of a pool's prefixes of one IP version; None when the session cannot carry them.

    Args:
        node: whose prefixes they are.
        version: 4 or 6.
        extra: communities beside those of pool and peer.
        speaker: the node that speaks, when it is another one.
    """
    if version not in peer.carried:
        return None
    next_hop = None
    if speaker is not None or version != peer.address.version:
        # RFC 4271 §5.1.3: another router's address; RFC 4760 §3 without RFC 8950: of the prefix's own family
        next_hop = of_version(node.next_hops, version) if node is not None else None
        if next_hop is None:
            return None
    pairs, triples = _split([*pool.communities, *peer.communities, *extra])
    return Attributes(next_hop, pairs, triples, peer.med, peer.local_pref, _as_path(speaker or node, peer))


def _as_path(node: Node | None, peer: Peer) -> tuple[int, ...]:
    if not peer.as_path_prepend or node is None:
        return ()
    return (peer.local_asn or node.asn,) * (peer.as_path_prepend + 1)


def _split(
    communities: Iterable[str],
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int, int], ...]]:
    """RFC 1997's and RFC 8092's, each in rising order."""
    pairs, triples = set(), set()
    for text in communities:
        first, second, *third = map(int, text.split(":"))
        if third:
            triples.add((first, second, third[0]))
        else:
            pairs.add((first, second))
    return tuple(sorted(pairs)), tuple(sorted(triples))
