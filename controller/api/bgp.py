"""/v1/bgp: sessions, advertised and imported routes of all nodes, as the speakers report them. Read only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from pydantic import AwareDatetime

from controller.answer import Answer
from controller.api import listing
from controller.api.cursor import Cursor
from controller.api.noun import Noun, Operation
from controller.api.parameter import Parameter, inside, named, one_of
from controller.exchange import argument
from controller.parts import parts
from controller.principal import principal
from controller.problem import not_found
from controller.reading import Where, read, read_many, scan
from controller.untold import untold
from store import keys
from store.keys import Kind
from store.model import Advertised, Imported, Program, Session, SessionState, Value

bgp = Noun()

OF_NODE = (named("node", "only those of this node", "node-1"),)
OF_SESSION = (
    *OF_NODE,
    named("peer", "only those with this peer", "tor-a"),
    one_of("state", "only those in this state", SessionState),
)


OF_ROUTE = (
    *OF_NODE,
    replace(
        named("peer", "only those that this peer is told of", "tor-a"),
        where=lambda given: Where(lambda route: given in route.peers, (f'"{given}"'.encode(),)),
    ),
    inside("prefix", "only this prefix and those inside it"),
)


NO_SPEAKER = "no speaker runs on the node; start it there: polder speaker"
NOT_TOLD = "the node's speaker has not told of it; see its log"
UNTOLD = "~"
"""What the places of untold sessions in a list begin with: they come behind every key."""


class SessionView(Session):
    """A session, and whether its speaker still lives to report it. In a list without its transitions.

    One that there should be and no speaker has ever told of is idle.
    """

    since: AwareDatetime | None  # type: ignore[assignment]
    """Null where no speaker has told of it."""
    stale: bool
    """Its speaker does not live: the state is the last that was seen."""


@bgp.operation(
    Operation(
        "GET",
        "/v1/bgp/sessions",
        "List BGP sessions",
        {200: SessionView},
        query=(*listing.PAGING, *OF_SESSION),
    )
)
def list_sessions() -> Answer:
    """Every session, by node and peer, without its transitions; at the end those that no speaker told of."""
    start = listing.begin()
    found = listing.paged(keys.SESSIONS, argument("node"), filters=OF_SESSION)
    silent = _silent({session.node for session in found.values})
    # A page may hold thousands: what was checked when it was read is not checked again.
    rows = [
        {**session.model_dump(exclude={"transitions"}), "stale": session.node in silent}
        for session in found.values
    ]
    if found.last_key or argument("state") not in {None, SessionState.IDLE}:
        return listing.render(rows, found)
    begun = Cursor(found.revision)
    told = listing.as_of(begun, keys.SESSIONS) if start.after or argument("state") else found
    shown = {(session.node, session.peer) for session in told.values}
    places = {_place(each): each for each in _untold(begun, argument("node"), argument("peer"), shown)}
    left = sorted(place for place in places if place > start.after)
    here = left[: listing.LIMIT.given(listing.DEFAULT_LIMIT) - len(rows)]
    rows += [places[place].model_dump(exclude={"transitions"}) for place in here]
    last_key = (here or [UNTOLD])[-1] if len(here) < len(left) else ""
    return listing.render(rows, replace(found, last_key=last_key))


@bgp.operation(
    Operation(
        "GET",
        "/v1/bgp/sessions/{node}/{peer}",
        "Read a BGP session",
        {200: SessionView},
        refuses=(404,),
    )
)
def get_session(node: str, peer: str) -> Answer:
    """One session, with its last transitions."""
    found = read(parts().store, keys.SESSIONS, node, peer)
    if found is None:
        if untold := _untold(Cursor(), node, peer):
            return Answer(untold[0])
        there = (f"{each.node}/{each.peer}" for each in scan(parts().store, keys.SESSIONS).values)
        raise not_found("session", f"{node}/{peer}", there)
    return Answer(SessionView(**found.value.model_dump(), stale=node in _silent({node})))


def _place(untold: SessionView) -> str:
    return UNTOLD + keys.SESSIONS.key(untold.node, untold.peer)


def _untold(
    start: Cursor, node: str | None, peer: str | None, told: Collection[tuple[str, str]] = ()
) -> list[SessionView]:
    """Idle sessions of a revision; see `controller.untold`. Who does not see all nodes is shown none."""
    if not principal().scope.whole:
        return []
    nodes = [each for each in listing.as_of(start, keys.NODES).values if node in {None, each.name}]
    peers = listing.as_of(start, keys.PEERS).values
    found = [each for each in untold(nodes, peers, told) if peer in {None, each.peer.name}]
    silent = _silent({each.node for each in found})
    return [
        SessionView(
            node=node,
            peer=peer.name,
            address=peer.address,
            asn=peer.asn,
            state=SessionState.IDLE,
            since=None,
            reason=NO_SPEAKER if node in silent else NOT_TOLD,
            stale=node in silent,
        )
        for node, peer in found
    ]


def _silent(nodes: Collection[str]) -> set[str]:
    """Those of these nodes whose speaker does not live."""
    speaking = read_many(parts().store, keys.ALIVE, [(node, Program.SPEAKER.value) for node in nodes])
    return set(nodes) - {node for node, _ in speaking}


@bgp.operation(
    Operation(
        "GET",
        "/v1/bgp/routes",
        "List advertised routes",
        {200: Advertised},
        query=(*listing.PAGING, *OF_ROUTE),
    )
)
def list_routes() -> Answer:
    """Every prefix that a speaker announces, by node."""
    return _of_nodes(keys.ADVERTISED, OF_ROUTE)


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
    return _of_nodes(keys.IMPORTED, OF_NODE)


def _of_nodes(kind: Kind[Value], filters: Sequence[Parameter]) -> Answer:
    """What all nodes, or the one that is asked for, say of a kind that is kept below each of them."""
    start = listing.begin()
    nodes = listing.as_of(start, keys.NODES)
    wanted = argument("node")
    names = [node.name for node in nodes.values if wanted in {None, node.name}]
    found = listing.page_at(
        replace(start, revision=nodes.revision), kind, sorted(kind.prefix(name) for name in names), filters
    )
    return listing.render(found.values, found)
