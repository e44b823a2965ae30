"""/v1/bgp: sessions, advertised and imported routes of all nodes, as the speakers report them. Read only."""

from __future__ import annotations

from dataclasses import replace

from controller.answer import Answer
from controller.api import listing
from controller.api.noun import Noun, Operation
from controller.api.parameter import named
from controller.exchange import argument
from controller.reading import read_many
from controller.services import services
from store import keys
from store.keys import Kind
from store.model import Advertised, Imported, Program, Session, Value

bgp = Noun("bgp")

OF_NODE = (named("node", "only those of this node", "node-1"),)


class SessionView(Session):
    """A session, and whether its speaker still lives to report it."""

    stale: bool
    """Its speaker does not live: the state is the last that was seen."""


@bgp.operation(
    Operation(
        "GET", "/v1/bgp/sessions", "List BGP sessions", {200: SessionView}, query=(*listing.PAGING, *OF_NODE)
    )
)
def list_sessions() -> Answer:
    """Every session, by node and peer."""
    node = argument("node")
    found = listing.paged(keys.SESSIONS, *([node] if node else []))
    nodes = {session.node for session in found.values}
    speaking = read_many(services().store, keys.ALIVE, [(each, Program.SPEAKER.value) for each in nodes])
    views = [
        SessionView(**session.model_dump(), stale=(session.node, Program.SPEAKER.value) not in speaking)
        for session in found.values
    ]
    return listing.render(views, found)


@bgp.operation(
    Operation(
        "GET",
        "/v1/bgp/routes",
        "List advertised routes",
        {200: Advertised},
        query=(*listing.PAGING, *OF_NODE),
    )
)
def list_routes() -> Answer:
    """Every prefix that a speaker announces, by node."""
    return _of_nodes(keys.ADVERTISED)


@bgp.operation(
    Operation(
        "GET",
        "/v1/bgp/imported",
        "List imported routes",
        {200: Imported},
        query=(*listing.PAGING, *OF_NODE),
    )
)
def list_imported() -> Answer:
    """Every prefix that a node takes from its peers, by node."""
    return _of_nodes(keys.IMPORTED)


def _of_nodes(kind: Kind[Value]) -> Answer:
    """What all nodes, or the one that is asked for, say of a kind that is kept below each of them."""
    start = listing.begin()
    nodes = listing.as_of(start, keys.NODES)
    wanted = argument("node")
    names = [node.name for node in nodes.values if wanted in {None, node.name}]
    found = listing.page_at(
        replace(start, revision=nodes.revision), kind, sorted(kind.prefix(name) for name in names)
    )
    return listing.render(found.values, found)
