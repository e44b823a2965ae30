"""Pools of addresses, and the blocks that nodes claim from them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, model_validator

from store.model.value import IPNetwork, Name, Network, Value, parse_network

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


class Pool(Value):
    """A CIDR that addresses are assigned from, cut into blocks of one size."""

    name: Name
    cidr: Network
    block_prefixlen: Annotated[int, Field(strict=True, ge=1, le=128)] = 26
    """When not given: 26 for IPv4, 122 for IPv6, or that of a smaller pool."""
    advertise: Advertise = Advertise.BLOCK
    cooldown_s: Annotated[int, Field(strict=True, ge=0, le=86400)] = 60
    """Seconds for which a released address is not assigned again."""

    @model_validator(mode="before")
    @classmethod
    def _default_block(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("block_prefixlen") is not None or "cidr" not in data:
            return data
        try:
            cidr = parse_network(data["cidr"])
        except ValueError:
            return {**data, "block_prefixlen": 1}  # cidr reports its own error
        return {**data, "block_prefixlen": max(cidr.prefixlen, cidr.max_prefixlen - DEFAULT_BLOCK_BITS)}

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
