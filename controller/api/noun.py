"""A noun of the API: a blueprint whose routes say what they take and give, for Flask and for OpenAPI alike.

A handler takes the parts of its path, then the checked body or the raw patch where it declares one, and
returns an `Answer`. The document at /v1/openapi.json is made from the same declarations, so the two
cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request
from pydantic import BaseModel

from controller.api.parameter import Parameter
from controller.precondition import is_known, tag
from controller.problem import Fault, Problem, invalid
from controller.validation import parse_object, validate
from controller.watching import answer as watching
from controller.watching.hub import Topic

MAX_BODY_BYTES = 1 << 20

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
NOT_MODIFIED = 304


@dataclass(frozen=True, slots=True)
class Patch:
    """A body that is a merge patch (RFC 7396) of a model, of which only some fields can change."""

    model: type[BaseModel]
    mutable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler answers: a value or the JSON text of one, or nothing (204)."""

    body: BaseModel | str | None = None
    status: int = 200
    location: str | None = None
    revision: int = 0
    """Of the thing in the body, for its ETag; 0 where the body is not one thing."""

    def response(self) -> Response:
        """As Flask sends it."""
        headers = {"Location": self.location} if self.location else {}
        if self.revision:
            headers["ETag"] = tag(self.revision)
        if self.body is None:
            return Response(status=self.status, headers=headers, mimetype=JSON)
        text = self.body if isinstance(self.body, str) else self.body.model_dump_json()
        return Response(text + "\n", status=self.status, headers=headers, content_type=JSON)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, as it is declared."""

    method: str
    path: str
    summary: str
    answers: Mapping[int, type[BaseModel] | None]
    """The model of each body. With 304 the ETag covers all of the body, and If-None-Match is heeded."""
    body: type[BaseModel] | Patch | None = None
    query: Sequence[Parameter] = ()
    refuses: Sequence[int] = ()
    """The statuses of problems, beside those that any request can get."""
    matches: bool = False
    """It heeds If-Match and If-None-Match."""
    keyed: bool = False
    """It heeds Idempotency-Key."""
    topic: Topic | None = None
    """What can be watched at this path."""

    @property
    def parameters(self) -> Sequence[Parameter]:
        """Those of the query."""
        return (*self.query, *(watching.PARAMETERS if self.topic else ()))

    @property
    def tagged(self) -> bool:
        """Whether what it answers is one thing with an entity tag."""
        single = self.method == "GET" and self.path.endswith(("{name}", "{id}"))
        return single or self.matches or NOT_MODIFIED in self.answers


Handler = Callable[..., Answer]


class Noun(Blueprint):
    """A blueprint that remembers its operations."""

    def __init__(self, name: str) -> None:
        super().__init__(name, __name__, url_prefix="")
        self.operations: list[Operation] = []

    def operation(self, declared: Operation) -> Callable[[Handler], Handler]:
        """Register a handler for an operation."""

        def register(handler: Handler) -> Handler:
            self.operations.append(declared)
            self.add_url_rule(
                declared.path.replace("{", "<").replace("}", ">"),
                endpoint=handler.__name__,
                view_func=_view(declared, handler),
                methods=[declared.method],
            )
            return handler

        return register


def _view(declared: Operation, handler: Handler) -> Callable[..., Response]:
    def view(**parts: str) -> Response:
        _check_query(declared)
        if declared.topic is not None and watching.is_asked():
            return watching.answer(declared.topic, declared.query)
        arguments: list[Any] = list(parts.values())
        if declared.body is not None:
            arguments.append(_read_body(declared.body))
        answer = handler(*arguments)
        if NOT_MODIFIED in declared.answers and is_known(answer.revision):
            answer = Answer(status=NOT_MODIFIED, revision=answer.revision)
        return answer.response()

    return view


def _read_body(wanted: type[BaseModel] | Patch) -> Any:
    types = (MERGE_PATCH, JSON) if isinstance(wanted, Patch) else (JSON,)
    if request.content_type not in types and request.mimetype not in types:
        given = request.mimetype or "no Content-Type"
        raise Problem("media-type", f"expected {' or '.join(types)}, not {given}")
    data = request.get_data(cache=False)
    # A body without a Content-Length is cut off by werkzeug, without a word, one byte further on.
    if len(data) > MAX_BODY_BYTES:
        raise too_large()
    document = parse_object(data)
    return document if isinstance(wanted, Patch) else validate(wanted, document)


def has_name(path: str, body: str) -> None:
    """Refuse a body that names another thing than the path does. Raises `Problem`."""
    if path != body:
        raise invalid("/name", f"expected {path!r}, the name in the path, not {body!r}")


def too_large() -> Problem:
    """The body is larger than anything that makes sense."""
    return Problem("too-large", f"the body may have at most {MAX_BODY_BYTES} bytes")


def _check_query(declared: Operation) -> None:
    if not request.args:
        return
    taken = {each.name: each for each in declared.parameters}
    faults = [
        Fault(fault, parameter=name)
        for name, given in request.args.lists()
        if (fault := _parameter_fault(taken.get(name), given, list(taken)))
    ]
    if faults:
        raise Problem("invalid", f"{(faults[0].parameter or '')[:128]}: {faults[0].detail}", errors=faults)


def _parameter_fault(taken: Parameter | None, given: Sequence[str], names: Sequence[str]) -> str | None:
    if taken is None:
        return f"unknown parameter; it takes {', '.join(names) or 'none'}"
    if len(given) > 1 and not taken.many:
        return "is given twice; give it once"
    return next((fault for each in given if (fault := taken.fault(each))), None)
