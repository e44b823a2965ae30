"""/v1/nodes: the hosts that run workloads, and which of their programs live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import AwareDatetime, BaseModel

from controller.answer import Answer
from controller.api import listing
from controller.api.noun import Noun, Operation, Patch, has_name
from controller.api.parameter import LABEL
from controller.parts import parts
from controller.precondition import demanded_match, match
from controller.principal import principal
from controller.reading import Found, find, read_many
from controller.validation import merge, replaced
from controller.watching.topic import Beside, Topic
from store import keys
from store.client import Change, Store, key_of
from store.model import Alive, Amiss, Node, Program

nodes = Noun()

Alives = Mapping[tuple[str, ...], Alive]

FILTERS = (LABEL,)
MUTABLE = (
    "asn",
    "router_id",
    "mtu_bytes",
    "labels",
    "reclaim_after_s",
    "next_hops",
    "edge",
    "direct",
    "uplinks",
    "export",
)


class ProgramView(BaseModel):
    """Whether a program of a node lives."""

    alive: bool = False
    since: AwareDatetime | None = None
    """When it started; null while it does not live."""
    amiss: tuple[Amiss, ...] = ()
    """What it found on the node that people have to mend, each with the cure."""


class NodeView(Node):
    """A node as it is shown."""

    programs: dict[Program, ProgramView]


@nodes.operation(
    Operation(
        "POST",
        "/v1/nodes",
        "Create a node",
        {201: NodeView, 200: NodeView},
        body=Node,
        refuses=(409,),
        foreseen=True,
    )
)
def create_node(node: Node) -> Answer:
    """201 when new; 200 when an equal one is there."""
    stored, new = parts().registry.create_node(node)
    return _made(stored, new)


def _watched(store: Store, shown: Sequence[Node], settled: bool) -> list[str]:
    alive = {} if settled else _alive(store, shown)
    return [each.model_dump_json() for each in _views(shown, alive)]


def _node_of(change: Change) -> str | None:
    """The node of which a program began or ceased to live."""
    alive = keys.ALIVE.parts(key_of(change))
    return keys.NODES.key(alive[0]) if alive else None


@nodes.operation(
    Operation(
        "GET",
        "/v1/nodes",
        "List nodes",
        {200: NodeView},
        query=(*listing.PAGING, *FILTERS),
        topic=Topic(keys.NODES, _watched, Beside(keys.ALIVE.prefix(), _node_of)),
    )
)
def list_nodes() -> Answer:
    """Every node, by name."""
    found = listing.paged(keys.NODES, filters=FILTERS)
    return listing.render(_views(found.values, _alive(parts().store, found.values)), found)


@nodes.operation(Operation("GET", "/v1/nodes/{name}", "Read a node", {200: NodeView}, refuses=(404,)))
def get_node(name: str) -> Answer:
    """One node."""
    return _shown_alone(find(parts().store, keys.NODES, name, principal().scope))


@nodes.operation(
    Operation(
        "PUT",
        "/v1/nodes/{name}",
        "Create or replace a node",
        {200: NodeView, 201: NodeView},
        body=Node,
        refuses=(409,),
        matches=True,
        foreseen=True,
    )
)
def put_node(name: str, node: Node) -> Answer:
    """What it becomes is all in the body; the precondition says of which state."""
    has_name(name, node.name)
    registry = parts().registry
    stored, new = registry.replace(
        keys.NODES,
        name,
        lambda: registry.create_node(node),
        lambda stored: replaced(stored, node, MUTABLE),
        demanded_match(),
    )
    parts().joining.allow(name, edge=stored.value.edge)
    return _made(stored, new)


@nodes.operation(
    Operation(
        "PATCH",
        "/v1/nodes/{name}",
        "Change a node",
        {200: NodeView},
        body=Patch(Node, MUTABLE),
        refuses=(404,),
        matches=True,
        foreseen=True,
    )
)
def change_node(name: str, patch: dict[str, Any]) -> Answer:
    """All but its name. Endpoints that exist keep the MTU that they were made with, or that of the uplink."""
    changed = parts().registry.change(
        keys.NODES, name, lambda node: merge(Node, node, patch, MUTABLE), match()
    )
    # Also when it was so already: a controller may have died between the two.
    parts().joining.allow(name, edge=changed.value.edge)
    return _shown_alone(changed)


@nodes.operation(
    Operation(
        "DELETE",
        "/v1/nodes/{name}",
        "Delete a node",
        {204: None},
        refuses=(404, 409),
        matches=True,
        foreseen=True,
    )
)
def delete_node(name: str) -> Answer:
    """Only while it has no endpoint and no peer, nobody else holds an address of its blocks, and it holds
    nothing that moved away; what a node that is lost holds is not waited for."""
    try:
        parts().retirer.delete_node(name, match())
    finally:
        # Also when it is gone already: a controller may have died between the two.
        parts().joining.expel_if_gone(name)
    return Answer(status=204)


def _made(found: Found[Node], new: bool) -> Answer:
    answer = _shown_alone(found)
    return answer._replace(status=201 if new else 200, location=f"/v1/nodes/{found.value.name}")


def _shown_alone(found: Found[Node]) -> Answer:
    shown = _views([found.value], _alive(parts().store, [found.value]))
    return Answer(shown[0], revision=found.mod_revision)


def _alive(store: Store, shown: Sequence[Node]) -> Alives:
    return read_many(store, keys.ALIVE, [(node.name, program.value) for node in shown for program in Program])


def _views(shown: Sequence[Node], alive: Alives) -> list[NodeView]:
    return [
        NodeView(
            **node.model_dump(),
            programs={each: _program(alive.get((node.name, each.value))) for each in Program},
        )
        for node in shown
    ]


def _program(alive: Alive | None) -> ProgramView:
    return ProgramView(alive=True, since=alive.started, amiss=alive.amiss or ()) if alive else ProgramView()
