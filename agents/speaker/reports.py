"""What the speaker says of its sessions and prefixes, as stored values. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from bgp.peer import PeerConfig
from bgp.speaker import SessionReport
from intent.guard import Guarded
from store import keys
from store.model import Advertised, IPNetwork, Peer, Session, SessionState


def sessions(
    node: str,
    peers: Mapping[str, Peer],
    reports: Mapping[str, SessionReport],
    advertised: Mapping[str, frozenset[IPNetwork]],
    configured: Mapping[str, PeerConfig],
    guarded: Mapping[str, Guarded],
) -> dict[str, Session]:
    """The session of each peer of which something is known, by key."""
    return {
        keys.SESSIONS.key(node, name): Session(
            node=node,
            peer=name,
            address=peers[name].address,
            asn=peers[name].asn,
            state=SessionState(report.state),
            since=report.since,
            reason=report.reason,
            advertised=len(advertised.get(name, ())),
            local_address=configured[name].local_address if name in configured else None,
            guarded=len(guarded[name].kept) if name in guarded else 0,
            guarded_why=guarded[name].first if name in guarded else "",
        )
        for name, report in reports.items()
        if name in peers
    }


def prefixes(node: str, advertised: Mapping[str, frozenset[IPNetwork]]) -> dict[str, Advertised]:
    """Each prefix that some peer holds, with those peers, by key."""
    by_prefix: dict[IPNetwork, list[str]] = {}
    for peer in sorted(advertised):
        for prefix in advertised[peer]:
            by_prefix.setdefault(prefix, []).append(peer)
    return {
        keys.ADVERTISED.key(node, prefix): Advertised(prefix=prefix, node=node, peers=tuple(names))
        for prefix, names in by_prefix.items()
    }
