"""The flows a node's bridge should have: the pipeline's own, and those of each endpoint it holds.

The flows of an endpoint depend on nothing else. They are made once for each and kept: a node asks again at
every change of anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from intent.held import KEPT, Held
from intent.limits import port_qos
from intent.names import GATEWAY_MAC
from openflow.behind import SharedPort, behind_flows
from openflow.flow import Flow, FlowKey
from openflow.pipeline import EndpointPort, base_flows, endpoint_flows
from openflow.segment import SegmentPort, segment_flows


def flow_parts(held: Iterable[Held]) -> list[Mapping[FlowKey, Flow]]:
    """The flows of this node's bridge, in parts that are kept: the pipeline's own, then each endpoint's."""
    return [_base(), *map(flows_of, held)]


@lru_cache(maxsize=KEPT)
def flows_of(held: Held) -> Mapping[FlowKey, Flow]:
    """The flows of one endpoint."""
    endpoint = held.endpoint
    named = (endpoint.id, held.ofport, endpoint.mac, endpoint.addresses)
    port = EndpointPort(*named, judged=held.judged, qos=port_qos(held))
    if endpoint.membership is not None:
        segment = SegmentPort(endpoint.membership.segment.vlan, held.uplink)
        return {flow.key: flow for flow in segment_flows(port, segment)}
    if held.via:
        families = {address.version for address in endpoint.addresses}
        shared = SharedPort(held.shared, tuple(each for each in held.via if each.version in families))
        return {flow.key: flow for flow in behind_flows(port, shared, GATEWAY_MAC)}
    return {flow.key: flow for flow in endpoint_flows(port, GATEWAY_MAC)}


@lru_cache(maxsize=1)
def _base() -> Mapping[FlowKey, Flow]:
    return {flow.key: flow for flow in base_flows(GATEWAY_MAC)}
