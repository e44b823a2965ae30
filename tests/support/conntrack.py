"""A connection tracker in memory: one zone, whose connections never end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NEW, ESTABLISHED, RELATED, REPLY, INVALID, TRACKED = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
TRANSPORT = {6: "tcp", 17: "udp"}
ICMP_ERRORS = {1: (3, 11, 12), 58: (1, 2, 3, 4)}
ANSWERS = {1: {8: 0, 0: 8}, 58: {128: 129, 129: 128}}
"""By protocol, of each type that asks or answers its counterpart."""
ASKS = {1: 8, 58: 128}

Ends = tuple[Any, ...]


@dataclass
class Tracker:
    """Remembers who opened each connection."""

    openers: dict[Ends, int] = field(default_factory=dict)
    """With the mark of each."""

    def known(self, packet: Mapping[str, Any]) -> dict[str, int]:
        """What a packet gets to know of its connection."""
        opener = self._ends(packet) if self._ends(packet) in self.openers else self._back(packet)
        about = packet.get("about") is not None
        return {
            "ct_state": self.state(packet),
            "ct_mark": 0 if about else self.openers.get(opener, 0),
        }

    def state(self, packet: Mapping[str, Any]) -> int:
        """The `ct_state` of a packet (ovs-fields(7))."""
        kind = packet.get("icmpv4_type", packet.get("icmpv6_type"))
        if kind in ICMP_ERRORS.get(packet["ip_proto"], ()):
            about = packet.get("about")
            known = about is not None and self._known(about)
            return TRACKED | (RELATED if known else INVALID)
        if self._ends(packet) in self.openers:
            return TRACKED | ESTABLISHED
        if self._back(packet) in self.openers:
            return TRACKED | ESTABLISHED | REPLY
        return TRACKED | (INVALID if kind not in (None, ASKS.get(packet["ip_proto"])) else NEW)

    def commit(self, packet: Mapping[str, Any], mark: int | None = None) -> None:
        """Remember the packet's connection, its sender as who opened it, and a mark if there is one."""
        self.openers[self._ends(packet)] = self.openers.get(self._ends(packet), 0) if mark is None else mark

    def _known(self, packet: Mapping[str, Any]) -> bool:
        return bool({self._ends(packet), self._back(packet)} & self.openers.keys())

    def _ends(self, packet: Mapping[str, Any]) -> Ends:
        name = TRANSPORT.get(packet["ip_proto"])
        if name is not None:
            return (packet["ip_proto"], *addresses(packet), packet[f"{name}_src"], packet[f"{name}_dst"])
        kind = packet.get("icmpv4_type", packet.get("icmpv6_type"))
        return (packet["ip_proto"], *addresses(packet), kind)

    def _back(self, packet: Mapping[str, Any]) -> Ends:
        protocol, source, destination, *rest = self._ends(packet)
        if protocol in TRANSPORT:
            return (protocol, destination, source, *rest[::-1])
        return (protocol, destination, source, ANSWERS.get(protocol, {}).get(rest[0], rest[0]))


def addresses(packet: Mapping[str, Any]) -> Ends:
    """Source and destination of an IP packet."""
    return next(
        (packet[f"{family}_src"], packet[f"{family}_dst"])
        for family in ("ipv4", "ipv6")
        if f"{family}_src" in packet
    )
