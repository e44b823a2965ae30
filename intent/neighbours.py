"""The permanent neighbours a node should have: the kernel never asks who holds an endpoint's address."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from intent.held import Held
from intent.names import BRIDGE
from store.model import IPAddress


@dataclass(frozen=True, slots=True)
class NeighbourKey:
    """What a neighbour is found by."""

    oif: str
    address: IPAddress


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent neighbour entry (NUD_PERMANENT)."""

    oif: str
    address: IPAddress
    mac: str
    reason: str = field(default="", compare=False)

    @property
    def key(self) -> NeighbourKey:
        """What it is found by."""
        return NeighbourKey(self.oif, self.address)


def neighbours(held: Iterable[Held]) -> dict[NeighbourKey, Neighbour]:
    """One neighbour for each address of the endpoints the node holds."""
    made = (
        Neighbour(BRIDGE, address, one.endpoint.mac, reason=f"endpoint {one.endpoint.id}")
        for one in held
        for address in one.endpoint.addresses
    )
    return {neighbour.key: neighbour for neighbour in made}
