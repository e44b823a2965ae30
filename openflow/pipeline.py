"""The pipeline: its tables as data, the flows of a bridge and of each endpoint as pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from openflow.flow import Flow, IPAddress

GATEWAY_IPV4 = IPv4Address("169.254.1.1")
GATEWAY_IPV6 = IPv6Address("fe80::1")


@dataclass(frozen=True, slots=True)
class EndpointPort:
    """An endpoint's port on the bridge, and the only MAC and addresses that may speak there."""

    endpoint: str
    ofport: int
    mac: str
    addresses: tuple[IPAddress, ...]


def base_flows(gateway_mac: str) -> tuple[Flow, ...]:
    """The flows of a bridge that has no endpoint yet. Pure."""
    raise NotImplementedError


def endpoint_flows(port: EndpointPort, gateway_mac: str) -> tuple[Flow, ...]:
    """The flows of one endpoint. Pure."""
    raise NotImplementedError
