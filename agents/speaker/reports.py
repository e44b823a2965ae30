"""What the speaker says of its sessions and prefixes, as stored values. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from agents.speaker.outbound import Outcome
from bgp import history as history_of
from bgp.adj_rib_in import Path
from bgp.fsm import State
from bgp.history import History
from bgp.peer import PeerConfig
from bgp.speaker import SessionReport
from intent.imports import Import
from intent.routes import Route, RouteKey
from intent.session import AS_BEFORE
from store import keys
from store.model import (
    AddressFamily,
    Advertised,
    Imported,
    ImportedPath,
    IPAddress,
    IPNetwork,
    Peer,
    Session,
    SessionState,
    Transition,
)


def sessions(
    node: str,
    peers: Mapping[str, Peer],
    reports: Mapping[str, SessionReport],
    advertised: Mapping[str, frozenset[IPNetwork]],
    configured: Mapping[str, PeerConfig],
    outcomes: Mapping[str, Outcome],
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
            guarded=len(outcomes[name].guarded.kept) if name in outcomes else 0,
            guarded_why=outcomes[name].guarded.first if name in outcomes else "",
            guarded_since=outcomes[name].since if name in outcomes else None,
            families=tuple(AddressFamily.of(family.version) for family in report.families),
            hold_time_s=report.hold_time_s,
            flaps=report.history.flaps,
            restarts=report.history.restarts,
            transitions=tuple(
                Transition(at=t.at, state=SessionState(t.state), reason=t.reason, replaced=t.replaced)
                for t in report.history.transitions
            ),
        )
        for name, report in reports.items()
        if name in peers
    }


def going_on(report: SessionReport, why: str | None) -> SessionReport:
    """The report of a session that is there; `why` it cannot be as it is wanted, if it cannot."""
    return report if why is None else explained(report, AS_BEFORE + why)


def explained(report: SessionReport, why: str) -> SessionReport:
    """The report with something more behind its reason, if there is anything."""
    return replace(report, reason="; ".join(filter(None, (report.reason, why))))


def history(said: Session | None) -> History:
    """The history that was said of a session; an empty one of a session that is new."""
    if said is None:
        return History()
    transitions = tuple(
        history_of.Transition(t.at, State(t.state), t.reason, t.replaced) for t in said.transitions
    )
    return History(transitions, said.flaps, said.restarts)


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


def imported(
    node: str, imports: Mapping[IPNetwork, Import], actual: Mapping[RouteKey, Route]
) -> dict[str, Imported]:
    """Each prefix that is taken, by key, with what the kernel makes of it."""
    return {keys.IMPORTED.key(node, prefix): _imported(node, one, actual) for prefix, one in imports.items()}


def _imported(node: str, made: Import, actual: Mapping[RouteKey, Route]) -> Imported:
    wanted = made.route.gateways if made.route is not None else ()
    found = actual.get(made.route.key) if made.route is not None else None
    used = found.gateways if found is not None else ()
    refused = ", ".join(str(gateway) for gateway in wanted if gateway not in used)
    reasons = [
        made.reason,
        f"the kernel does not reach {refused}: is it on a link of the node?" if refused else "",
    ]
    paths = tuple(_path(peer, path, used) for peer, path in made.paths.items())
    return Imported(prefix=made.prefix, node=node, paths=paths, reason="; ".join(filter(None, reasons)))


def _path(peer: str, path: Path, used: Collection[IPAddress]) -> ImportedPath:
    return ImportedPath(
        peer=peer,
        next_hop=path.next_hop,
        as_path=path.as_path,
        med=path.med,
        local_pref=path.local_pref,
        stale=path.stale,
        used=path.next_hop in used,
    )


def presumed(peer: str, imported: Mapping[IPNetwork, Imported]) -> dict[IPNetwork, Path]:
    """What was last said to be taken from a peer."""
    return {
        prefix: Path(path.next_hop, path.as_path, path.med, path.local_pref)
        for prefix, made in imported.items()
        for path in made.paths
        if path.peer == peer
    }
