"""An endpoint as its node holds it: the stored value together with the switch port it is plugged into."""

from __future__ import annotations

from dataclasses import dataclass

from store.model import Endpoint, IPAddress

KEPT = 4096
"""Of how many of them decisions are kept: more than a node has."""


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """An endpoint with its OpenFlow port number (`ofport`, 1 to 0xfeff) on this node's bridge.

    One that is behind a machine shares a port (`shared`): its `ofport` is a number that no port has, and
    `via` names the machine's own address in each family that it has.

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
    shared: int = 0
    """The OpenFlow number of the port that it shares; 0 of one that has its own."""

    def same(self, other: Held) -> bool:
        """Whether the two say the same."""
        return self._said == other._said

    @property
    def _said(self) -> tuple[object, ...]:
        return (self.endpoint, self.ofport, self.via, self.judged, self.uplink, self.closed, self.shared)

    @property
    def routed(self) -> bool:
        """Whether the node's kernel routes to it by the bridge."""
        return self.endpoint.membership is None

    @property
    def serves(self) -> bool:
        """Whether it may hold the address of a service: several behind one machine would be one holder."""
        return self.routed and not self.via
