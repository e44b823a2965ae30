"""The answer to `trace`: which way a packet takes on this node, told by the switch and the kernel themselves.

Nothing is sent. The switch is asked what it would do with the packet (`ofproto/trace`), the kernel which
route it would take; the reasons are those of what the last pass wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agents.kernel.lookup import Lookup, Taken
from agents.kernel.netlink import KernelError
from agents.node.explain.bridge_steps import bridge_steps
from agents.node.explain.devices import Passed
from agents.node.explain.diff import IN_PASS
from agents.node.explain.questions import NoAnswer
from agents.node.plug import Busy, Plugged
from intent.names import BRIDGE, GATEWAY_MAC
from intent.neighbours import NeighbourKey
from intent.routes import RouteKey
from openflow import syntax
from openflow.errors import SwitchError
from openflow.flow import LOCAL
from openflow.tracing import traced
from openflow.unixctl import command
from store.model import Endpoint, HeldKind, IPAddress, Segment
from store.model.trace import MOST_STEPS, Outcome, Packet, TraceAsked, TraceSaid, TraceStep, Verdict
from store.model.value import TEXT_CHARACTERS

NEIGHBOURS, ROUTES, FLOWS = map(IN_PASS.index, (HeldKind.NEIGHBOURS, HeldKind.ROUTES, HeldKind.FLOWS))
"""Where they are in what a pass wants."""
STATION_MAC = "02:00:00:00:00:fe"
"""Stands for who is on a segment and no endpoint of this node: the router, or a neighbour."""


class Trace:
    """Answers `trace`. Any thread.

    Args:
        node: this one's name.
        run_dir: that of Open vSwitch.
        lookup: the kernel.
        plugged: what is plugged in, by endpoint.
        wanted: what the last pass wanted.
    """

    def __init__(
        self,
        node: str,
        run_dir: Path,
        lookup: Lookup,
        plugged: Callable[[], Mapping[str, Plugged]],
        wanted: Passed,
    ) -> None:
        self._node = node
        self._run_dir = run_dir
        self._lookup = lookup
        self._plugged = plugged
        self._wanted = wanted

    def answer(self, asked: TraceAsked) -> TraceSaid:
        """The way on this node. Blocking, some seconds at most. Raises `NoAnswer`."""
        try:
            walk = _Walk(
                self._node,
                self._run_dir,
                self._lookup,
                self._plugged(),
                self._wanted() or ({},) * len(IN_PASS),
            )
            said = walk.from_endpoint(asked) if asked.endpoint else walk.from_uplink(asked.packet)
        except (Busy, SwitchError, KernelError) as fault:
            raise NoAnswer(f"the node cannot be looked at now: {fault}") from fault
        return said.model_copy(update={"steps": said.steps[:MOST_STEPS]})


class _Walk:
    """One packet's way."""

    def __init__(
        self,
        node: str,
        run_dir: Path,
        lookup: Lookup,
        plugged: Mapping[str, Plugged],
        wanted: tuple[Mapping[Any, Any], ...],
    ) -> None:
        self._node = node
        self._run_dir = run_dir
        self._lookup = lookup
        self._plugged = plugged
        self._wanted = wanted
        self._steps: list[TraceStep] = []

    def from_endpoint(self, asked: TraceAsked) -> TraceSaid:
        """A packet that an endpoint of this node sends."""
        there = self._plugged.get(asked.endpoint or "")
        if there is None or there.endpoint is None:
            return self._stop("port", f"endpoint {asked.endpoint} is not attached here", cure="polder attach")
        if not self._port(there) or there.ofport is None:
            return self._ended(Outcome.STOPPED)
        to = self._neighbour_of(there.endpoint, asked.packet)
        return self._bridge(asked.packet, there.shared or there.ofport, there.endpoint.mac, to)

    def from_uplink(self, packet: Packet) -> TraceSaid:
        """A packet that comes from outside."""
        for one in self._plugged.values():
            if _has(one, packet.destination) and one.endpoint is not None and one.endpoint.membership:
                return self._from_segment(packet, one, one.endpoint, one.endpoint.membership.segment)
        back = self._lookup.route(packet.source)
        iif = back.ways[0].oif if back and back.ways and back.kind == "unicast" else ""
        if iif and iif != BRIDGE:
            self._pass("uplink", f"comes in by {iif}", f"the route back to {packet.source} leads there")
        return self._kernel(packet, "" if iif == BRIDGE else iif)

    def _neighbour_of(self, sender: Endpoint, packet: Packet) -> str:
        """The MAC that it sends to: on a segment its neighbour's, whose is only known of endpoints here."""
        if sender.membership is None:
            return GATEWAY_MAC
        segment = sender.membership.segment
        here = (one.endpoint for one in self._plugged.values() if _has(one, packet.destination))
        on_it = (each for each in here if each and each.membership and each.membership.segment == segment)
        return next((each.mac for each in on_it), STATION_MAC)

    def _from_segment(self, packet: Packet, to: Plugged, endpoint: Endpoint, segment: Segment) -> TraceSaid:
        if to.uplink is None:
            return self._stop("uplink", f"{segment.uplink} is no port of the bridge")
        self._pass("uplink", f"comes in by {segment.uplink}, VLAN {segment.vlan}", f"ofport {to.uplink}")
        return self._bridge(packet, to.uplink, STATION_MAC, endpoint.mac, segment.vlan)

    def _port(self, there: Plugged) -> bool:
        """Look at an endpoint's port; whether packets pass it."""
        link = self._lookup.link(there.port)
        if there.ofport is None or (link is None and not there.want.port):
            self._stop("port", f"the switch has no link for {there.port}", f"port of {there.want.endpoint}")
        elif link is not None and not link.is_up:  # a port of the caller's may be no link (vhost-user)
            self._stop("port", f"{there.port} is down", cure=f"ip link set {there.port} up")
        else:
            self._pass(
                "port",
                f"{there.want.endpoint} is at {there.port}",
                f"ofport {there.shared or there.ofport}, {there.want.where}",
            )
            return True
        return False

    def _bridge(
        self, packet: Packet, in_port: int, eth_src: str, eth_dst: str, vlan: int | None = None
    ) -> TraceSaid:
        spoken = _spoken(packet)
        flow = syntax.flow_of(spoken, in_port=in_port, eth_src=eth_src, eth_dst=eth_dst, vlan=vlan)
        found = traced(command(self._run_dir, "ofproto/trace", BRIDGE, flow))
        self._steps += bridge_steps(self._node, found, self._wanted[FLOWS])
        if not found.outputs:
            return self._ended(Outcome.STOPPED)
        if LOCAL in found.outputs:
            return self._kernel(packet, BRIDGE)
        return self._delivered(packet, found.outputs[0])

    def _delivered(self, packet: Packet, ofport: int) -> TraceSaid:
        behind = [one for one in self._plugged.values() if (one.shared or one.ofport) == ofport]
        to = next((one for one in behind if _has(one, packet.destination)), next(iter(behind), None))
        if to is None:
            return self._by_segment(ofport)
        if not self._port(to):
            return self._ended(Outcome.STOPPED)
        return self._ended(Outcome.DELIVERED, endpoint=to.want.endpoint)

    def _by_segment(self, ofport: int) -> TraceSaid:
        on = (
            one.endpoint.membership for one in self._plugged.values() if one.uplink == ofport and one.endpoint
        )
        segment = next((each.segment for each in on if each is not None), None)
        if segment is None:
            return self._stop("port", f"port {ofport} is no endpoint's")
        link = self._lookup.link(segment.uplink)
        if link is None or not link.is_up:
            return self._stop("uplink", f"{segment.uplink} is down")
        self._pass("uplink", f"leaves by {segment.uplink}", f"ofport {ofport}")
        return self._ended(Outcome.LEFT)

    def _kernel(self, packet: Packet, iif: str) -> TraceSaid:
        try:
            source = packet.source if iif else None
            taken = self._lookup.route(packet.destination, source=source, iif=iif)
        except KernelError as fault:
            return self._stop("kernel", f"the kernel does not take it from {iif}: {fault}")
        if taken is None:
            return self._stop("kernel", f"no route to {packet.destination}", f"from {iif or 'the host'}")
        if taken.kind == "local":
            self._route(packet, taken, Verdict.ARRIVES)
            return self._ended(Outcome.HOST)
        if taken.kind != "unicast" or not taken.ways:
            self._route(packet, taken, Verdict.STOPS)
            return self._ended(Outcome.STOPPED)
        self._route(packet, taken, Verdict.PASSES)
        if any(way.oif == BRIDGE for way in taken.ways):
            if iif == BRIDGE:
                return self._stop("kernel", f"{packet.destination} is behind the bridge it came from")
            return self._from_kernel(packet)
        return self._out(packet, taken)

    def _from_kernel(self, packet: Packet) -> TraceSaid:
        neighbour = self._wanted[NEIGHBOURS].get(NeighbourKey(BRIDGE, packet.destination))
        if neighbour is None:
            return self._stop("kernel", f"nothing here has {packet.destination}: it has no neighbour entry")
        return self._bridge(packet, LOCAL, GATEWAY_MAC, neighbour.mac)

    def _out(self, packet: Packet, taken: Taken) -> TraceSaid:
        working = []
        for way in taken.ways:
            link = self._lookup.link(way.oif)
            if link is not None and link.is_up:
                working.append(way)
        shown = ", ".join(f"{way.oif} to {way.gateway or 'what is on it'}" for way in taken.ways)
        if not working:
            return self._stop("uplink", f"{shown}: down")
        self._pass("uplink", f"leaves by {shown}", f"{len(working)} of {len(taken.ways)} up")
        return self._ended(Outcome.LEFT, gateways=tuple(way.gateway for way in working if way.gateway))

    def _route(self, packet: Packet, taken: Taken, verdict: Verdict) -> None:
        key = self._key(packet.destination, taken)
        wanted = self._wanted[ROUTES].get(key) if key is not None else None
        via = "".join(f" via {way.gateway or 'link'} dev {way.oif}" for way in taken.ways)
        route = taken.destination or (key.destination if key else packet.destination)
        protocol = f"protocol {taken.protocol}, table {taken.table}" if taken.table else "told by its error"
        self._add(
            "kernel",
            verdict,
            f"route {route} {taken.kind}{via}",
            protocol,
            wanted.reason if wanted is not None else "",
        )

    def _key(self, destination: IPAddress, taken: Taken) -> RouteKey | None:
        """Which of the wanted routes it is; of one that only its error tells, the longest that fits."""
        if taken.destination is not None:
            return RouteKey(taken.destination, taken.table)
        fitting = [
            key
            for key, route in self._wanted[ROUTES].items()
            if destination in key.destination and route.kind == taken.kind
        ]
        return max(fitting, key=lambda key: int(key.destination.prefixlen), default=None)

    def _pass(self, at: str, what: str, evidence: str) -> None:
        self._add(at, Verdict.PASSES, what, evidence)

    def _stop(self, at: str, what: str, evidence: str = "", *, cure: str = "") -> TraceSaid:
        self._add(at, Verdict.STOPS, what, evidence, f"cure: {cure}" if cure else "")
        return self._ended(Outcome.STOPPED)

    def _add(self, at: str, verdict: Verdict, what: str, evidence: str = "", reason: str = "") -> None:
        made = TraceStep(
            at=at,
            node=self._node,
            verdict=verdict,
            what=what[:TEXT_CHARACTERS],
            evidence=evidence[:TEXT_CHARACTERS],
            reason=reason,
        )
        self._steps.append(made)

    def _ended(
        self, outcome: Outcome, *, endpoint: str | None = None, gateways: tuple[IPAddress, ...] = ()
    ) -> TraceSaid:
        return TraceSaid(outcome=outcome, steps=tuple(self._steps), endpoint=endpoint, gateways=gateways)


def _has(one: Plugged, address: IPAddress) -> bool:
    return one.endpoint is not None and address in one.endpoint.addresses


def _spoken(packet: Packet) -> syntax.Packet:
    return syntax.Packet(
        packet.source, packet.destination, packet.protocol.value, packet.port, packet.source_port
    )
