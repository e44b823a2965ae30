"""What a node is told of the others on its segment, so that it reaches them without a router."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from store.model.endpoint import Displaced
from store.model.value import Name, Network, UnicastAddress, Value

MOST = 4096


class OnLink(Value):
    """Another node on a node's segment: how it is reached there, and what it has."""

    node: Name
    next_hops: Annotated[tuple[UnicastAddress, ...], Field(min_length=1, max_length=2)]
    """Its addresses on the segment, at most one of each family."""
    blocks: Annotated[tuple[Network, ...], Field(max_length=MOST)] = ()
    """Those that it owns."""
    displaced: Annotated[tuple[Displaced, ...], Field(max_length=MOST)] = ()
    """Addresses in these blocks that another node holds, and which."""
