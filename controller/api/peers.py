"""/v1/peers: the routers that speakers open BGP sessions with."""

from __future__ import annotations

from typing import Any

from controller.answer import Answer
from controller.api import listing
from controller.api.noun import Noun, Operation, Patch, has_name, made
from controller.api.parameter import named
from controller.parts import parts
from controller.precondition import demanded_match, match
from controller.reading import find
from controller.validation import merge, replaced
from controller.watching.topic import Topic
from store import keys
from store.model import Peer

peers = Noun()

FILTERS = (named("node", "only peers of this node alone", "node-1"),)
MUTABLE = tuple(name for name in Peer.model_fields if name not in {"name", "node"})


@peers.operation(
    Operation(
        "POST", "/v1/peers", "Create a peer", {201: Peer, 200: Peer}, body=Peer, refuses=(409,), foreseen=True
    )
)
def create_peer(peer: Peer) -> Answer:
    """201 when new; 200 when an equal one is there. Its node has to exist."""
    return made("peers", *parts().registry.create_peer(peer))


@peers.operation(
    Operation(
        "GET",
        "/v1/peers",
        "List peers",
        {200: Peer},
        query=(*listing.PAGING, *FILTERS),
        topic=Topic(keys.PEERS),
    )
)
def list_peers() -> Answer:
    """Every peer, by name."""
    return listing.stored(keys.PEERS, filters=FILTERS)


@peers.operation(Operation("GET", "/v1/peers/{name}", "Read a peer", {200: Peer, 304: None}, refuses=(404,)))
def get_peer(name: str) -> Answer:
    """One peer."""
    found = find(parts().store, keys.PEERS, name)
    return Answer(found.value, revision=found.mod_revision)


@peers.operation(
    Operation(
        "PUT",
        "/v1/peers/{name}",
        "Create or replace a peer",
        {200: Peer, 201: Peer},
        body=Peer,
        refuses=(409,),
        matches=True,
        foreseen=True,
    )
)
def put_peer(name: str, peer: Peer) -> Answer:
    """What it becomes is all in the body; the precondition says of which state."""
    has_name(name, peer.name)
    registry = parts().registry
    return made(
        "peers",
        *registry.replace(
            keys.PEERS,
            name,
            lambda: registry.create_peer(peer),
            lambda stored: replaced(stored, peer, MUTABLE),
            demanded_match(),
        ),
    )


@peers.operation(
    Operation(
        "PATCH",
        "/v1/peers/{name}",
        "Change a peer",
        {200: Peer},
        body=Patch(Peer, MUTABLE),
        refuses=(404, 409),
        matches=True,
        foreseen=True,
    )
)
def change_peer(name: str, patch: dict[str, Any]) -> Answer:
    """All but its name and its node."""
    changed = parts().registry.change(
        keys.PEERS, name, lambda peer: merge(Peer, peer, patch, MUTABLE), match()
    )
    return Answer(changed.value, revision=changed.mod_revision)


@peers.operation(
    Operation(
        "DELETE",
        "/v1/peers/{name}",
        "Delete a peer",
        {204: None},
        refuses=(404,),
        matches=True,
        foreseen=True,
    )
)
def delete_peer(name: str) -> Answer:
    """Its speakers withdraw and close the session."""
    parts().retirer.delete_peer(name, match())
    return Answer(status=204)
