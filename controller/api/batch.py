"""POST /v1/endpoints:batch: up to 1,000 endpoints in one request, each on its own account or all or none.

What is wrong with the body refuses all of it. What the store decides (no such node, a full pool) is told of
each item, and with `atomic` one that is refused leaves none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, WithJsonSchema, model_validator

from controller.answer import Answer
from controller.api import idempotency
from controller.api.endpoint_view import EndpointView, NewEndpoint, new_texts, views
from controller.api.endpoints import asked
from controller.api.noun import Noun, Operation
from controller.ipam.allocator import MAX_MANY
from controller.ipam.request import Request
from controller.parts import Parts, parts
from controller.problem import Fault, Problem, inside, invalid
from store.model import Endpoint

batches = Noun()

SHOWN = 100

Outcome = tuple[Endpoint, bool] | Problem


def refuse_twice(ids: Iterable[str | None]) -> None:
    """Refuse items of which two have one id. Raises `ValueError`."""
    seen: dict[str, int] = {}
    for index, each in enumerate(ids):
        if each is not None and seen.setdefault(each, index) != index:
            raise ValueError(f"items {seen[each]} and {index} have the same id {each}")


class NewEndpoints(BaseModel):
    """Many endpoints that are asked for together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: Annotated[tuple[NewEndpoint, ...], Field(min_length=1, max_length=MAX_MANY, fail_fast=True)]
    atomic: StrictBool = False
    """All or none of them."""

    @model_validator(mode="after")
    def _each_once(self) -> NewEndpoints:
        refuse_twice(item.id for item in self.items)
        return self


class ItemAnswer(BaseModel):
    """What became of one item: the status that a request of its own would have had, and its body."""

    status: int
    endpoint: EndpointView | None = None
    problem: Annotated[dict[str, Any], WithJsonSchema({"$ref": "#/components/schemas/Problem"})] | None = None


class BatchAnswer(BaseModel):
    """What became of each item, in their order."""

    items: list[ItemAnswer]
    refused: int
    """How many of them have a problem."""


@batches.operation(
    Operation(
        "POST",
        "/v1/endpoints:batch",
        "Create many endpoints",
        {200: BatchAnswer},
        body=NewEndpoints,
        refuses=(409,),
        keyed=True,
    )
)
def create_endpoints(wanted: NewEndpoints) -> Answer:
    """200 with the outcome of each; an atomic batch of which one is refused is refused whole."""
    shared, key = parts(), idempotency.key()
    requests = list(_asked(wanted.items, key))
    made = shared.allocator.assign_many(requests, atomic=wanted.atomic)
    outcomes = [
        _placed(index, each, keyed=key is not None and item.id is None)
        for index, (item, each) in enumerate(zip(wanted.items, made, strict=True))
    ]
    if wanted.atomic:
        _refuse_any(outcomes)
    return Answer(_rendered(shared, outcomes))


def _asked(items: Sequence[NewEndpoint], key: str | None) -> Iterator[Request]:
    """What each item asks for: one and the same request, where the one before asks for the same."""
    named = {item.id: index for index, item in enumerate(items)} if key else {}
    before: NewEndpoint | None = None
    for index, item in enumerate(items):
        if before is None or vars(item) != vars(before):
            before = item
            try:
                made = asked(item)
            except Problem as problem:
                raise _at(index, problem) from None
        if not key or item.id is not None:
            yield made
        elif (derived := idempotency.derived(key, index)) in named:
            detail = f"{derived} is the id that item {index} gets by the Idempotency-Key; use another key"
            raise invalid(f"/items/{named[derived]}/id", detail)
        else:
            yield made._replace(id=derived, keyed=True)


def _placed(index: int, outcome: Outcome, *, keyed: bool) -> Outcome:
    if not isinstance(outcome, Problem):
        return outcome
    return _at(index, idempotency.reused(outcome) if keyed else outcome)


def _at(index: int, problem: Problem) -> Problem:
    return inside(f"/items/{index}", problem)


def _refuse_any(outcomes: Sequence[Outcome]) -> None:
    """Refuse a batch of which one is refused, with the first reason and every place. Raises `Problem`."""
    refused = [
        (index, each)
        for index, each in enumerate(outcomes)
        if isinstance(each, Problem) and each.kind != "undone"
    ]
    if not refused:
        return
    first_index, first = refused[0]
    faults = [
        fault
        for index, each in refused[:SHOWN]
        for fault in each.errors or (Fault(each.detail, f"/items/{index}"),)
    ]
    detail = f"nothing was made, as item {first_index} is refused: {first.detail}"
    raise Problem(first.kind, detail, errors=faults, retry_after_s=first.retry_after_s, **first.members)


def _rendered(shared: Parts, outcomes: Sequence[Outcome]) -> str:
    served = [each for each in outcomes if not isinstance(each, Problem)]
    old = [endpoint for endpoint, new in served if not new]
    made = iter(new_texts(endpoint for endpoint, new in served if new))
    shown = {each.id: each.model_dump_json() for each in views(shared.store, old)} if old else {}
    texts: list[str] = []
    pools: list[str] = []
    for each in outcomes:
        if isinstance(each, Problem):
            texts.append(f'{{"status":{each.status},"problem":{each.body().rstrip()}}}')
            continue
        endpoint, new = each
        text = next(made) if new else shown[endpoint.id]
        texts.append(f'{{"status":{201 if new else 200},"endpoint":{text}}}')
        if new:
            pools.extend(endpoint.pools)
    for pool, addresses in Counter(pools).items():
        shared.metrics.assigned(pool, addresses)
    return f'{{"items":[{",".join(texts)}],"refused":{len(outcomes) - len(served)}}}'
