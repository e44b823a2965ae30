"""Peers: the routers that speakers open BGP sessions with, and what those sessions should be like."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field, StrictBool, WithJsonSchema, model_validator

from store.model.pool import MAX_COMMUNITIES, Community
from store.model.value import (
    NETWORK_PATTERN,
    Asn,
    Labels,
    Name,
    UnicastAddress,
    Value,
    parse_network,
)

DEFAULT_ROUTE = "default-route"
MAX_IMPORTS = 64
MAX_PREPEND = 10
UINT32 = (1 << 32) - 1


class AddressFamily(StrEnum):
    """An address family."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if self is AddressFamily.IPV4 else 6

    @classmethod
    def of(cls, version: int) -> AddressFamily:
        """The family of IP version 4 or 6."""
        return cls.IPV4 if version == 4 else cls.IPV6


class Announces(StrEnum):
    """Whose prefixes a peer is told."""

    OWN = "own"
    """Those of the node that speaks."""
    ALL = "all"
    """Those of every node, each with that node as next hop: the speaker is an edge for all of them."""


def _imported(given: str) -> str:
    if given == DEFAULT_ROUTE:
        return given
    try:
        prefix = parse_network(given)
    except ValueError as fault:
        raise ValueError(f"{fault}; expected {DEFAULT_ROUTE} or a CIDR such as 192.0.2.0/24") from None
    if prefix == ip_network("0.0.0.0/0") or prefix == ip_network("::/0"):
        raise ValueError(f"{given} is called {DEFAULT_ROUTE} here")
    return str(prefix)


Import = Annotated[
    str,
    AfterValidator(_imported),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^({DEFAULT_ROUTE}|{NETWORK_PATTERN})$",
            "examples": [DEFAULT_ROUTE],
        }
    ),
]


class Peer(Value):
    """A router that speakers open a BGP session with: one node's, those of some labels, or every node's."""

    name: Name
    address: UnicastAddress
    asn: Asn
    node: Name | None = None
    node_selector: Labels = {}
    """Only nodes that have all of these labels speak with it."""
    announces: Announces = Announces.OWN
    """`all` makes its speakers an edge: they announce for every node, with that node as next hop."""
    local_asn: Asn | None = None
    """The AS number that the speaker shows; the node's when not given."""
    local_address: UnicastAddress | None = None
    """The session's source address; the kernel's choice for `address` when not given."""
    hold_time_s: Annotated[int, Field(strict=True, ge=0, le=65535)] = 90
    keepalive_s: Annotated[int, Field(strict=True, ge=1, le=21845)] | None = None
    """Seconds between keepalives, at most a third of the hold time; that third when not given."""
    graceful_restart_s: Annotated[int, Field(strict=True, ge=0, le=4095)] = 120
    """Restart time that is announced (RFC 4724 §3, 12 bits); 0 turns graceful restart off."""
    password_secret: Name | None = None
    """The file in each node's secrets directory that holds the session's password (TCP MD5, RFC 2385)."""
    gtsm: StrictBool = False
    """Only packets that no router has passed on are taken (RFC 5082); the router has to do the same."""
    multihop_ttl: Annotated[int, Field(strict=True, ge=2, le=255)] | None = None
    """The TTL of packets to a router that is not on a link of the node."""
    passive: StrictBool = False
    """The router opens the session, the speaker waits."""
    families: Annotated[tuple[AddressFamily, ...], Field(max_length=2, fail_fast=True)] = ()
    """What the session carries; the family of `address` when not given."""
    communities: Annotated[tuple[Community, ...], Field(max_length=MAX_COMMUNITIES, fail_fast=True)] = ()
    """Sent with every prefix, beside those of its pool."""
    med: Annotated[int, Field(strict=True, ge=0, le=UINT32)] | None = None
    local_pref: Annotated[int, Field(strict=True, ge=0, le=UINT32)] | None = None
    """Only for a router of the same AS (RFC 4271 §5.1.5)."""
    as_path_prepend: Annotated[int, Field(strict=True, ge=0, le=MAX_PREPEND)] = 0
    """How often the own AS number stands in the AS path beyond the once that it has to."""
    max_prefixes: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 10_000
    """More than so many are never announced to it."""
    imports: Annotated[tuple[Import, ...], Field(max_length=MAX_IMPORTS, fail_fast=True)] = ()
    """What is taken from it: `default-route`, and prefixes; nothing when not given."""

    @property
    def carried(self) -> frozenset[int]:
        """The IP versions of the prefixes that its sessions carry."""
        return frozenset(each.version for each in self.families) or frozenset({self.address.version})

    @model_validator(mode="after")
    def _consistent(self) -> Peer:
        # RFC 4271 §4.2: hold time is zero or at least three seconds
        if self.hold_time_s in {1, 2}:
            raise ValueError("hold_time_s is 0 (no keepalives) or at least 3")
        # RFC 4271 §4.4: a reasonable maximum is a third of the hold time
        if self.keepalive_s is not None and self.keepalive_s * 3 > self.hold_time_s:
            raise ValueError(f"keepalive_s is at most a third of hold_time_s, {self.hold_time_s // 3}")
        if self.local_address is not None and self.local_address.version != self.address.version:
            raise ValueError("local_address and address are of different families")
        if self.node is not None and self.node_selector:
            raise ValueError("node_selector and node exclude each other; give one of them, or none")
        for given in self.imports:
            if given != DEFAULT_ROUTE and ip_network(given).version not in self.carried:
                raise ValueError(f"imports has {given}, but the sessions do not carry it: add it to families")
        if self.gtsm and self.multihop_ttl is not None:
            raise ValueError("multihop_ttl and gtsm exclude each other; give one of them")
        for field in ("families", "communities", "imports"):
            given = getattr(self, field)
            if len(set(given)) < len(given):
                raise ValueError(f"{field} names something twice; give it once")
        return self
