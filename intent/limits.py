"""The meters of each endpoint on its node's bridge, and which of its limits each is. Pure.

The number of a meter follows from the endpoint's port: a program that restarts finds the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from functools import lru_cache

from intent.held import KEPT, Held
from openflow.flow import Flow, FlowKey
from openflow.meter import Meter, Unit
from openflow.qos import NO_QOS, PortQos, meter_flows
from store.model import Qos
from store.model.qos import MIN_BURST_KBIT


class Limit(IntEnum):
    """What of an endpoint is limited."""

    EGRESS_RATE = 0
    EGRESS_PACKETS = 1
    EGRESS_CONNECTIONS = 2
    INGRESS_RATE = 3
    INGRESS_PACKETS = 4
    INGRESS_CONNECTIONS = 5

    @property
    def of_sent(self) -> bool:
        """Whether what the endpoint sends is limited, and not what it gets."""
        return self < Limit.INGRESS_RATE


BURST_PARTS_OF_S = 4
"""Without a burst of its own a rate gets that of a quarter of a second: TCP keeps up with the rate by it."""
LEAST_PACKETS = 10

_WORDS = {
    Limit.EGRESS_RATE: "sends {} kbps at most",
    Limit.EGRESS_PACKETS: "sends {} packets in a second at most",
    Limit.EGRESS_CONNECTIONS: "opens {} connections in a second at most",
    Limit.INGRESS_RATE: "gets {} kbps at most",
    Limit.INGRESS_PACKETS: "gets {} packets in a second at most",
    Limit.INGRESS_CONNECTIONS: "is opened {} connections to in a second at most",
}


def meters(held: Iterable[Held]) -> dict[int, Meter]:
    """The meters of this node's bridge, by number."""
    limited = (one for one in held if one.endpoint.qos is not None)
    return {meter.meter_id: meter for one in limited for meter in port_qos(one).meters}


def meter_flow_parts(held: Iterable[Held]) -> list[Mapping[FlowKey, Flow]]:
    """The flows that lead into them, of each endpoint that has some, in parts that are kept."""
    limited = (one for one in held if one.endpoint.qos is not None)
    return [part for one in limited if (part := _meter_flows_of(one))]


@lru_cache(maxsize=KEPT)
def _meter_flows_of(held: Held) -> Mapping[FlowKey, Flow]:
    return {flow.key: flow for flow in meter_flows(port_qos(held).meters)}


def port_of(meter_id: int) -> int:
    """The port whose packets go through a meter."""
    return meter_id // len(Limit)


def limit_of(meter_id: int) -> Limit:
    """Which limit of it a meter is."""
    return Limit(meter_id % len(Limit))


@lru_cache(maxsize=KEPT)
def port_qos(held: Held) -> PortQos:
    """What limits and marks the packets of one endpoint."""
    qos = held.endpoint.qos
    if qos is None:
        return NO_QOS
    made = _meters(held, qos)
    return PortQos(
        sent=tuple(made[limit] for limit in (Limit.EGRESS_RATE, Limit.EGRESS_PACKETS) if limit in made),
        received=tuple(made[limit] for limit in (Limit.INGRESS_RATE, Limit.INGRESS_PACKETS) if limit in made),
        opened=made.get(Limit.EGRESS_CONNECTIONS),
        accepted=made.get(Limit.INGRESS_CONNECTIONS),
        dscp=qos.dscp,
    )


def _meters(held: Held, qos: Qos) -> dict[Limit, Meter]:
    rates = {
        Limit.EGRESS_RATE: (qos.egress_rate_kbps, qos.egress_burst_kbit),
        Limit.INGRESS_RATE: (qos.ingress_rate_kbps, qos.ingress_burst_kbit),
    }
    packets = {
        Limit.EGRESS_PACKETS: qos.egress_packets_per_s,
        Limit.INGRESS_PACKETS: qos.ingress_packets_per_s,
    }
    connections = {
        Limit.EGRESS_CONNECTIONS: qos.egress_connections_per_s,
        Limit.INGRESS_CONNECTIONS: qos.ingress_connections_per_s,
    }
    made: dict[Limit, tuple[Unit, int, int]] = {}
    for limit, (rate, burst) in rates.items():
        if rate is not None:
            made[limit] = Unit.KBPS, rate, burst or max(MIN_BURST_KBIT, rate // BURST_PARTS_OF_S)
    for limit, rate in packets.items():
        if rate is not None:
            made[limit] = Unit.PACKETS, rate, max(LEAST_PACKETS, rate // BURST_PARTS_OF_S)
    for limit, rate in connections.items():
        if rate is not None:  # a program opens several at once: a second's worth may come together
            made[limit] = Unit.PACKETS, rate, rate
    return {limit: _meter(held, limit, *what) for limit, what in made.items()}


def _meter(held: Held, limit: Limit, unit: Unit, rate: int, burst: int) -> Meter:
    reason = f"{held.endpoint.id} {_WORDS[limit].format(rate)}"
    return Meter(_meter_id(held.ofport, limit), unit, rate, burst, reason)


def _meter_id(ofport: int, limit: Limit) -> int:
    """Open vSwitch gives ports 1 to 32767 by itself, and `openflow.behind.NUMBERS` end where this would
    be 200,000: the kernel's datapath takes no more meters."""
    return ofport * len(Limit) + limit
