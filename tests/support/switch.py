"""A switch in memory: runs flows on abstract packets, as OpenFlow 1.4.1 §5 says, and counts.

A packet is a mapping of OXM fields to values, `in_port` among them. Only what the pipeline uses is there, and
`about` beside it: of an ICMP error, the packet that it is about. Conjunctions and the connection tracker are
as ovs-fields(7) and ovs-actions(7) say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from openflow.cookie import Purpose, decode
from openflow.flow import (
    CONTROLLER,
    Action,
    ChoosePort,
    Commit,
    Conjunction,
    DecTtl,
    Flow,
    FlowKey,
    GotoTable,
    MatchValue,
    Measure,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    Track,
    Unlook,
    Visit,
)
from openflow.tables import CAME_BY, METER
from tests.support.conntrack import Tracker

Packet = Mapping[str, MatchValue]


METADATA: Packet = {
    **dict.fromkeys(("ct_state", "ct_mark", "ip_frag", "conj_id", "xxreg2"), 0),
    **dict.fromkeys([f"reg{number}" for number in (0, 3, 4, 5, 6, 7, 8, 12, 13)], 0),
}
"""What a packet has only inside of the switch."""


class _Dropped(Exception):
    """A meter has ended the packet."""


@dataclass
class MemorySwitch:
    """Flows, and what each purpose has counted."""

    tables: dict[int, dict[FlowKey, Flow]] = field(default_factory=lambda: defaultdict(dict))
    counted: Counter[Purpose] = field(default_factory=Counter)
    hits: Counter[Flow] = field(default_factory=Counter)
    trackers: dict[int, Tracker] = field(default_factory=lambda: defaultdict(Tracker))
    """The zones of the connection tracker."""
    measured: Counter[int] = field(default_factory=Counter)
    """What has gone through each meter."""
    told: list[Packet] = field(default_factory=list)
    """The packets of which the agent gets a sample, with what they have inside of the switch."""
    exhausted: set[int] = field(default_factory=set)
    """The meters that let nothing through now."""

    def put(self, flows: Iterable[Flow]) -> None:
        """Add flows; one of equal key replaces."""
        for flow in flows:
            self.tables[flow.table_id][flow.key] = flow

    def delete(self, flow: Flow) -> None:
        """Remove the flow of equal key, which is there."""
        del self.tables[flow.table_id][flow.key]

    def receive(self, packet: Packet) -> list[tuple[int, Packet]]:
        """Send a packet through the tables; where it came out, and as what."""
        out: list[tuple[int, Packet]] = []
        self._run(0, {**packet, **METADATA}, out)
        return out

    def _run(
        self, table_id: int | None, current: dict[str, MatchValue], out: list[tuple[int, Packet]]
    ) -> None:
        while table_id is not None and (flow := self._lookup(table_id, current)) is not None:
            cookie = decode(flow.cookie)
            assert cookie is not None
            self.counted[Purpose(cookie.purpose)] += 1
            self.hits[flow] += 1
            try:
                table_id = self._apply(flow, current, out)
            except _Dropped:
                if table_id == METER.table_id:
                    raise
                return

    def _lookup(self, table_id: int, packet: Packet) -> Flow | None:
        """The flow of the highest priority, be it one alone or a conjunction of several."""
        found = [flow for flow in self.tables[table_id].values() if _matches(flow, packet)]
        for priority in sorted({flow.priority for flow in found}, reverse=True):
            here = [flow for flow in found if flow.priority == priority]
            winners = [flow for flow in here if not _clauses(flow)]
            assert len(winners) < 2, f"flows of equal priority match {packet}: {winners}"
            if winners:
                return winners[0]
            if (fulfilled := _fulfilled(here)) and not packet["conj_id"]:
                return self._lookup(table_id, {**packet, "conj_id": min(fulfilled)})
        return None

    def _apply(self, flow: Flow, packet: dict[str, MatchValue], out: list[tuple[int, Packet]]) -> int | None:
        for action in flow.actions:
            match action:
                case Output(port):
                    self._leave(port, packet, out)
                case DecTtl():
                    ttl = packet["nw_ttl"]
                    assert isinstance(ttl, int)
                    if ttl <= 1:
                        return None
                    packet["nw_ttl"] = ttl - 1
                case Track(zone, table_id):
                    packet |= self.trackers[zone].known(packet)
                    return table_id
                case Commit(zone, mark):
                    self.trackers[zone].commit(packet, mark)
                case GotoTable(table_id):
                    return table_id
                case Visit() | Measure():
                    self._measure(action, packet, out)
                case _:
                    packet.update(_written(action, packet))
        return None

    def _leave(self, port: int, packet: Packet, out: list[tuple[int, Packet]]) -> None:
        if port == CONTROLLER:
            self.told.append(dict(packet))
        elif port != packet["in_port"]:
            out.append((port, {name: packet[name] for name in packet.keys() - METADATA.keys()}))

    def _measure(
        self, action: Visit | Measure, packet: dict[str, MatchValue], out: list[tuple[int, Packet]]
    ) -> None:
        if isinstance(action, Visit):
            self._run(action.table_id, packet, out)
            return
        self.measured[action.meter_id] += 1
        if action.meter_id in self.exhausted:
            raise _Dropped


def _written(action: Action, packet: Packet) -> Packet:
    """What an action writes into a packet."""
    match action:
        case SetField(name, value):
            return {"in_port" if name == CAME_BY else name: value}
        case PushVlan():
            return {"vlan_vid": 0x1000}
        case Unlook():
            return {"ct_state": 0}
        case Move(source, target, _bits):
            return {target: packet[source]}
        case PopVlan():
            return {"vlan_vid": 0}
        case ChoosePort(ports):
            return {"reg0": ports[_symmetric_hash(packet) % len(ports)]}
        case _:
            raise ValueError(f"{action} is not of the pipeline")


def _clauses(flow: Flow) -> list[Conjunction]:
    return [action for action in flow.actions if isinstance(action, Conjunction)]


def _fulfilled(flows: Iterable[Flow]) -> set[int]:
    """The conjunctions all of whose clauses are fulfilled by one of these flows each."""
    seen: dict[tuple[int, int], set[int]] = defaultdict(set)
    for flow in flows:
        for each in _clauses(flow):
            seen[each.conj_id, each.clauses].add(each.clause)
    return {conj_id for (conj_id, clauses), fulfilled in seen.items() if len(fulfilled) == clauses}


def _symmetric_hash(packet: Packet) -> int:
    """The same for both directions; all ports are up here."""
    ends = ("ipv4_src", "ipv4_dst"), ("ipv6_src", "ipv6_dst"), ("tcp_src", "tcp_dst")
    return hash(tuple(frozenset(packet.get(name) for name in pair) for pair in ends))


def _matches(flow: Flow, packet: Packet) -> bool:
    return all(name in packet and _agrees(wanted, packet[name]) for name, wanted in flow.match)


def _agrees(wanted: MatchValue, value: MatchValue) -> bool:
    if isinstance(wanted, IPv4Network | IPv6Network):
        return value in wanted
    if isinstance(wanted, str) and "/" in wanted:
        number, mask = (_number(part) for part in wanted.split("/"))
        return _number(value) & mask == number
    return value == wanted


def _number(value: MatchValue) -> int:
    return value if isinstance(value, int) else int(str(value).replace(":", ""), 16)
