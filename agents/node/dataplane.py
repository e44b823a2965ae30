"""The pass of the node agent: makes kernel, switch and reports equal to what should be, in order.

Up: link and port, neighbour, route, flow, readiness. Down: readiness, the wait for the withdrawal, flow,
route, neighbour, port and link, attachment. The same pass serves an event, a restart and a resync.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from agents.node.plan import Memory, Plan, plan
from agents.node.plug import Busy, Plug, Plugged
from agents.node.wants import Refused, Want, Wants
from agents.publisher import Publisher
from agents.reconciler import Reconciler
from intent.flows import endpoint_keys, flows
from intent.held import Held
from intent.names import MAIN_TABLE
from intent.neighbours import Neighbour, NeighbourKey, neighbours
from intent.routes import Route, RouteKey, Rule, routes, rules
from intent.snapshot import Snapshot
from openflow.flow import Flow, FlowKey
from store import keys
from store.model import Attachment, Endpoint, IPNetwork, Ready, host_prefix

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
    flows: Reconciler[FlowKey, Flow]

    @property
    def reconcilers(self) -> tuple[Reconciler[Any, Any], ...]:
        """All that hold a believed state, in the order of going up."""
        return (self.rules, self.neighbours, self.routes, self.flows)


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
        *,
        netns_alive: Callable[[Want], bool],
        boot_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._snapshot = snapshot
        self._wants = wants
        self._devices = devices
        self._publisher = publisher
        self._netns_alive = netns_alive
        self._boot_id = boot_id
        self._clock = clock
        self._memory = Memory()
        self._confirmed: set[IPNetwork] = set()

    def resync(self) -> None:
        """Believe nothing: the next step reads every device again."""
        for reconciler in self._devices.reconcilers:
            reconciler.forget()

    def step(self) -> float | None:
        """One pass. Returns the seconds until it wants to run again, or None."""
        snapshot = self._snapshot()
        if snapshot is None:
            return None
        try:
            return self._pass(snapshot)
        except Busy as fault:
            log.warning("switch or kernel is busy why=%s", fault)
            return RETRY_S

    def _pass(self, snapshot: Snapshot) -> float | None:
        wants = self._wants.all()
        todo, self._memory = plan(snapshot, wants, self._netns_alive, self._memory, self._clock())
        plugged = self._devices.plug.read()
        held = self._plug_in(todo, wants, plugged)
        desired = _desired(snapshot, held.values())
        for reconciler, wanted in zip(self._devices.reconcilers, desired, strict=True):
            reconciler.wants_retry = False
            reconciler.put(wanted)
        self._confirm(snapshot, {name: one for name, one in held.items() if name in todo.up})
        self._report(snapshot)
        for reconciler, wanted in reversed(list(zip(self._devices.reconcilers, desired, strict=True))):
            reconciler.delete(wanted)
        self._take_down(todo)
        self._report_attachments(snapshot)
        if any(reconciler.wants_retry for reconciler in self._devices.reconcilers):
            return RETRY_S
        return DRAIN_POLL_S if todo.draining else None

    def _plug_in(
        self, todo: Plan, wants: Mapping[str, Want], plugged: Mapping[str, Plugged]
    ) -> dict[str, Held]:
        held = {}
        for name, endpoint in {**todo.draining, **todo.up}.items():
            there = plugged.get(name)
            ofport = there.ofport if there is not None else None
            if name in todo.up and (ofport is None or there is None or there.want != wants[name]):
                ofport = self._insert(wants[name], endpoint)
            if ofport is not None:
                held[name] = Held(endpoint, ofport)
        return held

    def _insert(self, want: Want, endpoint: Endpoint) -> int | None:
        try:
            return self._devices.plug.insert(want, endpoint)
        except Refused as fault:
            log.warning("not attached endpoint=%s why=%s", endpoint.id, fault)
            self._devices.plug.remove(endpoint.id)
            self._wants.remove(endpoint.id, fault)
            return None

    def _confirm(self, snapshot: Snapshot, up: Mapping[str, Held]) -> None:
        """Find out which prefixes can be delivered. What cannot be read now stays as it was."""
        if not (self._devices.routes.known and self._devices.flows.known):
            self._confirmed &= set(snapshot.blocks).union(*(_prefixes(one) for one in up.values()))
            return
        in_kernel = {key.destination for key in self._devices.routes.actual if key.table == MAIN_TABLE}
        in_switch = self._devices.flows.actual.keys()
        self._confirmed = set(snapshot.blocks) & in_kernel
        for name, one in up.items():
            if _prefixes(one) <= in_kernel and endpoint_keys(one) <= in_switch:
                self._confirmed |= _prefixes(one)
                self._wants.attached(name)

    def _report(self, snapshot: Snapshot) -> None:
        """Say what is ready; nothing as long as nothing is known, so that a restart withdraws nothing."""
        if not (self._confirmed or (self._devices.routes.known and self._devices.flows.known)):
            return
        ready = {
            keys.READY.key(snapshot.name, prefix): Ready(
                prefix=prefix, node=snapshot.name, boot_id=self._boot_id
            )
            for prefix in self._confirmed
        }
        self._publisher.say("ready", ready)

    def _take_down(self, todo: Plan) -> None:
        for name, why in todo.down.items():
            self._devices.plug.remove(name)
            self._wants.remove(name)
            log.info("detached endpoint=%s why=%s", name, why)

    def _report_attachments(self, snapshot: Snapshot) -> None:
        known = {**snapshot.endpoints, **self._memory.endpoints}
        held = {
            keys.ATTACHMENTS.key(snapshot.name, name): Attachment(
                endpoint=name,
                node=snapshot.name,
                addresses=known[name].addresses,
                netns=want.netns,
                ifname=want.ifname,
                boot_id=self._boot_id,
            )
            for name, want in self._wants.all().items()
            if name in known
        }
        self._publisher.say("attachments", held)


def _desired(snapshot: Snapshot, held: Collection[Held]) -> tuple[Mapping[Any, Any], ...]:
    """What each reconciler should hold, in the order of going up."""
    return (rules(), neighbours(held), routes(snapshot, held), flows(held))


def _prefixes(held: Held) -> set[IPNetwork]:
    return {host_prefix(address) for address in held.endpoint.addresses}
