"""The node agent: its parts, and how they are started and stopped.

Stopping leaves the dataplane as it is: links, routes and flows go on forwarding, and the next start finds
them. Only the liveness key goes with the program.
"""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from agents.belief import Belief, was_heard
from agents.boot import boot_id
from agents.kernel.links import Links
from agents.kernel.monitor import Monitor
from agents.kernel.neighbours import NeighbourDriver
from agents.kernel.netlink import KernelError
from agents.kernel.netns import inode, is_still
from agents.kernel.routes import RouteDriver, RuleDriver
from agents.kernel.shares import ShareDriver
from agents.knowledge import Knowledge
from agents.loop import Loop
from agents.node import only
from agents.node.api import ApiServer
from agents.node.attachments import RESTORING, Attachments
from agents.node.dataplane import RETRY_S, Dataplane, Devices
from agents.node.explain.answers import Sources, make_questions
from agents.node.explain.diff import IN_PASS
from agents.node.explain.drops import DropLog
from agents.node.explain.exposition import MetricsServer
from agents.node.explain.metrics import NodeMetrics
from agents.node.explain.questions import Questions
from agents.node.explain.samples import Samples
from agents.node.exporting import Exporting
from agents.node.findings import Findings
from agents.node.flow_driver import FlowDriver
from agents.node.health.checker import Checker
from agents.node.holding import HoldingReport
from agents.node.meter_driver import MeterDriver
from agents.node.places import Places
from agents.node.plug import Busy, Plug
from agents.node.serving import Services
from agents.node.switch_restart import SwitchRestart
from agents.node.uplinks import Uplinks
from agents.node.wants import Refused, Wants
from agents.publisher import Publisher
from agents.reconciler import Reconciler
from agents.report import StoreDriver
from intent.names import BRIDGE, GATEWAY_MAC, GATEWAY_SOURCES, GATEWAYS
from intent.snapshot import UNHELD, Snapshot, watched
from openflow.bridge import Bridge
from openflow.errors import BridgeError
from openflow.management import Management, ovs_run_dir, socket_path
from openflow.metering import Metering
from openflow.switch import Switch
from pki import parents
from store import keys
from store.client import Exists, Put, Store
from store.codec import encode
from store.lease import Heartbeat
from store.model import Alive, Attachment, HeldKind, Program

log = logging.getLogger(__name__)

ALIVE_TTL_S = 10
SHARES = IN_PASS.index(HeldKind.SHARES)
BELIEF_FILE = "agent-belief.json"
"""In the run directory."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the agent is told at start."""

    node: str
    run_dir: Path
    ovsdb: str
    metrics_listen: tuple[str, int] | None = None
    """Where metrics are served beside the socket: host, which is loopback, and port."""


class Agent:
    """One node's dataplane program."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._boot_id = boot_id()
        management = socket_path(ovs_run_dir(settings.ovsdb), BRIDGE)
        self._management = Management(management)
        self._metrics = NodeMetrics(
            self._management,
            lambda: self._plug.read(),
            lambda: self._dataplane.reconcilers,
            lambda: self._dataplane.wanted,
        )
        self._loop = Loop(self._metrics.timed(self._step), self._resync)
        self._wants = Wants()
        belief = Belief(settings.run_dir / BELIEF_FILE, was_heard)
        self._knowledge = Knowledge(
            store, settings.node, self._loop.mark, belief, watched(settings.node), UNHELD
        )
        again = self._loop.mark_resync
        self._switch = Switch(management, on_connect=again, on_touched=again)
        self._bridge = Bridge(settings.ovsdb, BRIDGE, on_change=self._loop.mark)
        self._flows = FlowDriver(self._switch, self._loop.mark)
        self._restart = SwitchRestart(self._bridge, self._switch)
        self._exporting = Exporting(self._bridge)
        self._links = Links()
        self._plug = Plug(self._links, self._bridge)
        self._uplinks = Uplinks(self._links, lambda: self._monitor.mtus(), self._knowledge)
        self._shares = ShareDriver()
        self._findings = Findings(self._shares.refused)
        self._monitor = Monitor(
            lambda _what: self._loop.mark_resync(),
            awaited=self._wants.has_port,
            is_uplink=self._uplinks.is_one,
            awaits_shares=lambda ifname: ifname in self._findings.unshared,
        )
        self._checker = Checker(self._loop.mark, GATEWAY_SOURCES)
        self._publisher = self._make_publisher()
        self._holding = HoldingReport(settings.node, self._boot_id, self._publisher)
        self._dataplane = self._make_dataplane()
        self._drops = DropLog(
            self._management, Samples(management, _now), self._plug.read, lambda: self._dataplane.wanted, _now
        )
        self._questions = self._make_questions()
        self._started = _now()
        self._heartbeat = Heartbeat(store, ALIVE_TTL_S, [self._alive()])
        self._ground_why: str | None = "not tried yet"
        self._looked = False
        self._api: ApiServer | None = None
        self._exposition: MetricsServer | None = None
        self._claim: socket.socket | None = None

    def start(self) -> None:
        """Start every part. Raises `only.claim`'s refusals before anything was touched."""
        self._claim = only.claim()
        parents.make(self._settings.run_dir, parents.PARENT)
        attachments = Attachments(
            node=self._settings.node,
            boot_id=self._boot_id,
            store=self._store,
            knowledge=self._knowledge,
            wants=self._wants,
            wake=self._loop.mark,
            written=partial(self._publisher.written, "attachments"),
            recheck=partial(self._publisher.recheck, "attachments"),
            places=Places(inode, self._bridge.holds),
        )
        self._api = ApiServer(
            self._settings.run_dir / "agent.sock", attachments, self.not_ready, self._metrics.render
        )
        if self._settings.metrics_listen is not None:
            self._exposition = MetricsServer(self._settings.metrics_listen, self._metrics.render)
        self._switch.start()
        self._bridge.start()
        self._knowledge.start()
        self._publisher.start()
        self._heartbeat.start()
        self._monitor.start()
        self._checker.start()
        self._questions.start()
        self._drops.start()
        self._api.start()
        if self._exposition is not None:
            self._exposition.start()

    def run(self) -> None:
        """Work until `stop`; then stop every part. Blocking."""
        log.info("agent started node=%s", self._settings.node)
        self._loop.run()
        for server in (self._api, self._exposition):
            if server is not None:
                server.stop()
        self._questions.stop()
        self._drops.stop()
        self._monitor.close()
        self._checker.stop()
        self._knowledge.stop()
        self._publisher.stop()
        self._heartbeat.stop()
        self._restart.end()
        self._switch.stop()
        self._bridge.close()
        self._store.close()
        if self._claim is not None:
            self._claim.close()
        log.info("agent stopped node=%s; routes and flows stay", self._settings.node)

    def stop(self) -> None:
        """End `run`. From a signal handler or any thread."""
        self._loop.stop()

    def not_ready(self) -> dict[str, str]:
        """What the agent waits for, by name, with the reason; empty when it works."""
        waiting = {}
        snapshot = self._knowledge.snapshot()
        if self._knowledge.waits_for:
            waiting["store"] = RESTORING
        elif snapshot is None:
            waiting["store"] = "etcd has not been read yet; is it running, and is --etcd right?"
        elif snapshot.node is None:
            name = self._settings.node
            waiting["node"] = f"node {name} is not registered; polder node create {name} --asn ASN"
        if self._ground_why is not None:
            waiting["bridge"] = self._ground_why
        if not self._switch.connected:
            waiting["switch"] = f"bridge {BRIDGE} does not answer; does ovs-vswitchd run?"
        if not waiting and not self._looked:
            waiting["dataplane"] = "routes and flows have not been compared with what should be yet"
        return waiting

    def _step(self) -> float | None:
        self._heartbeat.say([self._alive()])
        if self._ground_why is not None and not self._lay_ground():
            return RETRY_S
        believes = self._knowledge.believes  # before the step, which is then of this store or a later one
        snapshot = self._knowledge.snapshot()
        if snapshot is not None and snapshot.node is not None:
            self._exporting.look(snapshot.node)
        pause_s = self._dataplane.step()
        self._looked = self._looked or self._dataplane.reported
        self._look_for_amiss(snapshot)
        told_s = self._tell_holding(believes if self._dataplane.reported else "")
        mark_s = self._settle_restart()
        return min((each for each in (pause_s, told_s, mark_s) if each is not None), default=None)

    def _look_for_amiss(self, snapshot: Snapshot | None) -> None:
        passed = self._dataplane.wanted
        node = snapshot.node if snapshot is not None else None
        if node is None or passed is None:
            return
        if self._findings.look(node, self._uplinks.ways, passed[SHARES], self._dataplane.reconcilers[SHARES]):
            self._heartbeat.say([self._alive()])

    def _settle_restart(self) -> float | None:
        try:
            self._restart.settle(self._flows.connection if self._dataplane.flows_settled else None)
        except BridgeError as fault:
            log.warning("switch is not told whether to wait why=%s", fault)
            return RETRY_S
        return None

    def _tell_holding(self, believes: str) -> float | None:
        """Also while the store is not believed: it is what a restored backup is completed with."""
        if not self._knowledge.connected:
            return None
        try:
            waits_for = self._knowledge.waits_for
            return self._holding.say(self._plug.read(), waits_for=waits_for, believes=believes)
        except Busy:
            return RETRY_S

    def _resync(self) -> None:
        self._ground_why = self._ground_why or "read again"
        self._exporting.forget()
        self._dataplane.resync()

    def _lay_ground(self) -> bool:
        """The bridge with its gateway, what is plugged into it, and no link that nobody wants."""
        try:
            self._bridge.ensure(mac=GATEWAY_MAC)
            self._links.setup_gateway(BRIDGE, GATEWAY_MAC, GATEWAYS)
            self._uplinks.measure()
            self._adopt()
            self._plug.sweep(self._wants.all())
        except (Busy, BridgeError, KernelError) as fault:
            if self._ground_why != str(fault):
                log.warning("bridge is not ready why=%s", fault)
            self._ground_why = str(fault)
            return False
        self._ground_why = None
        return True

    def _adopt(self) -> None:
        for plugged in self._plug.read().values():
            try:
                if self._wants.add(plugged.want):
                    log.info("found attached endpoint=%s to=%s", plugged.want.endpoint, plugged.want.where)
            except Refused as fault:
                log.warning("port of another attachment endpoint=%s why=%s", plugged.want.endpoint, fault)

    def _make_publisher(self) -> Publisher:
        node = self._settings.node

        def still_here(attachment: Attachment) -> Exists:
            return Exists(keys.NODE_ENDPOINTS.key(node, attachment.endpoint))

        def is_wanted(key: str) -> bool:
            parts = keys.ATTACHMENTS.parts(key)
            return parts is not None and parts[1] in self._wants.all()

        return Publisher(
            {
                "ready": StoreDriver(self._store, keys.READY, node),
                "health": StoreDriver(self._store, keys.HEALTH, node),
                "holding": StoreDriver(self._store, keys.HOLDING, node),
                "attachments": StoreDriver(
                    self._store, keys.ATTACHMENTS, node, guard=still_here, keep=is_wanted
                ),
            }
        )

    def _make_dataplane(self) -> Dataplane:
        devices = Devices(
            plug=self._plug,
            rules=Reconciler("rules", RuleDriver()),
            neighbours=Reconciler("neighbours", NeighbourDriver()),
            routes=Reconciler("routes", RouteDriver()),
            shares=Reconciler("shares", self._shares),
            meters=Reconciler("meters", MeterDriver(Metering(self._switch))),
            flows=Reconciler("flows", self._flows, self._flows.begin),
        )
        return Dataplane(
            self._knowledge.snapshot,
            self._wants,
            devices,
            self._publisher,
            Services(self._checker, self._boot_id),
            netns_alive=lambda want: not want.netns or is_still(want.netns, want.netns_id),
            boot_id=self._boot_id,
        )

    def _make_questions(self) -> Questions:
        return make_questions(
            self._settings.node,
            self._store,
            ovs_run_dir(self._settings.ovsdb),
            self._management,
            Sources(
                plug=self._plug,
                wanted=lambda: self._dataplane.wanted,
                wants=self._wants.all,
                snapshot=self._knowledge.snapshot,
            ),
            self._drops,
        )

    def _alive(self) -> Put:
        alive = Alive(
            node=self._settings.node,
            program=Program.AGENT,
            boot_id=self._boot_id,
            started=self._started,
            amiss=self._findings.amiss,
            waits_for=self._knowledge.waits_for,
        )
        return Put(keys.ALIVE.key(self._settings.node, Program.AGENT), encode(alive))


def _now() -> datetime:
    return datetime.now(UTC)
