"""The flows of a service's address: which endpoints may send from it, and which one takes a packet to it.

A packet to the address, from an endpoint or from the kernel, is given to one of the ports that take it by a
hash of addresses and transport ports (`ChoosePort`), without any state: all of a connection goes to one
endpoint, and so does what comes back if it came by here. `serve` then writes that endpoint's MAC. Nothing
else of the packet is changed: the endpoint has the address.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from openflow.cookie import Purpose
from openflow.flow import ChoosePort, DecTtl, Flow, IPAddress, SetField
from openflow.pipeline import EndpointPort, from_address, to_address
from openflow.tables import CLASSIFY, DELIVER, FORWARD, OUT, SERVE

SERVICE_MAC = "02:70:6f:6c:64:02"
"""What the kernel's neighbour entry of each service's address says. No interface has it."""


@dataclass(frozen=True, slots=True)
class ServicePorts:
    """A service's address on this bridge.

    Args:
        service: its name, for the reasons.
        address: no endpoint has it as its own.
        holders: the ports of the endpoints that hold it.
        takers: of those the ones that take packets.
        slots: the OpenFlow numbers of the takers' ports, as `ChoosePort` takes them.
    """

    service: str
    address: IPAddress
    holders: tuple[EndpointPort, ...]
    takers: tuple[EndpointPort, ...]
    slots: Sequence[int]


def service_flows(ports: ServicePorts, gateway_mac: str) -> tuple[Flow, ...]:
    """The flows of one service. Those of `serve` are the same for each service of an endpoint. Pure."""
    held = (flow for port in ports.holders for flow in _holder(ports, port, gateway_mac))
    if not ports.slots:
        return tuple(held)
    return (*held, *_to_service(ports, gateway_mac), *map(_taker, ports.takers))


def _holder(ports: ServicePorts, port: EndpointPort, gateway_mac: str) -> Iterator[Flow]:
    sent = {"in_port": port.ofport, "eth_src": port.mac, **from_address(ports.address)}
    why = f"{port.endpoint} from {ports.address} of service {ports.service}"
    yield CLASSIFY.flow(100, Purpose.ACCEPT, port.enter, why, sent)
    back = {"in_port": port.ofport, "eth_dst": gateway_mac, **to_address(ports.address)}
    yield FORWARD.drop(250, Purpose.HAIRPIN, f"{port.endpoint} to itself", back)


def _to_service(ports: ServicePorts, gateway_mac: str) -> Iterator[Flow]:
    choose = (ChoosePort(tuple(ports.slots)), SERVE.goto())
    why = f"{ports.address} is service {ports.service}, on this node"
    from_endpoint = {"eth_dst": gateway_mac, **to_address(ports.address)}
    routed = (SetField("eth_src", gateway_mac), DecTtl(), *choose)
    yield FORWARD.flow(150, Purpose.SERVICE, routed, why, from_endpoint)
    from_kernel = {"eth_dst": SERVICE_MAC, **to_address(ports.address)}
    yield DELIVER.flow(100, Purpose.SERVICE, choose, why, from_kernel)


def _taker(port: EndpointPort) -> Flow:
    onward = (SetField("eth_dst", port.mac), port.reach)
    return SERVE.flow(100, Purpose.SERVICE, onward, f"{port.endpoint} takes it", {OUT: port.ofport})
