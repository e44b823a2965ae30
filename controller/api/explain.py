"""What nodes tell of themselves when they are asked: how what they hold differs from what it should be."""

from __future__ import annotations

from controller.answer import Answer
from controller.api.noun import Noun, Operation
from controller.principal import principal
from controller.reading import find
from controller.services import services
from store import keys
from store.model import DiffAsked, DiffSaid

explain = Noun("explain")


@explain.operation(
    Operation(
        "GET",
        "/v1/nodes/{name}/diff",
        "Compare what a node holds with what it should",
        {200: DiffSaid},
        refuses=(404,),
    )
)
def node_diff(name: str) -> Answer:
    """Ports, rules, neighbours, routes and flows, read by the node's agent now."""
    find(services().store, keys.NODES, name, principal().scope)
    return Answer(services().asking.ask(name, DiffAsked()))
