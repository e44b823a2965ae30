"""The MTU of an endpoint's link: what its record says, or what the uplink takes that it leaves by. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from store.model import Endpoint

WITHOUT_UPLINK = 1500
"""Of Ethernet (RFC 894), where there is no uplink to ask."""
LEAST, MOST = 1280, 9216
"""IPv6 needs as much (RFC 8200 §5), and no record may say more."""


@dataclass(frozen=True, slots=True)
class Mtus:
    """What a node's kernel says of its links, in bytes."""

    uplink: int | None = None
    """The smallest of those that default routes leave by; None without one."""
    links: Mapping[str, int] = field(default_factory=dict)
    """Each link's, by name: a segment has an uplink of its own."""

    def sized(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with the MTU of its uplink, where its record leaves it to that."""
        if endpoint.mtu_bytes is not None:
            return endpoint
        on = endpoint.membership
        found = self.uplink if on is None else self.links.get(on.segment.uplink)
        mtu_bytes = min(max(found or WITHOUT_UPLINK, LEAST), MOST)
        return endpoint.model_copy(update={"mtu_bytes": mtu_bytes})


def mtu_of(endpoint: Endpoint) -> int:
    """That of an endpoint that a node knows; bytes."""
    return endpoint.mtu_bytes or WITHOUT_UPLINK
