"""What routers were told of an address, and by whom: the step of a trace between two nodes.

Read from what speakers report of their sessions, and from what routers themselves tell by BMP, where they do.
A router that Polder does not hear is believed to have what its session carried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from controller.reading import read_many, scan
from controller.tracing.ends import End
from store import keys
from store.client import Store
from store.model import (
    Advertise,
    Advertised,
    Announces,
    DifferenceKind,
    Drained,
    IPAddress,
    IPNetwork,
    Ready,
    Session,
    SessionState,
    Verified,
    host_prefix,
)
from store.model.trace import TraceStep, Verdict
from store.model.value import TEXT_CHARACTERS


@dataclass(frozen=True, slots=True)
class Attracted:
    """Where routers send what is for an address. `node` is None when they have no route to it."""

    steps: tuple[TraceStep, ...]
    node: str | None


def attracted(store: Store, end: End) -> Attracted:
    """To which node routers send what is for this end: the longest of the prefixes that were announced."""
    nodes = _nodes(store, end)
    announced = _advertised(store, [*nodes, *end.left], end.address)
    told = _longest(announced)
    if told is None:
        return _told_by_nobody(store, end, nodes)
    sessions = read_many(store, keys.SESSIONS, [(told.node, peer) for peer in told.peers])
    verified = read_many(store, keys.VERIFIED, [(told.node, peer) for peer in told.peers])
    said = [
        _said(peer, told, sessions.get((told.node, peer)), verified.get((told.node, peer)))
        for peer in told.peers
    ]
    works = any(good for good, _ in said)
    step = TraceStep(
        at="router",
        verdict=Verdict.PASSES if works else Verdict.STOPS,
        what=f"routers send {told.prefix} to node {told.node}"
        if works
        else f"no router has {told.prefix} from node {told.node}",
        evidence="; ".join(text for _, text in said)[:TEXT_CHARACTERS],
        reason=_for_whom(store, end, told.node, announced)[:TEXT_CHARACTERS],
    )
    return Attracted((step,), told.node if works else None)


def _nodes(store: Store, end: End) -> list[str]:
    """Which nodes may announce it."""
    if end.service is not None:
        return [node.name for node in scan(store, keys.NODES).values]
    holder = end.endpoint.node if end.endpoint is not None else None
    return [name for name in dict.fromkeys((holder, end.claimed_by)) if name is not None]


def _advertised(store: Store, nodes: Sequence[str], address: IPAddress) -> list[Advertised]:
    wanted = [(node, str(prefix)) for node in nodes for prefix in _prefixes(address)]
    return [each for each in read_many(store, keys.ADVERTISED, wanted).values() if each.peers]


def _prefixes(address: IPAddress) -> Iterable[IPNetwork]:
    """Every prefix that has the address, the longest first."""
    return (ip_network((address, length), strict=False) for length in range(address.max_prefixlen, -1, -1))


def _longest(told: Iterable[Advertised]) -> Advertised | None:
    return max(told, key=lambda each: int(each.prefix.prefixlen), default=None)


def _said(
    peer: str, told: Advertised, session: Session | None, verified: Verified | None
) -> tuple[bool, str]:
    """Whether a router has the prefix, and what says so."""
    if session is None or session.state is not SessionState.ESTABLISHED:
        state = f"{session.state}, {session.reason}".rstrip(", ") if session else "no session"
        return False, f"{peer}: {state}"
    if verified is None:
        return True, f"{peer}: ESTABLISHED, told of it; what the router holds is not heard"
    if verified.unreadable:
        return True, f"{peer}: ESTABLISHED, told of it; what the router holds cannot be read"
    for each in verified.differences:
        if each.kind is DifferenceKind.MISSING and each.prefix == told.prefix:
            return False, f"{peer}: ESTABLISHED, told of it, and does not hold it: {each.cause}"
    return True, f"{peer}: ESTABLISHED, and holds it, as it tells by BMP"


def _for_whom(store: Store, end: End, announcer: str, announced: Iterable[Advertised]) -> str:
    """Why it is this node that routers send it to."""
    holder = end.endpoint.node if end.endpoint is not None else announcer
    if holder == announcer:
        return f"announced for {end.words}"
    if shorter := [str(each.prefix) for each in announced if each.node == holder]:
        return f"node {holder} has {end.address}, and announces it by {shorter[0]}, which is shorter"
    return f"node {holder} has {end.address} and does not announce it: {_why_not(store, end, [holder])}"


def _told_by_nobody(store: Store, end: End, nodes: Sequence[str]) -> Attracted:
    """Nobody announces it: say why, as far as it is known."""
    if any(peer.announces is Announces.ALL for peer in scan(store, keys.PEERS).values):
        step = _step(Verdict.UNKNOWN, "an edge announces for all nodes; what it does is not looked at", "")
        return Attracted((step,), next(iter(nodes), None))
    if not nodes:
        return Attracted((_step(Verdict.STOPS, f"no node announces {end.address}", _nobody(end)),), None)
    names = " and ".join(f"node {name}" for name in nodes)
    what = f"no router is told of {end.address}" + (f" by {names}" if end.service is None else "")
    return Attracted((_step(Verdict.STOPS, what, _why_not(store, end, nodes)),), None)


def _why_not(store: Store, end: End, nodes: Sequence[str]) -> str:
    """Why none of these nodes announces it, as far as it is known."""
    ready = {each.node for each in _ready(store, end, nodes)}
    drained = {each.name for each in scan(store, keys.DRAINS).values if each.noun is Drained.NODE}
    if end.pool is not None and end.pool.advertise is Advertise.NONE:
        return f"pool {end.pool.name} says advertise: none"
    if end.service is not None and not ready:
        return f"none of its endpoints is healthy: polder service get {end.service}"
    if drained & set(ready or nodes):
        return "the node is drained"
    if end.endpoint is not None and not ready:
        return "the node's agent does not say that it can deliver it: is the endpoint attached?"
    return "its speaker does not announce what is ready: polder bgp summary"


def _ready(store: Store, end: End, nodes: Sequence[str]) -> Iterable[Ready]:
    return read_many(store, keys.READY, [(node, str(host_prefix(end.address))) for node in nodes]).values()


def _nobody(end: End) -> str:
    if end.pool is None:
        return "it is in no pool"
    return f"no node has claimed its block of pool {end.pool.name}"


def _step(verdict: Verdict, what: str, reason: str) -> TraceStep:
    return TraceStep(at="router", verdict=verdict, what=what, reason=reason)
