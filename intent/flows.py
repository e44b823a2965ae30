"""The flows a node's bridge should have: the pipeline's own, and those of each endpoint it holds."""

from __future__ import annotations

from collections.abc import Iterable

from intent.held import Held
from intent.names import GATEWAY_MAC
from openflow.flow import Flow, FlowKey
from openflow.pipeline import EndpointPort, base_flows, endpoint_flows


def flows(held: Iterable[Held]) -> dict[FlowKey, Flow]:
    """The flows of this node's bridge, by what the switch identifies them by."""
    made = [*base_flows(GATEWAY_MAC)]
    for one in held:
        made += endpoint_flows(_port(one), GATEWAY_MAC)
    return {flow.key: flow for flow in made}


def endpoint_keys(held: Held) -> set[FlowKey]:
    """What the flows of one endpoint are identified by."""
    return {flow.key for flow in endpoint_flows(_port(held), GATEWAY_MAC)}


def _port(held: Held) -> EndpointPort:
    endpoint = held.endpoint
    return EndpointPort(endpoint.id, held.ofport, endpoint.mac, endpoint.addresses)
