"""Where the sessions with a router are not as they should be, and what to change. Pure.

It sees what the speakers say, and of the router's side what a controller hears of it, where one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from bgp.tor.router import WARN_PERCENT
from intent.routers import Spoken
from intent.session import AS_BEFORE
from store.model import DifferenceKind, Session, SessionState, Verified


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that is not as it should be with the session of a node with a peer."""

    node: str
    peer: str
    what: str
    wanted: str
    found: str
    cure: str
    """What to change, and where."""


CURES = (
    ("Bad Peer AS", "the router has to be of AS {peer.asn}, and its neighbour {address} of AS {asn}"),
    ("Unacceptable Hold Time", "allow a hold time of {peer.hold_time_s} s at the router"),
    ("Administrative Shutdown", "the neighbour {address} is shut down at the router"),
    ("Maximum Number of Prefixes", "the router takes too few prefixes: raise its limit for {address}"),
    ("no route to", "give node {node.name} a route to {peer.address}, or the peer another address"),
    ("secret ", "put the file there at node {node.name}, as its message says"),
)
"""What to do about a reason that a session is down for, by words in it; the first that fits."""
CURE = "has the router the neighbour {address}? polder tor config {peer.name} --vendor VENDOR"


def mismatches(
    sessions: Iterable[Spoken], speaking: Set[str], verified: Mapping[tuple[str, str], Verified]
) -> list[Mismatch]:
    """All of them, in the order of the sessions.

    Args:
        sessions: those that there should be.
        speaking: the nodes whose speaker lives.
        verified: what their routers hold of them, where that is known, by node and peer.
    """
    return [
        found
        for session in sessions
        for found in _of(session, speaking, verified.get((session.node.name, session.peer.name)))
    ]


def _of(session: Spoken, speaking: Set[str], verified: Verified | None) -> Iterator[Mismatch]:
    node, seen = session.node.name, session.seen
    if node not in speaking:
        yield _made(session, "speaker", "runs", "does not live", f"start it on node {node}: polder speaker")
    elif seen is None:
        yield _made(
            session, "session", SessionState.ESTABLISHED, "none", f"see the log of node {node}'s speaker"
        )
    elif seen.state is not SessionState.ESTABLISHED:
        found = f"{seen.state}: {seen.reason}" if seen.reason else str(seen.state)
        yield _made(session, "session", SessionState.ESTABLISHED, found, _cure(session, seen.reason))
    else:
        if AS_BEFORE in seen.reason:
            cure = _cure(session, seen.reason, f"correct peer {session.peer.name} or node {node}")
            yield _made(session, "configuration", "that of the peer", seen.reason, cure)
        yield from _of_count(session, seen)
        if verified is not None:
            yield from _of_router(session, verified)


def _of_count(session: Spoken, seen: Session) -> Iterator[Mismatch]:
    if seen.guarded:
        found = f"{seen.guarded} kept back, such as {seen.guarded_why}"
        cure = "correct the pool; more than max_prefixes is that many more than the peer is to be told"
        yield _made(session, "guard", "nothing is kept back", found, cure)
    most = session.peer.max_prefixes
    if seen.advertised * 100 > most * WARN_PERCENT:
        yield _made(
            session,
            "prefixes",
            f"at most {WARN_PERCENT} % of max_prefixes {most}",
            str(seen.advertised),
            f"raise max_prefixes of peer {session.peer.name}, then the router's limit: polder tor config",
        )


def _of_router(session: Spoken, verified: Verified) -> Iterator[Mismatch]:
    told = {each.kind: each for each in reversed(verified.differences)}
    for kind, count, wanted in (
        (DifferenceKind.MISSING, verified.missing, "the router accepts all that is announced"),
        (DifferenceKind.UNEXPECTED, verified.unexpected, "the router holds nothing else"),
    ):
        if count:
            first = told.get(kind)
            example = f", such as {first.prefix}: {first.cause}" if first is not None else ""
            cure = f"compare its filters with those of: polder tor config {session.peer.name} --vendor VENDOR"
            yield _made(session, "routes", wanted, f"{count} {kind}{example}", cure)


def _cure(session: Spoken, reason: str, otherwise: str = CURE) -> str:
    text = next((cure for words, cure in CURES if words in reason), otherwise)
    address = session.address or "of this node"
    return text.format(peer=session.peer, node=session.node, asn=session.asn, address=address)


def _made(session: Spoken, what: str, wanted: str, found: str, cure: str) -> Mismatch:
    return Mismatch(session.node.name, session.peer.name, what, str(wanted), found, cure)
