"""POST /v1/impact: what several writes would do, one after the other. Nothing is written.

That is: what each makes of the thing that it is about, and what happens at every router.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from controller.answer import Answer
from controller.api.endpoint_trial import try_change, try_create
from controller.api.endpoints import endpoints
from controller.api.nodes import nodes
from controller.api.noun import Noun, Operation, checked_body
from controller.api.peers import peers
from controller.api.policies import policies
from controller.api.pools import pools
from controller.api.services import services
from controller.api.tenants import tenants
from controller.auth import refuse_role
from controller.foresight import MAX_WITHDRAW, foreseen, refuse_too_much, rehearse
from controller.impact_view import ForetoldView, WriteView, written
from controller.ipam.known import Known
from controller.parts import parts
from controller.principal import principal
from controller.problem import Problem, inside, invalid
from controller.reading import read
from store import keys
from store.keys import Kind
from store.model import Endpoint, Role, Value

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

    A write of an endpoint is only checked, so it comes after all others, which cannot find what it leaves;
    what it does at the routers is not told."""
    body: dict[str, Any] | None = None


class Writes(BaseModel):
    """Writes that would be made one after the other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: Annotated[tuple[Write, ...], Field(min_length=1, max_length=MAX_WRITES, fail_fast=True)]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """An operation whose effect can be foretold, its handler, and where the things are that it is about."""

    declared: Operation
    handler: Callable[..., Any]
    kind: Kind[Any]
    key: str = "name"
    """The field of a body that names one."""

    def run(self, given: Sequence[Any], _known: Known) -> WriteView:
        """Make the write."""
        before = self.stored(given)
        self.handler(*given)
        return written(before, self.stored(given))

    def stored(self, given: Sequence[Any]) -> Value | None:
        """What is stored now under the name that is given: the path's, or the body's."""
        name = given[0] if isinstance(given[0], str) else getattr(given[0], self.key)
        found = read(parts().store, self.kind, name) if name else None
        return found.value if found is not None and principal().scope.has(found.value) else None

    def parts(self, path: str) -> Mapping[str, str] | None:
        """The parts of a path that is of this operation; None when it is of another."""
        shape = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.declared.path))
        match = re.fullmatch(shape, unquote(path))
        return match.groupdict() if match else None


@dataclass(frozen=True, slots=True)
class Tried(Foreseen):
    """An operation that is only checked: it changes nothing that is known."""

    def run(self, given: Sequence[Any], known: Known) -> WriteView:
        """Check the write by what is known of pools, nodes and tenants after all other writes."""
        before = self.stored(given)
        return written(before, self.handler(known, *given) or before)


KINDS: Sequence[tuple[Noun, Kind[Any]]] = (
    (pools, keys.POOLS),
    (peers, keys.PEERS),
    (nodes, keys.NODES),
    (services, keys.SERVICES),
    (policies, keys.POLICIES),
    (tenants, keys.TENANTS),
)
FORESEEN = tuple(
    Foreseen(declared, handler, kind)
    for noun, kind in KINDS
    for declared, handler in noun.handlers
    if declared.foreseen and declared.method in METHODS
)
TRIALS: Mapping[tuple[str, str], Callable[..., Endpoint | None]] = {
    ("POST", "/v1/endpoints"): try_create,
    ("PATCH", "/v1/endpoints/{id}"): try_change,
}
TRIED = tuple(
    Tried(declared, trial, keys.ENDPOINTS, "id")
    for declared in endpoints.operations
    if (trial := TRIALS.get((declared.method, declared.path)))
)
TAKEN = (*FORESEEN, *TRIED)


@impacts.operation(
    Operation(
        "POST",
        "/v1/impact",
        "Tell what writes would change, and do at every router",
        {200: ForetoldView},
        body=Writes,
        query=(MAX_WITHDRAW,),
        refuses=(404, 409),
    )
)
def foretell(writes: Writes) -> Answer:
    """Each write finds what those before it would leave. One that would be refused is the answer.

    With `max_withdraw` it is not told what would happen at the routers, only refused where that is too much.
    """
    steps = [_step(number, write) for number, write in enumerate(writes.items)]
    _refuse_after_endpoints([operation for operation, _ in steps])
    told: list[WriteView] = []

    def do() -> None:
        known = Known(parts().store)
        for number, (operation, given) in enumerate(steps):
            try:
                told.append(operation.run(given, known))
            except Problem as problem:
                raise _of_item(number, problem) from None

    rehearsal, limit = rehearse(do), MAX_WITHDRAW.given(None)
    if limit is not None:
        refuse_too_much(rehearsal, limit)
    shown = limit is None and principal().scope.whole
    return Answer(ForetoldView(writes=told, impact=foreseen(rehearsal) if shown else None))


def _step(number: int, write: Write) -> tuple[Foreseen, Sequence[Any]]:
    """What is asked for, and what its handler is given. Raises `Problem`."""
    for each in TAKEN:
        declared = each.declared
        if declared.method == write.method and (named := each.parts(write.path)) is not None:
            try:
                _refuse_role(declared)
                given = () if declared.body is None else (checked_body(declared.body, write.body or {}),)
            except Problem as problem:
                raise _of_item(number, problem) from None
            return each, (*named.values(), *given)
    taken = ", ".join(f"{each.declared.method} {each.declared.path}" for each in TAKEN)
    raise invalid(f"/items/{number}/path", f"expected one of {taken}")


def _refuse_after_endpoints(operations: Sequence[Foreseen]) -> None:
    """Refuse what would not find what a write of an endpoint leaves. Raises `Problem`."""
    tried = [isinstance(each, Tried) for each in operations]
    if tried != sorted(tried):
        number = tried.index(False, tried.index(True))
        detail = "writes of endpoints are only checked, and come after all others; move this one before them"
        raise invalid(f"/items/{number}/path", detail)


def _refuse_role(declared: Operation) -> None:
    """Refuse a write that the caller may not make. Raises `Problem`.

    Who reads all may ask what documents would change, though not make it so. What keeps a thing from being
    deleted may be tokens, which are not shown.
    """
    who = principal()
    if who.role is not Role.READ_ONLY or declared.method == Method.DELETE:
        refuse_role(who, declared.method, declared.path)


def _of_item(number: int, problem: Problem) -> Problem:
    return inside(f"/items/{number}/body", problem, f"item {number}: {problem.detail}")
