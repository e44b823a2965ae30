"""A switch in memory: runs flows on abstract packets, as OpenFlow 1.4.1 §5 says, and counts.

A packet is a mapping of OXM fields to values, `in_port` among them. Only what the pipeline uses is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from openflow.cookie import Purpose, decode
from openflow.flow import ChoosePort, DecTtl, Flow, GotoTable, MatchValue, Output, SetField

Packet = Mapping[str, MatchValue]


@dataclass
class MemorySwitch:
    """Flows, and what each purpose has counted."""

    flows: dict[object, Flow] = field(default_factory=dict)
    counted: Counter[Purpose] = field(default_factory=Counter)

    def put(self, flows: Iterable[Flow]) -> None:
        """Add flows; one of equal key replaces."""
        for flow in flows:
            self.flows[flow.key] = flow

    def receive(self, packet: Packet) -> list[tuple[int, Packet]]:
        """Send a packet through the tables; where it came out, and as what."""
        out: list[tuple[int, Packet]] = []
        current, table_id = dict(packet), 0
        while True:
            flow = self._lookup(table_id, current)
            if flow is None:
                return out
            cookie = decode(flow.cookie)
            assert cookie is not None
            self.counted[Purpose(cookie.purpose)] += 1
            following = self._apply(flow, current, out)
            if following is None:
                return out
            table_id = following

    def _lookup(self, table_id: int, packet: Packet) -> Flow | None:
        found = [flow for flow in self.flows.values() if flow.table_id == table_id and _matches(flow, packet)]
        best = max((flow.priority for flow in found), default=0)
        winners = [flow for flow in found if flow.priority == best]
        assert len(winners) < 2, f"flows of equal priority match {packet}: {winners}"
        return winners[0] if winners else None

    def _apply(self, flow: Flow, packet: dict[str, MatchValue], out: list[tuple[int, Packet]]) -> int | None:
        for action in flow.actions:
            match action:
                case Output(port):
                    if port != packet["in_port"]:
                        out.append((port, dict(packet)))
                case SetField(name, value):
                    packet[name] = value
                case DecTtl():
                    ttl = packet["nw_ttl"]
                    assert isinstance(ttl, int)
                    if ttl <= 1:
                        return None
                    packet["nw_ttl"] = ttl - 1
                case ChoosePort(ports):
                    packet["reg0"] = ports[_symmetric_hash(packet) % len(ports)]
                case GotoTable(table_id):
                    return table_id
        return None


def _symmetric_hash(packet: Packet) -> int:
    """The same for both directions; all ports are up here."""
    ends = ("ipv4_src", "ipv4_dst"), ("ipv6_src", "ipv6_dst"), ("tcp_src", "tcp_dst")
    return hash(tuple(frozenset(packet.get(name) for name in pair) for pair in ends))


def _matches(flow: Flow, packet: Packet) -> bool:
    return all(name in packet and _agrees(wanted, packet[name]) for name, wanted in flow.match)


def _agrees(wanted: MatchValue, value: MatchValue) -> bool:
    if isinstance(wanted, IPv4Network | IPv6Network):
        return value in wanted  # type: ignore[operator]
    if isinstance(wanted, str) and "/" in wanted:
        number, mask = (_number(part) for part in wanted.split("/"))
        return _number(value) & mask == number
    return value == wanted


def _number(value: MatchValue) -> int:
    return value if isinstance(value, int) else int(str(value).replace(":", ""), 16)
