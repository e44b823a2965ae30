"""A packet's whole way: its source's node, the routers, its destination's node; where and why it stops."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import BaseModel

from controller.asking import Asking
from controller.problem import Problem
from controller.reading import read
from controller.tracing.announced import attracted
from controller.tracing.ends import End
from controller.tracing.segment import by_segment
from store import keys
from store.client import Store
from store.model import Endpoint, IPAddress
from store.model.trace import Outcome, Packet, Protocol, TraceAsked, TraceSaid, TraceStep, Verdict
from store.model.value import TEXT_CHARACTERS


class TraceView(BaseModel):
    """The way of a packet, and whether it arrives."""

    packet: Packet
    arrives: bool
    verdict: Verdict
    """`arrives`, `stops`, or `unknown` when a node on the way could not be asked."""
    why: str
    """Where it ends, and why, in one sentence."""
    steps: list[TraceStep]


@dataclass(slots=True)
class Way:
    """Follows one packet. `follow` once."""

    store: Store
    asking: Asking
    source: End
    destination: End
    protocol: Protocol
    port: int
    _steps: list[TraceStep] = field(default_factory=list)

    def follow(self) -> TraceView:
        """Ask everybody on the way. Blocking: two nodes at most are asked."""
        packet = Packet(
            source=self.source.address,
            destination=self.destination.address,
            protocol=self.protocol,
            port=self.port,
        )
        self._go(packet)
        last = self._steps[-1]
        return TraceView(
            packet=packet,
            arrives=last.verdict is Verdict.ARRIVES,
            verdict=last.verdict,
            why=_why(last),
            steps=self._steps,
        )

    def _go(self, packet: Packet) -> None:
        sender = self.source.endpoint
        self._add("source" if sender is None else "endpoint", Verdict.PASSES, f"from {self.source.words}")
        if sender is not None:
            said = self._ask(sender.node, TraceAsked(packet=packet, endpoint=sender.id))
            if said is None or not self._goes_on(said):
                return
            if self._is_direct(said.gateways):
                self._arrive(packet, str(self._home()))
                return
        if (step := by_segment(sender, self.destination)) is not None:
            self._steps.append(step)
            if step.verdict is Verdict.PASSES and self.destination.endpoint is not None:
                self._arrive_on_segment(packet, self.destination.endpoint)
            return
        if self.destination.pool is None:
            what = f"{self.destination.address} is outside of Polder: the routers' affair from here on"
            if sender is None:
                self._add("router", Verdict.UNKNOWN, f"{what}, as {self.source.address} is")
            else:
                self._add("router", Verdict.ARRIVES, what)
            return
        found = attracted(self.store, self.destination)
        self._steps += found.steps
        if found.node is not None:
            self._arrive(packet, found.node)

    def _goes_on(self, said: TraceSaid) -> bool:
        """Whether the packet left by an uplink; else it has ended on the first node."""
        if said.outcome is Outcome.LEFT:
            return True
        self._end(said)
        return False

    def _arrive_on_segment(self, packet: Packet, endpoint: Endpoint) -> None:
        """The kernel of its node knows nothing of it: the switch alone can tell."""
        if self.store.get(keys.ATTACHMENTS.key(endpoint.node, endpoint.id)) is None:
            what = f"endpoint {endpoint.id} is not attached here"
            self._add("port", Verdict.STOPS, what, node=endpoint.node)
        else:
            self._arrive(packet, endpoint.node)

    def _arrive(self, packet: Packet, node: str) -> None:
        said = self._ask(node, TraceAsked(packet=packet))
        if said is None:
            return
        if said.outcome is Outcome.LEFT:
            what = f"node {node} sends it on, and the routers send it back: it is not held there"
            self._add("kernel", Verdict.STOPS, what, node=node)
            return
        self._end(said)

    def _end(self, said: TraceSaid) -> None:
        if said.outcome is not Outcome.DELIVERED or said.endpoint is None:
            return  # the last step tells
        expected = self.destination.endpoint
        if expected is not None and said.endpoint != expected.id:
            what = f"delivered to endpoint {said.endpoint}, which is not {expected.id}"
            self._add("endpoint", Verdict.STOPS, what)
        else:
            self._add(
                "endpoint", Verdict.ARRIVES, f"to endpoint {said.endpoint} ({self.destination.address})"
            )

    def _ask(self, node: str, asked: TraceAsked) -> TraceSaid | None:
        """What a node tells; None when it cannot be asked, which is a step of its own."""
        try:
            said: TraceSaid = self.asking.ask(node, asked)
        except Problem as problem:
            if problem.kind != "no-answer":
                raise
            self._add("node", Verdict.UNKNOWN, problem.detail, node=node)
            return None
        self._steps += said.steps
        return said

    def _home(self) -> str | None:
        """The node that the destination is on."""
        endpoint = self.destination.endpoint
        return endpoint.node if endpoint is not None else self.destination.claimed_by

    def _is_direct(self, gateways: tuple[IPAddress, ...]) -> bool:
        """Whether the next hop is the destination's node itself."""
        home = self._home()
        node = read(self.store, keys.NODES, home) if home is not None else None
        return node is not None and bool(gateways) and set(gateways) <= set(node.value.next_hops)

    def _add(self, at: str, verdict: Verdict, what: str, *, node: str | None = None) -> None:
        self._steps.append(TraceStep(at=at, node=node, verdict=verdict, what=what[:TEXT_CHARACTERS]))


def _why(last: TraceStep) -> str:
    where = f"{last.at} of node {last.node}" if last.node else last.at
    because = f": {last.reason}" if last.reason else ""
    return f"{last.verdict} at {where}: {last.what}{because}"
