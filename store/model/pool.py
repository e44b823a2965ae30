"""Pools of addresses, and the blocks that nodes claim from them."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, WithJsonSchema, model_validator

from store.model.segment import Segment
from store.model.value import (
    ADDRESS_SCHEMA,
    NETWORK_PATTERN,
    IPNetwork,
    Labels,
    Name,
    Network,
    UnicastAddress,
    Value,
    is_inside,
    parse_address,
    parse_network,
)

DEFAULT_BLOCK_BITS = 6
"""Host bits of a block when the pool names no block size: /26 for IPv4, /122 for IPv6."""

MAX_BLOCK_BITS = 12
"""A block holds at most 4,096 addresses: it is read whole when a node looks for a free one."""


class Advertise(StrEnum):
    """What the speakers announce for a pool."""

    BLOCK = "block"
    """One prefix per block; a /32 (/128) only for an address held outside its block's node."""
    HOST = "host"
    """A /32 (/128) per address."""
    SUMMARY = "summary"
    """The pool as one prefix, from each node that its selector names and that has a block of it. Blocks and
    addresses are for the router alone (NO_EXPORT, RFC 1997), but for addresses that other nodes hold."""
    NONE = "none"
    """Nothing."""


NO_SEGMENT = "gateway is that of a segment; give segment as well, or leave it out"

MAX_RESERVED = 256
MAX_COMMUNITIES = 32

COMMUNITY_16 = 1 << 16
COMMUNITY_32 = 1 << 32


def _community(given: str) -> str:
    parts = given.split(":")
    if not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in parts):
        parts = []
    limit = {2: COMMUNITY_16, 3: COMMUNITY_32}.get(len(parts), 0)
    if not limit or any(int(part) >= limit for part in parts):
        raise ValueError(
            f"{given[:40]!r} is not a community; expected 64500:100 (RFC 1997) or 64500:1:2 (RFC 8092)"
        )
    return ":".join(str(int(part)) for part in parts)


def _range(given: Any) -> IPNetwork:
    """A CIDR, or an address for the range of that address alone."""
    if isinstance(given, str) and "/" not in given:
        return ip_network(parse_address(given))
    return parse_network(given)


Community = Annotated[
    str,
    AfterValidator(_community),
    WithJsonSchema(
        {"type": "string", "pattern": "^[0-9]{1,10}(:[0-9]{1,10}){1,2}$", "examples": ["64500:100"]}
    ),
]
Range = Annotated[
    IPNetwork,
    BeforeValidator(_range),
    WithJsonSchema(
        {
            "type": "string",
            "anyOf": [*ADDRESS_SCHEMA["anyOf"], {"pattern": f"^{NETWORK_PATTERN}$"}],
            "examples": ["10.64.0.0/28"],
        }
    ),
]


def _or_unset(schema: dict[str, Any]) -> None:
    """Which block size is the default depends on the pool."""
    del schema["default"]
    number = {key: schema.pop(key) for key in ("type", "minimum", "maximum")}
    schema["anyOf"] = [number, {"type": "null"}]


class Pool(Value):
    """A CIDR that addresses are assigned from, cut into blocks of one size."""

    name: Name
    cidr: Network
    block_prefixlen: Annotated[int, Field(strict=True, ge=1, le=128, json_schema_extra=_or_unset)] = 26
    """When not given: 26 for IPv4, 122 for IPv6, or that of a smaller pool."""
    advertise: Advertise = Advertise.BLOCK
    cooldown_s: Annotated[int, Field(strict=True, ge=0, le=86400)] = 60
    """Seconds for which a released address is not assigned again."""
    reserved: Annotated[tuple[Range, ...], Field(max_length=MAX_RESERVED, fail_fast=True)] = ()
    """Ranges and single addresses that are never assigned."""
    disabled: StrictBool = False
    """Nothing new is assigned; what is assigned stays."""
    priority: Annotated[int, Field(strict=True, ge=0, le=1000)] = 100
    """Of several pools that a request could mean, the highest is used first; of equals, the first by name."""
    tenant: Name | None = None
    """Only this tenant's endpoints get addresses; anybody's when not given."""
    node_selector: Labels = {}
    """Only nodes that have all of these labels get addresses."""
    borrow: StrictBool = False
    """When no block is left, a node takes single addresses out of others' blocks, announced as /32 (/128)."""
    communities: Annotated[tuple[Community, ...], Field(max_length=MAX_COMMUNITIES, fail_fast=True)] = ()
    """What the speakers send with the pool's prefixes."""
    segment: Segment | None = None
    """The VLAN that its endpoints are on: its tenant's when not given. Nothing of such a pool is
    announced: routers have it on-link."""
    gateway: UnicastAddress | None = None
    """The segment's router in the pool; it is never assigned."""

    @property
    def stations(self) -> tuple[IPNetwork, ...]:
        """Where the segment's router and other machines are that are no endpoints: these are outside."""
        return self.reserved if self.segment is not None else ()

    @model_validator(mode="before")
    @classmethod
    def _default_advertise(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("segment") is not None and "advertise" not in data:
            return {**data, "advertise": Advertise.NONE}
        return data

    @model_validator(mode="before")
    @classmethod
    def _no_block(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("block_prefixlen", 0) is None:
            return {name: value for name, value in data.items() if name != "block_prefixlen"}
        return data

    @model_validator(mode="after")
    def _default_block(self) -> Pool:
        # It stays out of `model_fields_set`: whoever has to know sees that it was not given.
        if "block_prefixlen" not in self.model_fields_set:
            default = max(self.cidr.prefixlen, self.cidr.max_prefixlen - DEFAULT_BLOCK_BITS)
            object.__setattr__(self, "block_prefixlen", default)
        return self

    @model_validator(mode="after")
    def _keep_gateway(self) -> Pool:
        if self.gateway is not None and not any(self.gateway in each for each in self.reserved):
            reserved = (*self.reserved, ip_network(self.gateway))
            object.__setattr__(self, "reserved", reserved)
        return self

    @model_validator(mode="after")
    def _on_segment(self) -> Pool:
        if self.segment is not None and self.advertise is not Advertise.NONE:
            raise ValueError("advertise is none for a pool with a segment: its routers have it on-link")
        if self.gateway is not None and self.segment is None and self.tenant is None:
            raise ValueError(NO_SEGMENT)
        if self.gateway is not None and self.gateway not in self.cidr:
            raise ValueError(f"gateway {self.gateway} is not inside {self.cidr}")
        return self

    @model_validator(mode="after")
    def _sizes(self) -> Pool:
        cidr, longest = self.cidr, self.cidr.max_prefixlen
        if cidr.prefixlen == 0 or cidr.is_multicast or cidr.is_loopback or cidr.is_link_local:
            raise ValueError(f"cidr {cidr} is not a range that hosts can have addresses in")
        lowest = max(cidr.prefixlen, longest - MAX_BLOCK_BITS)
        if not lowest <= self.block_prefixlen <= longest:
            raise ValueError(
                f"block_prefixlen {self.block_prefixlen} does not fit {cidr}; use {lowest} to {longest}"
            )
        outside = next((each for each in self.reserved if not is_inside(each, cidr)), None)
        if outside is not None:
            raise ValueError(f"reserved range {outside} is not inside {cidr}")
        return self


class Block(Value):
    """A part of a pool that one node has claimed.

    The key is created only if absent, in the same transaction as the node's copy: a block that can be
    read is a confirmed claim, there is no pending one.
    """

    cidr: Network
    pool: Name
    node: Name

    @property
    def prefix(self) -> IPNetwork:
        """The prefix that is announced for the block."""
        return self.cidr
