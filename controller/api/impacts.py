"""POST /v1/impact: what several writes would do at every router, one after the other. Nothing is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from controller.answer import Answer
from controller.api.endpoint_trial import try_change, try_create
from controller.api.endpoints import endpoints
from controller.api.nodes import nodes
from controller.api.noun import Handler, Noun, Operation, checked_body
from controller.api.peers import peers
from controller.api.policies import policies
from controller.api.pools import pools
from controller.api.services import services
from controller.api.tenants import tenants
from controller.auth import refuse_role
from controller.exchange import current
from controller.foresight import MAX_WITHDRAW, foretold, weigh
from controller.impact_view import ImpactView
from controller.ipam.known import Known
from controller.principal import principal
from controller.problem import Problem, inside, invalid

impacts = Noun()

MAX_WRITES = 1000


class Method(StrEnum):
    """What is done to one thing."""

    POST = "POST"
    PATCH = "PATCH"
    DELETE = "DELETE"


METHODS = frozenset(each.value for each in Method)


class Write(BaseModel):
    """One write, as it would be sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method
    path: Annotated[str, StringConstraints(pattern=r"^/v1/[a-z]+(/[^/?#]{1,192})?$")]
    """Of pools, peers, nodes, services, policies, tenants, endpoints, or one of them: `/v1/pools/default`.

    A write of an endpoint is only checked: what it does at the routers is not told."""
    body: dict[str, Any] | None = None


class Writes(BaseModel):
    """Writes that would be made one after the other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: Annotated[tuple[Write, ...], Field(min_length=1, max_length=MAX_WRITES, fail_fast=True)]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """An operation whose effect can be foretold, and its handler."""

    declared: Operation
    handler: Handler

    def run(self, given: Sequence[Any], known: Known) -> Answer:
        """Make the write: what is known of pools, nodes and tenants need not be so after it."""
        known.forget()
        return self.handler(*given)

    def parts(self, path: str) -> Mapping[str, str] | None:
        """The parts of a path that is of this operation; None when it is of another."""
        shape = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.declared.path))
        match = re.fullmatch(shape, path)
        return {name: unquote(part) for name, part in match.groupdict().items()} if match else None


@dataclass(frozen=True, slots=True)
class Tried(Foreseen):
    """An operation that is only checked: it changes nothing that is known."""

    def run(self, given: Sequence[Any], known: Known) -> Answer:
        """Check the write by what is known."""
        return self.handler(known, *given)


FORESEEN = tuple(
    Foreseen(declared, handler)
    for noun in (pools, peers, nodes, services, policies, tenants)
    for declared, handler in noun.handlers
    if declared.foreseen and declared.method in METHODS
)
TRIALS: Mapping[tuple[str, str], Handler] = {
    ("POST", "/v1/endpoints"): try_create,
    ("PATCH", "/v1/endpoints/{id}"): try_change,
}
TRIED = tuple(
    Tried(declared, trial)
    for declared in endpoints.operations
    if (trial := TRIALS.get((declared.method, declared.path)))
)
TAKEN = (*FORESEEN, *TRIED)


@impacts.operation(
    Operation(
        "POST",
        "/v1/impact",
        "Tell what writes would do at every router",
        {200: ImpactView, 204: None},
        body=Writes,
        query=(MAX_WITHDRAW,),
        refuses=(404, 409),
    )
)
def foretell(writes: Writes) -> Answer:
    """Each write finds what those before it would leave. One that would be refused is the answer.

    With `max_withdraw` it is only said whether they would be done: 204.
    """
    steps = [_step(number, write) for number, write in enumerate(writes.items)]

    def do() -> Answer:
        known = Known(current().parts.store)
        for number, step in enumerate(steps):
            try:
                step(known)
            except Problem as problem:
                raise _of_item(number, problem) from None
        return Answer()

    limit = MAX_WITHDRAW.given(None)
    if limit is None:
        return foretold(do)
    weigh(do, limit)
    return Answer(status=204)


def _step(number: int, write: Write) -> Callable[[Known], Answer]:
    for each in TAKEN:
        declared = each.declared
        if declared.method == write.method and (parts := each.parts(write.path)) is not None:
            try:
                refuse_role(principal(), declared.method, declared.path)
                given = () if declared.body is None else (checked_body(declared.body, write.body or {}),)
            except Problem as problem:
                raise _of_item(number, problem) from None
            return partial(each.run, (*parts.values(), *given))
    taken = ", ".join(f"{each.declared.method} {each.declared.path}" for each in TAKEN)
    raise invalid(f"/items/{number}/path", f"expected one of {taken}")


def _of_item(number: int, problem: Problem) -> Problem:
    return inside(f"/items/{number}/body", problem, f"item {number}: {problem.detail}")
