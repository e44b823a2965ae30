"""/v1/bgp/differences: what routers really hold, compared with what was announced to them. Read only."""

from __future__ import annotations

from controller.answer import Answer
from controller.api import listing
from controller.api.noun import Noun, Operation
from controller.api.parameter import named
from controller.exchange import argument
from store import keys
from store.model import Verified

verification = Noun()

OF_NODE = named("node", "only those of this node", "node-1")
OF_PEER = named("peer", "only those with this peer", "tor-a")


@verification.operation(
    Operation(
        "GET",
        "/v1/bgp/differences",
        "List what routers hold otherwise than announced",
        {200: Verified},
        query=(*listing.PAGING, OF_NODE, OF_PEER),
    )
)
def list_differences() -> Answer:
    """Every session that a router tells of by BMP, by node and peer, with where its two ends differ."""
    return listing.stored(keys.VERIFIED, argument("node"), filters=(OF_PEER,))
