"""The answer to `stats`: what the flows and the port of an endpoint have counted, read now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from agents.node.explain.devices import Passed
from agents.node.explain.diff import IN_PASS
from agents.node.explain.questions import NoAnswer
from agents.node.plug import Plugged
from intent.limits import limit_of, port_of
from openflow.cookie import Purpose
from openflow.counting import Way as Counter
from openflow.counting import counts
from openflow.decoding import Counted as FlowCounted
from openflow.errors import SwitchError
from openflow.flow import FlowKey
from openflow.management import Management, PortCounted
from openflow.meter import MeterCount
from openflow.words import purpose_words, reason_words
from store.model import HeldKind
from store.model.drops import Way
from store.model.question import MOST_UNLIKE, Counted, Dropped, PortStats, StatsAsked, StatsSaid

METERS, FLOWS = IN_PASS.index(HeldKind.METERS), IN_PASS.index(HeldKind.FLOWS)
"""Where they are in what a pass wants."""
DROPPED = {
    Counter.REFUSED: Way.SENT,
    Counter.DENIED_SENT: Way.SENT,
    Counter.DENIED_RECEIVED: Way.RECEIVED,
}
"""What is dropped, and which way it went."""


class Stats:
    """Answers `stats`. Any thread."""

    def __init__(
        self, management: Management, plugged: Callable[[], Mapping[str, Plugged]], wanted: Passed
    ) -> None:
        self._management = management
        self._plugged = plugged
        self._wanted = wanted

    def answer(self, asked: StatsAsked) -> StatsSaid:
        """What was counted of one endpoint. Blocking, briefly. Raises `NoAnswer`."""
        there = self._plugged().get(asked.endpoint)
        if there is None or there.ofport is None:
            raise NoAnswer(f"endpoint {asked.endpoint} is not attached here")
        try:
            flows, ports = self._management.counters(), self._management.ports()
            meters = self._management.meter_counts()
        except SwitchError as fault:
            raise NoAnswer(str(fault)) from fault
        passed = self._wanted()
        reasons, limits = (passed[FLOWS], passed[METERS]) if passed is not None else ({}, {})
        port = ports.get(there.ofport)
        said = counted(there.ofport, flows, reasons)
        dropped = (*limited(there.ofport, meters, limits), *said.dropped)
        return said.model_copy(
            update={"port": None if port is None else _port(port), "dropped": dropped[:MOST_UNLIKE]}
        )


def counted(ofport: int, flows: Iterable[FlowCounted], wanted: Mapping[FlowKey, object]) -> StatsSaid:
    """What these flows have counted of the endpoint at a port. Pure."""
    ways: dict[Counter, list[FlowCounted]] = {way: [] for way in Counter}
    for one in flows:
        mine = counts(one.flow)
        if mine is not None and mine.ofport == ofport:
            ways[mine.way].append(one)
    dropped = [
        Dropped(
            way=DROPPED[way],
            purpose=purpose_words(one.flow.cookie),
            reason=reason_words(wanted.get(one.flow.key)),
            packets=one.packets,
            bytes=one.bytes,
        )
        for way in DROPPED
        for one in ways[way]
        if one.packets
    ]
    dropped.sort(key=lambda each: (-each.packets, each.purpose))
    return StatsSaid(
        sent=_sum(ways[Counter.SENT]),
        received=_sum(ways[Counter.RECEIVED]),
        dropped=tuple(dropped[:MOST_UNLIKE]),
    )


def limited(ofport: int, meters: Mapping[int, MeterCount], wanted: Mapping[int, object]) -> list[Dropped]:
    """What the limits of the endpoint at a port have dropped. Pure."""
    return [
        Dropped(
            way=Way.SENT if limit_of(number).of_sent else Way.RECEIVED,
            purpose=Purpose.METER.name,
            reason=reason_words(wanted.get(number)),
            packets=count.dropped_packets,
            bytes=count.dropped_bytes,
        )
        for number, count in sorted(meters.items())
        if port_of(number) == ofport and count.dropped_packets
    ]


def _sum(flows: Iterable[FlowCounted]) -> Counted:
    counted = list(flows)
    return Counted(packets=sum(each.packets for each in counted), bytes=sum(each.bytes for each in counted))


def _port(port: PortCounted) -> PortStats:
    # The switch receives what the endpoint sends.
    return PortStats(
        sent=Counted(packets=port.received_packets, bytes=port.received_bytes),
        received=Counted(packets=port.sent_packets, bytes=port.sent_bytes),
        sent_dropped=port.received_dropped,
        received_dropped=port.sent_dropped,
    )
