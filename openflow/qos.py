"""Limits and marks of an endpoint's packets: the meters that they go through, and their DSCP. Pure.

A flow of OpenFlow 1.4 has one meter, and a packet may have to go through several. So a flow that measures
writes the number of a meter into a register and visits the table `meter`, as often as there are meters. A
meter that is not there (a switch may take none) has no flow there, and the packet goes on.

New connections are what the connection tracker does not know yet: for an endpoint that is limited in them all
its packets are tracked, as for one with rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from openflow.connections import NEW
from openflow.cookie import Purpose
from openflow.flow import Action, Flow, GotoTable, Measure, SetField, Visit
from openflow.meter import Meter
from openflow.tables import (
    ARRIVE,
    EGRESS_STAGED,
    FORWARD,
    INGRESS_STAGED,
    METER,
    METER_ID,
    OUT,
    SEND,
    TRACK,
    Fields,
    Table,
)


@dataclass(frozen=True, slots=True)
class PortQos:
    """What becomes of an endpoint's packets beside being let through.

    Args:
        sent: the meters of all IP packets that it sends.
        received: the meters of all that it gets.
        opened: the meter of connections that it opens.
        accepted: the meter of those that others open to it.
        dscp: what is written into its packets (RFC 2474 §3); None keeps what is there.
    """

    sent: tuple[Meter, ...] = ()
    received: tuple[Meter, ...] = ()
    opened: Meter | None = None
    accepted: Meter | None = None
    dscp: int | None = None

    @property
    def tracked(self) -> bool:
        """Whether the connection tracker has to know its connections. Both ways: else answers look new."""
        return self.opened is not None or self.accepted is not None

    @property
    def meters(self) -> tuple[Meter, ...]:
        """All of them."""
        return (*self.sent, *self.received, *filter(None, (self.opened, self.accepted)))

    @property
    def on_sending(self) -> tuple[Action, ...]:
        """What is done with each IP packet that it sends."""
        mark = () if self.dscp is None else (SetField("ip_dscp", self.dscp),)
        return (*mark, *through(self.sent))

    @property
    def on_receiving(self) -> tuple[Action, ...]:
        """What is done with each packet that it gets."""
        return through(self.received)


NO_QOS = PortQos()


def through(meters: Iterable[Meter | None]) -> tuple[Action, ...]:
    """The actions that send a packet through these meters, one after the other."""
    return tuple(
        action
        for meter in meters
        if meter is not None
        for action in (SetField(METER_ID, meter.meter_id), Visit(METER.table_id))
    )


def meter_flows(meters: Iterable[Meter]) -> Iterator[Flow]:
    """The flows of the table `meter`. A switch refuses those of a meter that it has not."""
    for meter in meters:
        match: Fields = {METER_ID: meter.meter_id}
        yield METER.flow(100, Purpose.METER, (Measure(meter.meter_id),), meter.reason, match)


def opening_flows(
    qos: PortQos, ofport: int, families: Iterable[Fields], endpoint: str, *, judged: bool
) -> Iterator[Flow]:
    """The flows that find the new connections of an endpoint that is limited in them.

    Args:
        qos: what is done.
        ofport: the endpoint's port.
        families: which kinds of IP it speaks.
        endpoint: its id, for the reasons.
        judged: whether rules decide what it may send and get.
    """
    if not qos.tracked:
        return
    onward = EGRESS_STAGED if judged else FORWARD
    inward = INGRESS_STAGED if judged else SEND
    for family in families:
        sent: Fields = {"in_port": ofport, **family}
        yield from _connections(TRACK, sent, qos.opened, onward.goto(), f"{endpoint} opens a connection")
        received: Fields = {OUT: ofport, **family}
        yield from _connections(
            ARRIVE, received, qos.accepted, inward.goto(), f"a connection to {endpoint} is opened"
        )


def _connections(
    table: Table, fields: Fields, meter: Meter | None, onward: GotoTable, reason: str
) -> Iterator[Flow]:
    """What was looked up and is no answer goes on, what is new by its meter first."""
    yield table.flow(140, Purpose.CONNECTION, (onward,), f"{reason}, or has one", fields)
    if meter is not None:
        opening: Fields = {**fields, **NEW}
        yield table.flow(150, Purpose.METER, (*through([meter]), onward), reason, opening)
