"""POST /v1/endpoints:release: up to 1,000 endpoints are deleted in one request, each on its own account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import from_json, to_json

from controller.answer import Answer
from controller.api.batch import BatchAnswer, refuse_twice
from controller.api.endpoint_view import rows
from controller.api.noun import Noun, Operation
from controller.ipam.allocator import MAX_MANY
from controller.ipam.release import Outcome, Wish
from controller.parts import parts
from controller.principal import principal
from controller.problem import Fault, Problem
from store.model import Endpoint
from store.model.value import Identifier, Uid

releases = Noun()


class Unwanted(BaseModel):
    """An endpoint that is to end; with `uid` only that assignment of the id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Identifier
    uid: Uid | None = None


class UnwantedEndpoints(BaseModel):
    """Many of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: Annotated[tuple[Unwanted, ...], Field(min_length=1, max_length=MAX_MANY, fail_fast=True)]

    @model_validator(mode="after")
    def _each_once(self) -> UnwantedEndpoints:
        refuse_twice(item.id for item in self.items)
        return self


@releases.operation(
    Operation(
        "POST",
        "/v1/endpoints:release",
        "Delete many endpoints",
        {200: BatchAnswer},
        body=UnwantedEndpoints,
    )
)
def release_endpoints(unwanted: UnwantedEndpoints) -> Answer:
    """200 with what a DELETE of each would have answered: 204, 202 with the endpoint, or a problem."""
    shared = parts()
    wishes = [Wish(item.id, item.uid) for item in unwanted.items]
    outcomes = shared.releaser.release_many(wishes, principal().scope)
    remaining = [each for each in outcomes if isinstance(each, Endpoint)]
    shown = {each["id"]: each for each in rows(shared.store, remaining)} if remaining else {}
    items = [_item(index, each, shown) for index, each in enumerate(outcomes)]
    refused = sum(isinstance(each, Problem) for each in outcomes)
    return Answer(to_json({"items": items, "refused": refused}).decode())


def _item(index: int, outcome: Outcome, shown: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    if outcome is None:
        return {"status": 204}
    if isinstance(outcome, Endpoint):
        return {"status": 202, "endpoint": shown[outcome.id]}
    faults = [Fault(each.detail, f"/items/{index}/{each.parameter or 'id'}") for each in outcome.errors]
    placed = Problem(outcome.kind, outcome.detail, errors=faults, retry_after_s=outcome.retry_after_s)
    return {"status": outcome.status, "problem": from_json(placed.body())}
