"""The pass of the node agent: makes kernel, switch and reports equal to what should be, in order.

Up: link, neighbour, route, share of the uplinks, meter, flow, port, readiness. Down: readiness, the wait for
the withdrawal, flow, meter, share, route, neighbour, port and link, attachment; and of a block readiness, the
wait, blackhole. A service goes the same ways, with its address in the endpoints' namespaces in the place
of the link. The same pass serves an event, a restart and a resync.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from agents.delta import puts
from agents.node.desired import desired_of, takeable, with_last_takers
from agents.node.judging import Judging
from agents.node.leaving import Leaving
from agents.node.plan import Memory, Plan, plan
from agents.node.plug import Busy, Plug, Plugged
from agents.node.plugging import Plugging
from agents.node.serving import Services
from agents.node.wants import Stage, Want, Wants
from agents.publisher import Publisher
from agents.reconciler import Reconciler
from intent.flows import flows_of
from intent.held import KEPT, Held
from intent.neighbours import Neighbour, NeighbourKey
from intent.routes import Route, RouteKey, Rule, routed_blocks, routes_of
from intent.services import Serving, service_flows_of, service_routes
from intent.shares import Share, ShareKey
from intent.snapshot import Snapshot
from intent.summaries import summaries
from openflow.flow import Flow, FlowKey
from openflow.meter import Meter
from store import keys
from store.model import Attachment, Block, IPAddress, IPNetwork, Pool, Ready, host_prefix

log = logging.getLogger(__name__)

RETRY_S = 0.5
DRAIN_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Devices:
    """What the pass reads and writes, each with its driver."""

    plug: Plug
    rules: Reconciler[Rule, Rule]
    neighbours: Reconciler[NeighbourKey, Neighbour]
    routes: Reconciler[RouteKey, Route]
    shares: Reconciler[ShareKey, Share]
    meters: Reconciler[int, Meter]
    flows: Reconciler[FlowKey, Flow]

    @property
    def reconcilers(self) -> tuple[Reconciler[Any, Any], ...]:
        """All that hold a believed state, in the order of going up."""
        return (self.rules, self.neighbours, self.routes, self.shares, self.meters, self.flows)


class Dataplane:
    """One node's dataplane. `step` and `resync` are called by one thread.

    Args:
        snapshot: what should be; None as long as the store has not been read whole.
        netns_alive: whether a want's namespace is still the one it was.
        boot_id: readiness is reported under it.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot | None],
        wants: Wants,
        devices: Devices,
        publisher: Publisher,
        services: Services,
        *,
        netns_alive: Callable[[Want], bool],
        boot_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._snapshot = snapshot
        self._wants = wants
        self._devices = devices
        self._publisher = publisher
        self._services = services
        self._netns_alive = netns_alive
        self._boot_id = boot_id
        self._clock = clock
        self._memory = Memory()
        self._judging = Judging(devices.flows)
        self._leaving_blocks = Leaving[Block]()
        self._leaving_ranges = Leaving[Pool]()
        self._leaving_services = Leaving[Serving]()
        self._plugging = Plugging(devices.plug, wants, services)
        self._alive: dict[str, Want] = {}
        self._attachments: dict[str, _Said] = {}
        self._done: tuple[object, ...] | None = None
        self.wanted: tuple[Mapping[Any, Any], ...] | None = None
        """What the last pass wanted of each reconciler; None before there was one. For any thread."""
        self._missing_meters: Set[int] = frozenset()
        """Those that the switch did not take in this pass."""
        self._confirmed: set[IPNetwork] = set()
        self._reported = False

    @property
    def reconcilers(self) -> tuple[Reconciler[Any, Any], ...]:
        """All that hold a believed state; their counters may be read by any thread."""
        return self._devices.reconcilers

    @property
    def reported(self) -> bool:
        """Whether it was said what can be delivered, of the snapshot of the last step."""
        return self._reported

    @property
    def flows_settled(self) -> bool:
        """Whether the last pass left the switch with the flows that it should have."""
        return self._devices.flows.settled

    def resync(self) -> None:
        """Believe nothing: the next step reads every device again."""
        self._alive.clear()
        self._memory = replace(self._memory, up={})
        self._plugging.forget()
        self._done = None
        self._devices.plug.forget()
        for reconciler in self._devices.reconcilers:
            reconciler.forget()

    def step(self) -> float | None:
        """One pass. Returns the seconds until it wants to run again, or None."""
        snapshot = self._snapshot()
        if self._devices.flows.look():
            self._done = None
        try:
            pause_s = self._pass(snapshot) if snapshot is not None else None
        except Busy as fault:
            log.warning("switch or kernel is busy why=%s", fault)
            self._reported = False
            pause_s = RETRY_S
        return 0.0 if self._devices.flows.can_look else pause_s

    def _pass(self, snapshot: Snapshot) -> float | None:
        wants, plugged = dict(self._wants.all()), self._plugging.read()
        if (
            self._done is not None
            and self._services.current
            and _same(self._done, _inputs(snapshot, wants, plugged))
        ):
            self._memory = replace(self._memory, advertised=snapshot.advertised)
            return None
        self._done = None
        self._reported = False
        now, before, advertised = self._clock(), self._plugging.held, self._memory.advertised
        mine = summaries(snapshot)
        ranges = self._leaving_ranges.look(mine, snapshot, advertised, now)
        blocks = self._leaving_blocks.look(snapshot.blocks, snapshot, advertised, now)
        todo, self._memory = plan(snapshot, wants, self._is_alive, self._memory, now)
        held = self._plugging.plug_in(todo, snapshot, wants, plugged)
        up = {name: one for name, one in held.items() if name in todo.up and not one.closed}
        self._plugging.hold_services(snapshot, up, plugged, only=False)
        serving = self._services.look(snapshot, up, plugged)
        served = {each.prefix: each for each in serving.values() if each.takers}
        leaving = self._leaving_services.look(served, snapshot, advertised, now)
        todo = with_last_takers(todo, leaving.values(), before, held)
        standing = replace(snapshot, blocks={**blocks, **snapshot.blocks})
        judging = self._judging.rules(snapshot)
        desired = desired_of(standing, held.values(), serving, leaving.values(), {*ranges, *mine}, judging)
        self.wanted = desired
        done = [self._put(*pair) for pair in zip(self._devices.reconcilers, desired, strict=True)]
        up = self._plugging.settle(up, wants, plugged)
        self._confirm(snapshot, up, served, all(done))
        self._report(snapshot)
        if not any(name in plugged and name not in held for name in self._plugging.busy):
            for reconciler, wanted in reversed(list(zip(self._devices.reconcilers, desired, strict=True))):
                reconciler.delete(wanted)
            self._plugging.hold_services(snapshot, up, plugged, only=True)
            self._take_down(todo, wants, plugged)
        self._report_attachments(snapshot)
        if self._plugging.busy or any(reconciler.wants_retry for reconciler in self._devices.reconcilers):
            return RETRY_S
        if todo.draining or blocks or ranges or leaving:
            return DRAIN_POLL_S
        # With what this pass changed itself, and without what came meanwhile: that is still to be done.
        self._done = _inputs(snapshot, wants, plugged)
        return None

    def _is_alive(self, want: Want) -> bool:
        """Looked up once: when a namespace dies its link dies, and that is a reason to read all again."""
        if self._alive.get(want.endpoint) is not want and self._netns_alive(want):
            self._alive[want.endpoint] = want
        return self._alive.get(want.endpoint) is want

    def _put(self, reconciler: Reconciler[Any, Any], wanted: Mapping[Any, Any]) -> bool:
        reconciler.wants_retry = False
        if reconciler is self._devices.flows:
            wanted = takeable(wanted, self._missing_meters)
        done = reconciler.put(wanted)
        if reconciler is self._devices.meters:
            self._missing_meters = wanted.keys() - reconciler.actual.keys()
        return done

    def _confirm(
        self,
        snapshot: Snapshot,
        up: Mapping[str, Held],
        served: Mapping[IPNetwork, Serving],
        all_done: bool,
    ) -> None:
        """Find out which prefixes can be delivered. What cannot be read now stays as it was."""
        wanted = _blackholes(snapshot).union(served, *(_prefixes(one) for one in up.values()))
        if all_done:
            self._confirmed = wanted
            self._wants.attached(up)
            return
        if not (self._devices.routes.known and self._devices.flows.known):
            self._confirmed &= wanted
            return
        in_kernel, in_switch = self._devices.routes.actual, self._devices.flows.actual
        self._confirmed = {one for one in _blackholes(snapshot) if RouteKey(one) in in_kernel}
        for name, one in up.items():
            if not puts(routes_of(one), in_kernel) and not puts(flows_of(one), in_switch):
                self._confirmed |= _prefixes(one)
                self._wants.attached([name])
        self._confirmed |= {
            prefix
            for prefix, one in served.items()
            if not puts(service_routes(one), in_kernel) and not puts(service_flows_of(one), in_switch)
        }

    def _report(self, snapshot: Snapshot) -> None:
        """Say what is ready; nothing as long as nothing is known, so that a restart withdraws nothing."""
        if not (self._confirmed or (self._devices.routes.known and self._devices.flows.known)):
            return
        self._reported = True
        said = dict[str, Ready]()
        others = set(self._confirmed)
        for one in self._plugging.held.values():
            others -= _prefixes(one)
            reports = _reports(one, snapshot.name, self._boot_id)
            if _prefixes(one) <= self._confirmed:
                said.update(reports)
            else:
                said.update((key, each) for key, each in reports.items() if each.prefix in self._confirmed)
        said.update(_ready(snapshot.name, each, self._boot_id, None) for each in others)
        self._publisher.say("ready", said)
        self._publisher.say("health", self._services.report(snapshot))

    def _take_down(self, todo: Plan, wants: dict[str, Want], plugged: dict[str, Plugged]) -> None:
        """The attachment goes with the plug, so neither goes while a device may still have the rest."""
        if not all(reconciler.known for reconciler in self._devices.reconcilers):
            return
        self._plugging.take_down(todo.down, wants, plugged)

    def _report_attachments(self, snapshot: Snapshot) -> None:
        """Every want but those that are being written by others. The store's own words do of an endpoint that
        went while no agent looked."""
        before, self._attachments, known = self._attachments, {}, self._memory.endpoints
        for name, want in self._wants.all().items():
            if want.stage is Stage.HOLDING:
                continue
            of = known.get(name) or snapshot.endpoints.get(name) or snapshot.attachments.get(name)
            if of is None:
                continue
            kept = before.get(name)
            if kept is None or kept.want is not want or kept.addresses is not of.addresses:
                said = want.attachment(snapshot.name, of.addresses, self._boot_id)
                kept = _Said(want, of.addresses, keys.ATTACHMENTS.key(snapshot.name, name), said)
            self._attachments[name] = kept
        self._publisher.say("attachments", {one.key: one.said for one in self._attachments.values()})


@dataclass(frozen=True, slots=True)
class _Said:
    """The report that an endpoint is held, with its key, and what it follows from. Made once."""

    want: Want
    addresses: tuple[IPAddress, ...]
    key: str
    said: Attachment


@lru_cache(maxsize=KEPT)
def _reports(held: Held, node: str, boot_id: str) -> Mapping[str, Ready]:
    """The reports that an endpoint's prefixes are ready, by key. Made once: every pass says all of them."""
    return dict(_ready(node, each, boot_id, held.endpoint.id) for each in _prefixes(held))


def _ready(node: str, prefix: IPNetwork, boot_id: str, endpoint: str | None) -> tuple[str, Ready]:
    """The report that a prefix is ready, with its key."""
    said = Ready(prefix=prefix, node=node, boot_id=boot_id, endpoint=endpoint)
    return keys.READY.key(node, prefix), said


def _inputs(
    snapshot: Snapshot, wants: Mapping[str, Want], plugged: Mapping[str, Plugged]
) -> tuple[object, ...]:
    """What a pass depends on, apart from the devices, when nothing is going down."""
    stages = [want.stage for want in wants.values()]
    if Stage.HOLDING in stages:
        wants = {name: want for name, want in wants.items() if want.stage is not Stage.HOLDING}
        stages = [want.stage for want in wants.values()]
    wanted = (dict(wants), stages, list(map(snapshot.endpoints.get, wants)))
    ranges = tuple(summaries(snapshot))
    around = (snapshot.peers, snapshot.blocks, ranges, snapshot.displaced, snapshot.moves, snapshot.services)
    own = snapshot.node and (snapshot.node.direct, snapshot.node.next_hops, snapshot.node.uplinks)
    told = (snapshot.telling, snapshot.told)
    policies = (snapshot.pools, snapshot.rules, snapshot.groups, snapshot.sets, *told)
    return (*around, own, snapshot.on_link, *policies, wanted, plugged)


def _blackholes(snapshot: Snapshot) -> set[IPNetwork]:
    """What is announced although nobody may hold all of it."""
    return {*routed_blocks(snapshot), *summaries(snapshot)}


def _same(before: tuple[object, ...], now: tuple[object, ...]) -> bool:
    return all(a is b or a == b for a, b in zip(before, now, strict=True))


@lru_cache(maxsize=KEPT)
def _prefixes(held: Held) -> frozenset[IPNetwork]:
    return frozenset(host_prefix(address) for address in held.endpoint.addresses)
