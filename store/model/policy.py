"""Policies: what selected endpoints may receive and send, and from and to whom."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictBool, WithJsonSchema, model_validator

from store.model.value import Labels, Name, Network, Value

MAX_RULES = 100
"""Of one direction."""
MAX_PEERS = 256
"""Of one rule."""
MAX_PORTS = 32
"""Of one rule."""
MAX_PORTS_IN_ALL = 1024
MAX_PEERS_IN_ALL = 4096
"""Of all rules of a policy: it is stored as one value, of 1.5 MiB at most."""

DEFAULT_ORDER = 500
TENANT_ORDERS = range(100, 901)
"""The orders that a tenant's policy may have: those before and behind are for the network's own."""

PROTOCOLS: Mapping[str, int] = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132}
"""Protocols by the name that they are written with, and their numbers (IANA)."""
WITH_PORTS = frozenset({"tcp", "udp", "sctp"})
ICMPS = frozenset({"icmp", "icmpv6"})
_NAMES = {number: name for name, number in PROTOCOLS.items()}


class Action(StrEnum):
    """What becomes of a connection."""

    ALLOW = "allow"
    DENY = "deny"


class Mode(StrEnum):
    """Whether a policy decides."""

    ENFORCED = "enforced"
    """It does."""
    STAGED = "staged"
    """What it would decide is counted, and the next policy is asked."""


class Direction(StrEnum):
    """Seen from the endpoint that a policy selects."""

    INGRESS = "ingress"
    EGRESS = "egress"


def _protocol(given: Any) -> str | int:
    if isinstance(given, str) and given in PROTOCOLS:
        return given
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= 255:
        return _NAMES.get(given, given)  # equal protocols are written the same way
    raise ValueError(f"expected {', '.join(PROTOCOLS)} or a number from 0 to 255")


Protocol = Annotated[
    str | int,
    BeforeValidator(_protocol),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": list(PROTOCOLS)},
                {"type": "integer", "minimum": 0, "maximum": 255},
            ],
            "examples": ["tcp"],
        }
    ),
]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Byte = Annotated[int, Field(strict=True, ge=0, le=255)]


class PortMatch(Value):
    """One protocol, and of it one port, a range of ports, or one kind of ICMP message; all when not given."""

    protocol: Protocol
    port: Port | None = None
    """Of tcp, udp and sctp: the destination port, or the first of a range."""
    end_port: Port | None = None
    """The last port of the range."""
    icmp_type: Byte | None = None
    """Of icmp and icmpv6."""
    icmp_code: Byte | None = None

    @model_validator(mode="after")
    def _consistent(self) -> PortMatch:
        for field in ("port", "end_port"):
            if getattr(self, field) is not None and self.protocol not in WITH_PORTS:
                raise ValueError(f"{field} is for tcp, udp and sctp; {self.protocol} has no ports")
        for field in ("icmp_type", "icmp_code"):
            if getattr(self, field) is not None and self.protocol not in ICMPS:
                raise ValueError(f"{field} is for icmp and icmpv6, not for {self.protocol}")
        if self.end_port is not None and self.port is None:
            raise ValueError("end_port needs port, the first of the range")
        if self.end_port is not None and self.port is not None and self.end_port < self.port:
            raise ValueError(f"end_port is at least port, which is {self.port}: the range is empty")
        if self.icmp_code is not None and self.icmp_type is None:
            raise ValueError("icmp_code needs icmp_type")
        return self

    @property
    def number(self) -> int:
        """The protocol's number (IANA)."""
        return PROTOCOLS[self.protocol] if isinstance(self.protocol, str) else self.protocol

    @property
    def last_port(self) -> int | None:
        """The last port that is meant; None for all."""
        return self.port if self.end_port is None else self.end_port

    @property
    def version(self) -> int | None:
        """The IP version that the protocol is of; None for both."""
        return {"icmp": 4, "icmpv6": 6}.get(str(self.protocol))


class PeerMatch(Value):
    """Who is at the other end: a range of addresses, or endpoints by their labels and their tenant."""

    cidr: Network | None = None
    selector: Labels | None = None
    """Endpoints that have all of these labels; with none, all endpoints."""
    tenant: Name | None = None
    """Endpoints of this tenant. When not given: of the policy's own; of all when the policy has no tenant."""

    @model_validator(mode="after")
    def _one_kind(self) -> PeerMatch:
        if self.cidr is not None and (self.selector is not None or self.tenant is not None):
            raise ValueError("cidr stands alone; put selector and tenant into another peer")
        if self.cidr is None and self.selector is None and self.tenant is None:
            raise ValueError("selector, tenant or cidr is required; leave peers out to mean anyone")
        return self


class Rule(Value):
    """What becomes of connections with some peers, of some protocols and ports."""

    name: Name | None = None
    action: Action
    log: StrictBool = False
    """Such connections are logged, sampled."""
    peers: Annotated[tuple[PeerMatch, ...], Field(max_length=MAX_PEERS, fail_fast=True)] = ()
    """Any of them; anyone when there are none."""
    ports: Annotated[tuple[PortMatch, ...], Field(max_length=MAX_PORTS, fail_fast=True)] = ()
    """Any of them; every protocol when there are none."""

    @model_validator(mode="after")
    def _can_match(self) -> Rule:
        for field in ("peers", "ports"):
            given = [each.model_dump_json() for each in getattr(self, field)]
            if len(set(given)) < len(given):
                raise ValueError(f"{field} names something twice; give it once")
        ranges = {peer.cidr.version for peer in self.peers if peer.cidr is not None}
        if any(peer.cidr is None for peer in self.peers) or not ranges:
            return self  # endpoints have addresses of either family
        for port in self.ports:
            if port.version is not None and port.version not in ranges:
                other = "icmpv6" if port.protocol == "icmp" else "icmp"
                raise ValueError(
                    f"ports has {port.protocol}, which no peer of the rule can speak; give {other}, or a "
                    f"peer with an IPv{port.version} cidr"
                )
        return self


class Policy(Value):
    """Rules for the endpoints that it selects.

    The enforced policies that select an endpoint and have rules of a direction are asked in turn, by order
    and then by name, their rules in the given sequence. The first rule that matches decides.
    """

    name: Name
    tenant: Name | None = None
    """Only endpoints of this tenant are selected; without it, those of all tenants and of none."""
    selector: Labels = {}
    """The labels that an endpoint has to have, all of them."""
    order: Annotated[int, Field(strict=True, ge=0, le=1000)] = DEFAULT_ORDER
    """The lowest is asked first. A tenant's are from 100 to 900."""
    mode: Mode = Mode.ENFORCED
    ingress: Annotated[tuple[Rule, ...], Field(max_length=MAX_RULES, fail_fast=True)] = ()
    """For connections to the endpoints."""
    egress: Annotated[tuple[Rule, ...], Field(max_length=MAX_RULES, fail_fast=True)] = ()
    """For connections that the endpoints open."""

    @model_validator(mode="after")
    def _consistent(self) -> Policy:
        if self.tenant is not None and self.order not in TENANT_ORDERS:
            raise ValueError(
                f"order of a tenant's policy is {TENANT_ORDERS[0]} to {TENANT_ORDERS[-1]}; "
                "what is before and behind is for policies without tenant"
            )
        if not self.ingress and not self.egress:
            raise ValueError("ingress or egress needs a rule; a policy without any decides nothing")
        for direction in Direction:
            names = [rule.name for rule in self.rules(direction) if rule.name is not None]
            if len(set(names)) < len(names):
                raise ValueError(f"{direction} has two rules of one name; each needs its own")
        for what, limit in (("peers", MAX_PEERS_IN_ALL), ("ports", MAX_PORTS_IN_ALL)):
            if sum(len(getattr(rule, what)) for rule in (*self.ingress, *self.egress)) > limit:
                raise ValueError(f"ingress and egress have at most {limit} {what} in all")
        return self

    def rules(self, direction: Direction) -> tuple[Rule, ...]:
        """Those of one direction, in their sequence."""
        return self.ingress if direction is Direction.INGRESS else self.egress

    @property
    def rank(self) -> tuple[int, str]:
        """What policies are asked by, the lowest first."""
        return self.order, self.name
