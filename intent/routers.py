"""What a router has to be told so that nodes can open their sessions with it.

Several peers may be one router: a peer for each node where every node reaches it at an address of its own.
They have to be of one AS, and no node can be the same neighbour twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import assert_never

from bgp.tor.router import WARN_PERCENT, Accepted, Group, Neighbour, Router, Terms
from intent.peers import peers_of
from store.model import Advertise, Announces, IPAddress, IPNetwork, Node, Peer, Pool, Session, of_version
from store.model.peer import DEFAULT_ROUTE

ANY = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


@dataclass(frozen=True, slots=True)
class Spoken:
    """A session as it should be: a node's with a peer, and what was last seen of it."""

    node: Node
    peer: Peer
    seen: Session | None

    @property
    def asn(self) -> int:
        """The AS number that the node shows."""
        return self.peer.local_asn or self.node.asn

    @property
    def address(self) -> IPAddress | None:
        """The node's address on the session; None when nobody knows it."""
        if self.peer.local_address is not None:
            return self.peer.local_address
        if self.seen is not None and self.seen.local_address is not None:
            return self.seen.local_address
        return of_version(self.node.next_hops, self.peer.address.version)


def spoken(
    chosen: Iterable[Peer],
    nodes: Iterable[Node],
    peers: Sequence[Peer],
    sessions: Mapping[tuple[str, str], Session],
) -> list[Spoken]:
    """The sessions of these peers, by node and peer.

    Args:
        chosen: some of `peers`.
        nodes: all of them.
        peers: all of them: one may take the place of another at a node.
        sessions: what was last seen of each, by node and peer.
    """
    names = {peer.name for peer in chosen}
    return [
        Spoken(node, peer, sessions.get((node.name, peer.name)))
        for node in sorted(nodes, key=lambda each: each.name)
        for peer in peers_of(node.name, node, peers).values()
        if peer.name in names
    ]


def router(sessions: Sequence[Spoken], chosen: Sequence[Peer], pools: Iterable[Pool]) -> Router:
    """The router at the other end of these sessions.

    Args:
        sessions: those of `chosen`.
        chosen: peers that are one router, at least one.
        pools: all of them.

    Raises:
        ValueError: the peers are not one router; says why.
    """
    numbers = sorted({peer.asn for peer in chosen})
    if len(numbers) > 1:
        raise ValueError(f"they are not one router: of AS {' and '.join(map(str, numbers))}")
    by_terms: dict[Terms, list[Neighbour]] = {}
    for each in sessions:
        if each.address is not None:
            made = Neighbour(each.address, each.asn, each.peer.address, each.node.name)
            by_terms.setdefault(_terms(each), []).append(made)
    return Router(
        asn=numbers[0],
        groups=tuple(_groups(by_terms)),
        accepted=tuple(accepted(pools)),
        notes=tuple(_notes(sessions, chosen)),
    )


def unreached(sessions: Sequence[Spoken]) -> list[str]:
    """What cannot be told to the router, one line each."""
    if not sessions:
        return ["no node speaks with it"]
    return [
        f"node {each.node.name}: its address towards peer {each.peer.name} is not known; "
        "start its speaker, or give the peer a local_address or the node its next_hops"
        for each in sessions
        if each.address is None
    ]


def accepted(pools: Iterable[Pool]) -> Iterator[Accepted]:
    """What may be announced of each pool, in the order of their ranges."""
    for pool in sorted(pools, key=lambda each: (each.cidr.version, each.cidr)):
        cidr, longest = pool.cidr, pool.cidr.max_prefixlen
        match pool.advertise:
            case Advertise.BLOCK:
                yield Accepted(cidr, pool.block_prefixlen, longest)
            case Advertise.SUMMARY:
                if pool.block_prefixlen > cidr.prefixlen:
                    yield Accepted(cidr, cidr.prefixlen, cidr.prefixlen)
                yield Accepted(cidr, pool.block_prefixlen, longest)
            case Advertise.HOST:
                yield Accepted(cidr, longest, longest)
            case Advertise.NONE:
                pass
            case _:
                assert_never(pool.advertise)


def _terms(session: Spoken) -> Terms:
    peer = session.peer
    families = tuple(sorted(peer.carried))
    return Terms(
        version=peer.address.version,
        internal=session.asn == peer.asn,
        families=families,
        hold_time_s=peer.hold_time_s,
        keepalive_s=peer.hold_time_s // 3 if peer.keepalive_s is None else peer.keepalive_s,
        graceful_restart=peer.graceful_restart_s > 0,
        secret=peer.password_secret,
        gtsm=peer.gtsm,
        multihop_ttl=peer.multihop_ttl,
        waits=not peer.passive,
        maximum_prefix=maximum_prefix(peer),
        exports=tuple(_exports(peer, families)),
        for_others=peer.announces is Announces.ALL,
    )


def maximum_prefix(peer: Peer) -> int:
    """How many prefixes its router should take: at `WARN_PERCENT` of it our own guard has stepped in."""
    return -(-peer.max_prefixes * 100 // WARN_PERCENT)


def _exports(peer: Peer, families: Sequence[int]) -> Iterator[IPNetwork]:
    for each in peer.imports:
        if each == DEFAULT_ROUTE:
            yield from (ANY[version] for version in families)
        else:
            yield ip_network(each)


def _groups(by_terms: Mapping[Terms, Sequence[Neighbour]]) -> Iterator[Group]:
    count = {4: 0, 6: 0}
    for terms, neighbours in by_terms.items():
        count[terms.version] += 1
        yield Group(count[terms.version], terms, tuple(neighbours))


def _notes(sessions: Sequence[Spoken], chosen: Sequence[Peer]) -> Iterator[str]:
    yield f"Polder: the sessions of {', '.join(sorted(peer.name for peer in chosen))}"
    yield from (f"MISSING: {line}" for line in unreached(sessions))
    if any(peer.imports for peer in chosen):
        yield "What is announced to the nodes has to be in the BGP table of this router"
