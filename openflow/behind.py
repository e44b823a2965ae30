"""The flows of endpoints that share a port: the addresses of a machine that is behind it. Pure functions.

    the port, MAC and source -> classify [-> track -> egress] -> forward [-> arrive -> ingress] -> send

Each has a number of its own that no port of the bridge has. `classify` writes it in the place of the port
that a packet came in by, and `send` has a flow that leads from it to the port. In between, whatever is
decided by port is decided for one endpoint: its rules, its limits, its counters. Two of them reach each other
by the bridge, as any two do.

The machine may route to the addresses instead of holding them. It asks for the gateway with an address of its
own then, and may use that for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from openflow.cookie import Purpose
from openflow.flow import Flow, IPAddress, SetField
from openflow.pipeline import (
    EndpointPort,
    answers_to,
    forward_flows,
    from_address,
    neighbour_messages,
    send_flows,
    to_address,
)
from openflow.qos import opening_flows
from openflow.sampling import denied_flows
from openflow.tables import ARP, CAME_BY, CLASSIFY, DELIVER, FORWARD, GROUP_MAC, IPV4, IPV6, OUT, SEND, Fields

NUMBERS = range(0x8010, 33_333)
"""The numbers of such endpoints. Open vSwitch gives ports those below 0x8000 by itself and leaves these to
controllers; the meters of a higher one would be more than a datapath has (`intent.limits`)."""


@dataclass(frozen=True, slots=True)
class SharedPort:
    """What an endpoint is behind.

    Args:
        ofport: the OpenFlow number of the port.
        asks_with: the machine's own addresses, with which it asks for the gateway.
    """

    ofport: int
    asks_with: tuple[IPAddress, ...] = ()


def behind_flows(port: EndpointPort, shared: SharedPort, gateway_mac: str) -> tuple[Flow, ...]:
    """The flows of one endpoint, whose `ofport` is its number. Those of the port are each one's. Pure."""
    families = (IPV4,) * port.ipv4 + (IPV6,) * port.ipv6
    why, received = f"to {port.endpoint}, behind a port", port.qos.on_receiving
    sent = send_flows(shared.ofport, families, why, received, leaving={OUT: port.ofport})
    limited = opening_flows(port.qos, port.ofport, families, port.endpoint, judged=port.judged)
    return (
        *_classify(port, shared),
        *forward_flows(port, gateway_mac),
        *_deliver(port, shared),
        *sent,
        *limited,
        *denied_flows(port.ofport, port.endpoint, tracked=port.tracked),
        *send_flows(shared.ofport, (), "the gateway and what is behind a port"),
    )


def _classify(port: EndpointPort, shared: SharedPort) -> Iterator[Flow]:
    own: Fields = {"in_port": shared.ofport, "eth_src": port.mac}
    enter = (SetField(CAME_BY, port.ofport), *port.enter)
    for address in port.addresses:
        why = f"{port.endpoint} from {address}, behind a port"
        yield CLASSIFY.flow(100, Purpose.ACCEPT, enter, why, {**own, **from_address(address)})
    asking = replace(port, addresses=(*port.addresses, *shared.asks_with))
    for fields in neighbour_messages(asking):
        why = f"{port.mac} behind a port and the gateway"
        yield CLASSIFY.flow(300, Purpose.NEIGHBOUR, (FORWARD.goto(),), why, {**own, **fields})
    anything: Fields = {"in_port": shared.ofport}
    spoofed, group = "nobody behind the port has that", "from behind a port to a group"
    yield CLASSIFY.drop(90, Purpose.SPOOFED, f"{spoofed}, or it is not for the gateway", {**anything, **ARP})
    yield CLASSIFY.drop(60, Purpose.MULTICAST, group, {**anything, **GROUP_MAC})
    yield CLASSIFY.drop(50, Purpose.SPOOFED, spoofed, anything)


def _deliver(port: EndpointPort, shared: SharedPort) -> Iterator[Flow]:
    to_mac: Fields = {"eth_dst": port.mac}
    mine = (SetField(OUT, port.ofport), port.reach)
    for address in port.addresses:
        match = {**to_mac, **to_address(address)}
        yield DELIVER.flow(100, Purpose.LOCAL, mine, f"{address} is {port.endpoint}, behind a port", match)
    answer = (SetField(OUT, shared.ofport), SEND.goto())
    for fields in answers_to(port):
        why = f"the gateway and {port.mac} behind a port"
        yield DELIVER.flow(100, Purpose.NEIGHBOUR, answer, why, {**to_mac, **fields})
