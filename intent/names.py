"""The names and constants of a node's dataplane that more than one decision uses."""

from __future__ import annotations

from openflow.pipeline import GATEWAY_IPV4, GATEWAY_IPV6
from store.model import IPAddress

BRIDGE = "polder0"
"""The Open vSwitch bridge, and its internal port."""

GATEWAYS: tuple[IPAddress, ...] = (GATEWAY_IPV4, GATEWAY_IPV6)
"""The default gateway of every endpoint, on-link: addresses of the bridge's internal port on each node."""

GATEWAY_SOURCES = {4: str(GATEWAY_IPV4), 6: f"{GATEWAY_IPV6}%{BRIDGE}"}
"""What a connection of the node's own to an endpoint is bound to, so that no rule can stop it."""

GATEWAY_MAC = "02:70:6f:6c:64:01"
"""The internal port's MAC, the same on every node: an endpoint that moves keeps its neighbour entry."""

MAIN_TABLE = 254
DISPLACED_TABLE = 80
"""Routes to displaced addresses, consulted only for packets that this node or its endpoints send."""

PROTOCOL = 80
"""The protocol number that marks Polder's kernel routes, rules and neighbours."""

IMPORT_PROTOCOL = 81
"""The protocol number that marks the kernel routes which the speaker takes from its peers."""


def gateway(version: int) -> IPAddress:
    """The gateway of one family (4 or 6)."""
    return GATEWAY_IPV4 if version == 4 else GATEWAY_IPV6
