"""Nodes, and the state of their programs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field, StrictBool, StringConstraints, model_validator

from store.model.export import Export
from store.model.value import Asn, Ifname, Ipv4Address, Labels, MtuBytes, Name, UnicastAddress, Value

MIN_RECLAIM_S = 60


class Uplink(Value):
    """An interface of a node by which its traffic leaves, and how much the way behind it takes."""

    ifname: Ifname
    rate_mbps: Annotated[int, Field(strict=True, ge=1, le=800_000)]
    """Megabits (1000000) in a second."""


class Node(Value):
    """A host that runs workloads: its AS number, and what its endpoints get."""

    name: Name
    asn: Asn
    router_id: Ipv4Address | None = None
    """The BGP identifier (RFC 4271 §4.2); the session's own IPv4 address when not given."""
    mtu_bytes: MtuBytes | None = None
    """Of its endpoints' links; what the uplink takes that they leave by when not given."""
    labels: Labels = {}
    reclaim_after_s: Annotated[int, Field(strict=True, ge=0, le=31_536_000)] = 86400
    """Seconds for which none of its programs lives until its endpoints end and their addresses are free; 0 is
    never."""
    next_hops: Annotated[tuple[UnicastAddress, ...], Field(max_length=2, fail_fast=True)] = ()
    """How routers reach the node, at most one address of each family: the next hop of prefixes that are not
    of their session's own family, and of those that edge speakers announce for it."""

    edge: StrictBool = False
    """It may read what all nodes announce, and announce for them to peers that are told of all."""

    uplinks: Annotated[tuple[Uplink, ...], Field(max_length=16, fail_fast=True)] = ()
    """Those whose bandwidth is shared out among the endpoints that are guaranteed some or have a priority."""

    export: Export | None = None
    """Where its switch tells of sampled packets."""

    direct: Name | None = None
    """The segment that it shares with the nodes which say the same: these send to each other by their next
    hops, without a router."""

    @model_validator(mode="after")
    def _is_somewhere(self) -> Node:
        if self.direct is not None and not self.next_hops:
            raise ValueError("direct needs next_hops, by which the others on the segment reach the node")
        return self

    @model_validator(mode="after")
    def _patient(self) -> Node:
        if 0 < self.reclaim_after_s < MIN_RECLAIM_S:
            raise ValueError(f"reclaim_after_s is 0 (never) or at least {MIN_RECLAIM_S}")
        return self

    @model_validator(mode="after")
    def _each_once(self) -> Node:
        if len({each.ifname for each in self.uplinks}) < len(self.uplinks):
            raise ValueError("uplinks names each interface once")
        return self

    @model_validator(mode="after")
    def _one_of_each(self) -> Node:
        if len({each.version for each in self.next_hops}) < len(self.next_hops):
            raise ValueError("next_hops holds at most one address of each family")
        return self


class Program(StrEnum):
    """The programs that run on a node."""

    AGENT = "agent"
    SPEAKER = "speaker"


class Amiss(Value):
    """Something on a node that people have to mend."""

    reason: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,57}$")]
    """What kind of thing, for programs: `uplink-not-shared`."""
    uplink: Ifname
    """The interface that it is about: each has one of a kind at most."""
    detail: Annotated[str, StringConstraints(max_length=400)]
    """What it is, and the cure."""


class Alive(Value):
    """A program runs on a node. Under a lease: gone some seconds after the program is."""

    node: Name
    program: Program
    boot_id: str
    started: AwareDatetime
    amiss: Annotated[tuple[Amiss, ...], Field(max_length=64)] | None = None
    """What people have to mend on the node; None while the program has not looked, or when it never does."""
    waits_for: Annotated[str, Field(exclude_if=lambda nonce: not nonce)] = ""
    """The nonce of the restored store that the program does not believe. Empty, and not written, else."""


class Lost(Value):
    """None of a node's programs lives, and since when. Gone as soon as one of them does."""

    node: Name
    since: AwareDatetime
