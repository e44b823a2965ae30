"""Segments: VLANs of a node's uplink that endpoints appear on by layer 2, with their own MAC addresses."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from store.model.value import Address_, Ifname, IPAddress, Network, Value, of_version

Vlan = Annotated[int, Field(strict=True, ge=1, le=4094)]


class Segment(Value):
    """A VLAN of an uplink, which carries it tagged (IEEE 802.1Q)."""

    vlan: Vlan
    uplink: Ifname
    """A physical port that each of the nodes gives to its bridge, for the segments alone."""

    def __str__(self) -> str:
        return f"{self.vlan}@{self.uplink}"


class Membership(Value):
    """How an endpoint is on a segment: what its pools said when it was made."""

    segment: Segment
    networks: Annotated[tuple[Network, ...], Field(min_length=1, max_length=2)]
    """The network of each address, which is on-link."""
    gateways: Annotated[tuple[Address_, ...], Field(max_length=2)] = ()
    """The segment's router, at most one of each family. Without one there is no default route."""

    def gateway(self, version: int) -> IPAddress | None:
        """The gateway of one family (4 or 6)."""
        return of_version(self.gateways, version)
