"""/v1/endpoints/{id}/move: how far the move of an endpoint is, while two nodes have it."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel

from controller.answer import Answer
from controller.api.noun import Noun, Operation
from controller.ipam.arrival import Stage, stages
from controller.parts import parts
from controller.principal import principal
from controller.problem import Problem, not_found
from controller.reading import read
from store import keys
from store.model.value import Identifier, Name

moves = Noun()


class MoveView(BaseModel):
    """A move that is not over: the node that the endpoint leaves delivers it."""

    endpoint: Identifier
    source: Name
    """The node that it leaves."""
    target: Name
    """The node it goes to."""
    since: AwareDatetime
    overlap_s: int
    """Seconds after which the old node takes it down in any case."""
    stage: Stage


@moves.operation(
    Operation("GET", "/v1/endpoints/{id}/move", "See how far a move is", {200: MoveView}, refuses=(404,))
)
def get_move(id: str) -> Answer:  # noqa: A002
    """404 when the endpoint is not being moved: it is on one node only."""
    store = parts().store
    record, found = read(store, keys.ENDPOINTS, id), read(store, keys.MOVES, id)
    if record is None or not principal().scope.has(record.value):
        raise not_found("endpoint", id)
    if found is None or found.value.endpoint.uid != record.value.uid:
        raise Problem("not-found", f"endpoint {id} is not being moved; it is on {record.value.node} alone")
    move = found.value
    (stage,) = stages(store, [move])
    view = MoveView(
        endpoint=id,
        source=move.source,
        target=move.target,
        since=move.since,
        overlap_s=move.overlap_s,
        stage=stage,
    )
    return Answer(view)
