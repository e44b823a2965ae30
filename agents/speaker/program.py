"""The speaker program: what the store says becomes sessions, what they say goes back to the store.

Stopping lets go of the ExaBGP processes and nothing else: they go on speaking, and the next start finds
them. With the store away everything stays as it is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from agents.belief import Belief, agent_believes
from agents.boot import boot_id
from agents.command import Refusal
from agents.driver import Driver
from agents.kernel.routes import RouteDriver
from agents.knowledge import Knowledge
from agents.loop import Loop
from agents.publisher import Publisher
from agents.report import StoreDriver
from agents.speaker import reports
from agents.speaker.imported_routes import ImportedRoutes
from agents.speaker.outbound import Outbound
from agents.speaker.peering import configuration, crowded, local_address, why_mute
from agents.speaker.peerings import Make, Peerings, Presumed
from agents.speaker.secrets import DEFAULT_DIRECTORY, Secrets
from agents.speaker.wanted import Wanted
from bgp.exabgp import rundir
from bgp.exabgp.driver import ExaBgpSpeaker
from bgp.exabgp.retire import retire
from bgp.exabgp.rundir import RunDir
from bgp.fsm import State
from bgp.history import Transition
from bgp.peer import PeerConfig
from bgp.speaker import SessionReport
from intent.imports import imports
from intent.names import IMPORT_PROTOCOL
from intent.routes import Route, RouteKey
from intent.session import NoSession
from intent.snapshot import UNSPOKEN, Snapshot, watched_by_speaker
from pki import parents
from store import keys
from store.client import Put, Store
from store.codec import encode
from store.lease import Heartbeat
from store.model import Alive, Node, Peer, Program

log = logging.getLogger(__name__)

ALIVE_TTL_S = 10
RETIRE_S = 15.0
BGP_DIRECTORY = "bgp"
BELIEF_FILE = "speaker-belief.json"
"""In the run directory."""


class AlreadyRunning(Refusal):
    """Another speaker uses the run directory."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the speaker is told at start."""

    node: str
    run_dir: Path
    secrets_dir: Path = DEFAULT_DIRECTORY
    """Holds the passwords of sessions, each in a file named for its secret."""


@dataclass(frozen=True, slots=True)
class _Configured:
    """The configuration of every peer, and what it follows from."""

    node: Node
    peers: Mapping[str, Peer]
    made: Mapping[str, PeerConfig]


class SpeakerProgram:
    """One node's BGP program.

    Args:
        settings: see `Settings`.
        store: the store; whoever opened it closes it.
        make: makes the speaker of one peer.
        routes: of the driver of imported routes, in place of the kernel's.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        make: Make = ExaBgpSpeaker,
        routes: Driver[RouteKey, Route] | None = None,
    ) -> None:
        self._node = settings.node
        self._base = settings.run_dir / BGP_DIRECTORY
        self._secrets = Secrets(settings.secrets_dir)
        self._boot_id = boot_id()
        self._loop = Loop(self._step, self._resync)
        self._routes = ImportedRoutes(self._loop.mark_resync, routes)
        belief = Belief(settings.run_dir / BELIEF_FILE, agent_believes)
        self._knowledge = Knowledge(
            store, settings.node, self._loop.mark, belief, watched_by_speaker(settings.node), UNSPOKEN
        )
        self._waited_for = ""
        self._wanted = Wanted(store, self._boot_id, self._loop.mark, lambda: self._knowledge.believes)
        self._peerings = Peerings(self._base, self._loop.mark, make)
        self._outbound = Outbound(self._peerings)
        self._publisher = Publisher(
            {
                "sessions": StoreDriver(store, keys.SESSIONS, settings.node),
                "advertised": StoreDriver(store, keys.ADVERTISED, settings.node),
                "imported": StoreDriver(store, keys.IMPORTED, settings.node),
            }
        )
        self._heartbeat = Heartbeat(store, ALIVE_TTL_S, [self._alive()])
        self._lock: int | None = None
        self._all_known = False
        self._configured: _Configured | None = None
        """What was found last, as long as a look would find the same; see `_configure`."""
        self._refusals: dict[str, SessionReport] = {}
        self._warned = ""

    def start(self) -> None:
        """Start every part. Raises `AlreadyRunning` or `PermissionError` before anything was touched."""
        self._lock = _claim(self._base)
        self._routes.start()
        self._knowledge.start()
        self._publisher.start()
        self._heartbeat.start()

    def run(self) -> None:
        """Work until `stop`; then stop every part but the ExaBGP processes. Blocking."""
        log.info("speaker started node=%s", self._node)
        self._loop.run()
        self._routes.stop()
        self._knowledge.stop()
        self._wanted.look_around(edge=False)
        self._peerings.detach()
        self._peerings.wait(RETIRE_S)
        self._publisher.stop()
        self._heartbeat.stop()
        if self._lock is not None:
            os.close(self._lock)
        log.info("speaker stopped node=%s; ExaBGP goes on", self._node)

    def stop(self) -> None:
        """End `run`. From a signal handler or any thread."""
        self._loop.stop()

    def _resync(self) -> None:
        self._routes.forget()
        self._configured = None

    def _step(self) -> float | None:
        """One pass: everything that the store wants of the sessions, and everything they say."""
        self._recheck_restored()
        snapshot = self._knowledge.snapshot()
        if snapshot is None:
            return None
        if snapshot.node is None:
            # Not the same as a node without peers: whoever lost the store's data must not lose the routes.
            self._warn(f"node {self._node} is not registered; polder node create {self._node} --asn ASN")
            return None
        self._warned = ""
        configured, refused = self._configure(snapshot.node, snapshot.peers)
        presumed = partial(self._presumed, snapshot)
        refused |= self._peerings.keep(configured, set(snapshot.peers), presumed)
        self._wanted.look_around(snapshot.node.edge)
        self._announce(snapshot)
        if not self._is_known():
            return None
        pause_s = self._import(snapshot)
        self._report(snapshot, configured, refused)
        return pause_s

    def _is_known(self) -> bool:
        """Whether each peer has said something, as it does soon: till then what was said before stands."""
        self._all_known = self._all_known or None not in self._peerings.reports().values()
        return self._all_known

    def _import(self, snapshot: Snapshot) -> float | None:
        made = imports(self._peerings.imported(), snapshot.pools.values())
        pause_s = self._routes.bring(one.route for one in made.values() if one.route is not None)
        if (actual := self._routes.actual) is not None:
            self._publisher.say("imported", reports.imported(self._node, made, actual))
        return pause_s

    def _announce(self, snapshot: Snapshot) -> None:
        held = self._peerings.advertised()
        self._outbound.keep(snapshot.peers.keys())
        for name, peer in snapshot.peers.items():
            if (wanted := self._wanted.of(snapshot, peer)) is not None:
                self._outbound.replace(snapshot, peer, wanted, held.get(name, frozenset()))

    def _recheck_restored(self) -> None:
        """A store that was restored lacks what was said since the backup."""
        waits_for = self._knowledge.waits_for
        if waits_for != self._waited_for:
            for family in ("sessions", "advertised", "imported"):
                self._publisher.recheck(family)
        self._waited_for = waits_for

    def _configure(
        self, node: Node, peers: Mapping[str, Peer]
    ) -> tuple[dict[str, PeerConfig], dict[str, str]]:
        """The configuration of each peer, and why another one has none.

        Asked anew when node or peers are others, at a resync, and at each pass where a file has a password or
        something is in the way: most passes are about prefixes.
        """
        last = self._configured
        if last is not None and last.node is node and last.peers is peers:
            return dict(last.made), {}
        configured, refused = {}, {}
        for name, peer in peers.items():
            before = self._peerings.last_local_address(name, peer.address)
            try:
                configured[name] = configuration(node, peer, local_address(peer, before), self._secrets.read)
            except NoSession as fault:
                refused[name] = str(fault)
        refused |= (late := crowded(configured))
        made = {name: each for name, each in configured.items() if name not in late}
        stands = not refused and all(each.password is None for each in made.values())
        self._configured = _Configured(node, peers, made) if stands else None
        return dict(made), refused

    def _presumed(self, snapshot: Snapshot, peer: str) -> Presumed:
        """What was last said to be announced to a peer, taken from it, and known of its session."""
        held = frozenset(prefix for prefix, made in snapshot.advertised.items() if peer in made.peers)
        refusal, said = self._refusals.get(peer), snapshot.sessions.get(peer)
        history = refusal.history if refusal else reports.history(said)
        return Presumed(held, reports.presumed(peer, snapshot.imported), history)

    def _report(
        self, snapshot: Snapshot, configured: Mapping[str, PeerConfig], refused: Mapping[str, str]
    ) -> None:
        found = self._peerings.reports()
        self._refusals = {name: self._refusal(snapshot, name, why) for name, why in refused.items()}
        mute = {
            name: why_mute(configured[name])
            for name, report in found.items()
            if report is not None and report.state is not State.ESTABLISHED and name in configured
        }
        known = {
            name: reports.going_on(reports.explained(report, mute.get(name, "")), refused.get(name))
            for name, report in found.items()
            if report is not None
        }
        advertised = self._peerings.advertised()
        guarded = self._outbound.outcomes()
        sessions = reports.sessions(
            self._node, snapshot.peers, self._refusals | known, advertised, configured, guarded
        )
        self._publisher.say("sessions", sessions)
        self._publisher.say("advertised", reports.prefixes(self._node, advertised))

    def _refusal(self, snapshot: Snapshot, name: str, why: str) -> SessionReport:
        before = self._refusals.get(name)
        if before is not None and before.reason == why:
            return before
        log.warning("no session peer=%s why=%s", name, why)
        made = Transition(datetime.now(UTC), State.IDLE, why)
        history = self._presumed(snapshot, name).history.then(made)
        return SessionReport(State.IDLE, (history.last or made).at, why, history=history)

    def _warn(self, message: str) -> None:
        if message != self._warned:
            log.warning("%s", message)
        self._warned = message

    def _alive(self) -> Put:
        alive = Alive(
            node=self._node, program=Program.SPEAKER, boot_id=self._boot_id, started=datetime.now(UTC)
        )
        return Put(keys.ALIVE.key(self._node, Program.SPEAKER), encode(alive))


def retire_all(settings: Settings, *, graceful_s: float = 0.0) -> None:
    """Withdraw everything, end every session that a speaker of this run directory has left, and remove what
    was imported. Blocking. Before that all routes carry GRACEFUL_SHUTDOWN (RFC 8326) for `graceful_s`.

    Raises `AlreadyRunning` or `PermissionError` before anything was touched.
    """
    base = settings.run_dir / BGP_DIRECTORY
    lock = _claim(base)
    found = [RunDir(path) for path in base.iterdir() if path.is_dir()]
    with ThreadPoolExecutor(len(found) or 1, "retire") as pool:
        list(pool.map(partial(retire, graceful_s=graceful_s), found))
    ImportedRoutes(lambda: None, RouteDriver(IMPORT_PROTOCOL)).bring(())
    os.close(lock)


def _claim(base: Path) -> int:
    parents.make(base, 0o700)
    lock = rundir.lock(base)
    if lock is None:
        raise AlreadyRunning(f"another speaker runs with {base.parent}: stop it first")
    return lock
