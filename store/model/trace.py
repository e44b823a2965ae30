"""The way of a packet, step by step: what is asked of each node on it, and what the node tells."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from store.model.value import Address_, Identifier, Name, PortNumber, Text, UnicastAddress, Value

MOST_STEPS = 64


class Protocol(StrEnum):
    """What a packet carries."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    """An echo request of either family."""


class Packet(Value):
    """The first packet of a connection."""

    source: UnicastAddress
    destination: UnicastAddress
    protocol: Protocol = Protocol.ICMP
    port: PortNumber = 0
    """The destination port of TCP and UDP."""
    source_port: PortNumber = 40000

    @model_validator(mode="after")
    def _of_one_family(self) -> Packet:
        if self.source.version != self.destination.version:
            raise ValueError("source and destination are of one family")
        return self


class TraceAsked(Value):
    """Which way does a packet take on a node? It comes from an endpoint there, or in by an uplink."""

    kind: Literal["trace"] = "trace"
    packet: Packet
    endpoint: Identifier | None = None


class Verdict(StrEnum):
    """What becomes of a packet at a step."""

    PASSES = "passes"
    STOPS = "stops"
    ARRIVES = "arrives"
    UNKNOWN = "unknown"
    """Nobody could look."""


class TraceStep(Value):
    """One thing that a packet meets on its way."""

    at: Text
    """What it is: `endpoint`, `port`, a table of the pipeline, `kernel`, `uplink`, `router`, `segment`."""
    node: Name | None = None
    verdict: Verdict = Verdict.PASSES
    what: Text
    """What happens there, for people."""
    evidence: Text = ""
    """What says so: the flow with priority and match, the route, the session."""
    purpose: Text = ""
    """Of the flow, as the table of purposes in the documentation has it."""
    reason: Text = ""
    """Why the flow or the route is there; of a rule of a policy its name."""


class Outcome(StrEnum):
    """How a packet leaves a node."""

    DELIVERED = "delivered"
    """To an endpoint of the node."""
    HOST = "host"
    """To the node itself."""
    LEFT = "left"
    """By an uplink."""
    STOPPED = "stopped"


class TraceSaid(Value):
    """The way of a packet on one node."""

    kind: Literal["trace"] = "trace"
    outcome: Outcome
    steps: Annotated[tuple[TraceStep, ...], Field(max_length=MOST_STEPS)]
    endpoint: Identifier | None = None
    """Which one it was delivered to."""
    gateways: tuple[Address_, ...] = ()
    """The next hops that it left to."""
