"""/v1/bgp: every session and every advertised route of all nodes, as the speakers report them. Read only."""

from __future__ import annotations

from flask import request

from controller.api import listing
from controller.api.noun import Answer, Noun, Operation
from controller.reading import scan
from controller.services import services
from store import keys
from store.model import Advertised, Program, Session

bgp = Noun("bgp")

OF_NODE = {"node": "only those of this node"}


class SessionView(Session):
    """A session, and whether its speaker still lives to report it."""

    stale: bool
    """Its speaker does not live: the state is the last that was seen."""


@bgp.operation(Operation("GET", "/v1/bgp/sessions", "List BGP sessions", {200: SessionView}, query=OF_NODE))
def list_sessions() -> Answer:
    """Every session, by node and peer."""
    store, node = services().store, request.args.get("node")
    found = scan(store, keys.SESSIONS, *([node] if node else []))
    speaking = {alive.node for alive in scan(store, keys.ALIVE).values if alive.program is Program.SPEAKER}
    views = [
        SessionView(**session.model_dump(), stale=session.node not in speaking) for session in found.values
    ]
    return listing.render(views, found.revision)


@bgp.operation(Operation("GET", "/v1/bgp/routes", "List advertised routes", {200: Advertised}, query=OF_NODE))
def list_routes() -> Answer:
    """Every prefix that a speaker announces, by node."""
    store, node = services().store, request.args.get("node")
    nodes = scan(store, keys.NODES)
    routes = [
        route
        for name in ([node] if node else [each.name for each in nodes.values])
        for route in scan(store, keys.ADVERTISED, name).values
    ]
    return listing.render(routes, nodes.revision)
