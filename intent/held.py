"""An endpoint as its node holds it: the stored value together with the switch port it is plugged into."""

from __future__ import annotations

from dataclasses import dataclass

from store.model import Endpoint, IPAddress

KEPT = 4096
"""Of how many of them decisions are kept: more than a node has."""


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """An endpoint with its OpenFlow port number (`ofport`, 1 to 0xfeff) on this node's bridge.

    One that is behind neighbours of the node has no port: `via` names one of each family that it has.

    Equal to itself only, so that what follows from it can be kept by it. Whoever asks for decisions again
    and again asks with the same object while nothing of the endpoint has changed.
    """

    endpoint: Endpoint
    ofport: int
    via: tuple[IPAddress, ...] = ()
    judged: bool = False
    """Rules decide what it may send and get."""
    uplink: int = 0
    """The OpenFlow number of its segment's uplink; 0 of one that is on no segment."""
    closed: bool = False
    """They let nothing pass: the node was not told of it yet."""

    def same(self, other: Held) -> bool:
        """Whether the two say the same."""
        mine = (self.endpoint, self.ofport, self.via, self.judged, self.uplink, self.closed)
        theirs = (other.endpoint, other.ofport, other.via, other.judged, other.uplink, other.closed)
        return mine == theirs

    @property
    def routed(self) -> bool:
        """Whether the node's kernel routes to it by the bridge."""
        return not self.via and self.endpoint.membership is None
