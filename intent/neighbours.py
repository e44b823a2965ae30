"""The permanent neighbours a node should have: the kernel never asks who holds an endpoint's address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from intent.held import KEPT, Held
from intent.names import BRIDGE
from store.model import IPAddress


@dataclass(frozen=True, slots=True)
class NeighbourKey:
    """What a neighbour is found by. Its hash is made once: all are looked up in each pass."""

    oif: str
    address: IPAddress
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.oif, self.address)))

    def __hash__(self) -> int:
        return self._hash


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


def neighbour_parts(held: Iterable[Held]) -> list[Mapping[NeighbourKey, Neighbour]]:
    """One neighbour for each address of the endpoints the node holds, in a part for each that is kept."""
    return [part for one in held if (part := neighbours_of(one))]


@lru_cache(maxsize=KEPT)
def neighbours_of(held: Held) -> Mapping[NeighbourKey, Neighbour]:
    """The neighbours of one endpoint; none of one on a segment, which has neighbours of its own."""
    if not held.routed:
        return {}
    one = held.endpoint
    made = (Neighbour(BRIDGE, address, one.mac, reason=f"endpoint {one.id}") for address in one.addresses)
    return {neighbour.key: neighbour for neighbour in made}
