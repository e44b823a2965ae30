"""One OpenFlow flow as a value: canonical, frozen, hashable, so that two sets of flows can be subtracted.

What a program wants and what a switch answers are compared by equality, so a flow has one spelling only:
match fields in the order of their names, an address instead of a network of full length, MAC addresses in
lower case. Field names are OXM names verbatim. `FlowKey` is what the switch itself identifies a flow by
(OpenFlow 1.4.1 §6.4: table, priority and match; adding a flow of equal key replaces it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from operator import itemgetter

IPAddress = IPv4Address | IPv6Address

MatchValue = int | str | IPv4Address | IPv6Address | IPv4Network | IPv6Network
"""An int; text for a MAC address or a masked field (`value/mask`, numbers in hex); an address; a network."""

Match = tuple[tuple[str, MatchValue], ...]
"""(OXM field, value) pairs, sorted by field, each field once."""

LOCAL = 0xFFFFFFFE
"""OFPP_LOCAL: the port that is the bridge's own interface in the kernel."""


CONTROLLER = 0xFFFFFFFD
"""OFPP_CONTROLLER: whoever listens to the bridge gets a copy, cut to `SAMPLED_BYTES`."""
SAMPLED_BYTES = 128
"""Enough for the headers up to the ports."""


@dataclass(frozen=True, slots=True)
class Output:
    """Send the packet out of a port. A port never gets back what came in by it (OpenFlow 1.4.1 §5.12)."""

    port: int


@dataclass(frozen=True, slots=True)
class SetField:
    """Write a header field; `field` is an OXM name."""

    field: str
    value: MatchValue


@dataclass(frozen=True, slots=True)
class Move:
    """Copy the lowest bits of a field or register into those of another; both are OXM names."""

    source: str
    target: str
    bits: int


@dataclass(frozen=True, slots=True)
class DecTtl:
    """Decrement the IPv4 TTL or IPv6 hop limit; the packet ends here when it was 1 or 0."""


@dataclass(frozen=True, slots=True)
class PushVlan:
    """Put a VLAN tag (IEEE 802.1Q) before the packet; a `SetField` of `vlan_vid` says which."""


@dataclass(frozen=True, slots=True)
class PopVlan:
    """Take the outermost VLAN tag off."""


@dataclass(frozen=True, slots=True)
class GotoTable:
    """Go on in a later table, after the other actions were applied."""

    table_id: int


@dataclass(frozen=True, slots=True)
class ChoosePort:
    """Write the number of one of these ports into register 0: one that is up, 0xffff when none is.

    The one is chosen among the places of the list by a hash of the IP addresses and the transport ports, the
    same in both directions. A port may have several places. When one goes down, only its places are chosen
    anew; when the list changes, so do the places that differ.
    """

    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Track:
    """Look the packet up in a zone of the connection tracker, and go on in a table with what it knows of it.

    It comes last and may lead to the same table: the packet matches another flow there, by its `ct_state`.
    """

    zone: int
    table_id: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Have the connection tracker remember the packet's connection, in a zone, and with a mark if given."""

    zone: int
    mark: int | None = None


@dataclass(frozen=True, slots=True)
class Unlook:
    """Forget what a `Track` has found out about the packet: it is as if it had not been looked up."""


@dataclass(frozen=True, slots=True)
class Conjunction:
    """The packet fulfils one of the clauses of a conjunction (1 to `clauses`, which is 2 or more).

    When a packet fulfils all of them, by flows of one priority, it is looked up again with `conj_id`.
    A flow has no other actions beside.
    """

    conj_id: int
    clause: int
    clauses: int


@dataclass(frozen=True, slots=True)
class Visit:
    """Apply the actions of the flow that the packet matches in a table, then go on with the next here.

    What tables that this leads to write is kept. Where a meter there drops the packet it ends. It may be the
    table of the flow itself, where the packet has to match another one.
    """

    table_id: int


@dataclass(frozen=True, slots=True)
class Measure:
    """Send the packet through a meter, before all other actions of the flow; it may end there."""

    meter_id: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """An action that was read from a switch and that we never make, as text: it differs from all we want."""

    text: str


Action = (
    Output
    | SetField
    | DecTtl
    | PushVlan
    | PopVlan
    | GotoTable
    | ChoosePort
    | Track
    | Commit
    | Conjunction
    | Unknown
    | Visit
    | Measure
    | Move
    | Unlook
)


@dataclass(frozen=True, slots=True)
class FlowKey:
    """What a switch identifies a flow by. Its hash is made once: thousands are looked up in each pass."""

    table_id: int
    priority: int
    match: Match
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.table_id, self.priority, self.match)))

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return ",".join(
            [
                f"table={self.table_id},priority={self.priority}",
                *(f"{name}={value}" for name, value in self.match),
            ]
        )


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow. No actions means drop.

    Args:
        table_id: 0 to 254.
        priority: 0 to 65535; the highest that matches wins.
        match: see `Match`; made canonical here, so any order and spelling may be given.
        actions: applied in order; a `GotoTable` comes last and leads to a later table,
            a `Track` comes last.
        cookie: 64 bits, see `openflow.cookie`.
        reason: why it is there: its `str` is for people, what it is more is for who made it. Not part of
            equality, and unknown of a flow read from a switch.

    Raises:
        ValueError: a field given twice or with a mask that covers nothing (a switch forgets it), or a
            `GotoTable` or a `Track` that is not last or leads backward.
    """

    table_id: int
    priority: int
    match: Match = ()
    actions: tuple[Action, ...] = ()
    cookie: int = 0
    reason: object = field(default="", compare=False)
    key: FlowKey = field(init=False, repr=False, compare=False)
    """What the switch identifies this flow by."""

    def __post_init__(self) -> None:
        canonical = match_of(dict(self.match))
        if len(canonical) != len(self.match):
            raise ValueError(f"a field is matched twice: {self.match}")
        object.__setattr__(self, "match", canonical)
        object.__setattr__(self, "key", FlowKey(self.table_id, self.priority, canonical))
        for place, action in enumerate(self.actions):
            if not isinstance(action, GotoTable | Track):
                continue
            first = self.table_id + isinstance(action, GotoTable)
            if place != len(self.actions) - 1 or action.table_id < first:
                raise ValueError(f"{action} is not last, or does not lead to a later table")


def match_of(fields: Mapping[str, MatchValue]) -> Match:
    """The canonical match of these fields."""
    return tuple(
        [
            _kind(name, value)
            if name in _KINDS
            else (name, value if type(value) in _CANONICAL else _canonical(value))
            for name, value in sorted(fields.items(), key=_NAME)
        ]
    )


_KINDS = frozenset({"eth_type", "ip_proto", "icmpv6_type"})


@lru_cache(maxsize=1 << 10)
def _kind(name: str, value: MatchValue) -> tuple[str, MatchValue]:
    """A field of `_KINDS`, which are numbers: thousands of flows share each."""
    return name, value


_CANONICAL = frozenset({int, IPv4Address, IPv6Address})
"""The types of which each value has one spelling."""
_NAME = itemgetter(0)


def _canonical(value: MatchValue) -> MatchValue:
    if isinstance(value, IPv4Network | IPv6Network):
        if value.prefixlen == 0:
            raise ValueError(f"{value} matches everything: leave the field out")
        return value.network_address if value.prefixlen == value.max_prefixlen else value
    return _canonical_text(value) if isinstance(value, str) else value


@lru_cache(maxsize=1 << 14)
def _canonical_text(text: str) -> str:
    number, slash, mask = text.partition("/")
    if not slash or ":" in text or "." in text:
        return text.lower()
    return f"{int(number, 0) & int(mask, 0):#x}/{int(mask, 0):#x}"
