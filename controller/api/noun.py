"""A noun of the API: routes that say what they take and give, for falcon and for OpenAPI alike.

A handler takes the parts of its path, then the checked body or the raw patch where it declares one, and
returns an `Answer`. The document at /v1/openapi.json is made from the same declarations, so the two
cannot differ.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from falcon import Response
from pydantic import BaseModel

from controller import foresight
from controller.answer import JSON, Answer
from controller.api.parameter import Parameter
from controller.bodies import most_bytes
from controller.exchange import Exchange, header
from controller.precondition import is_known, refuse_any
from controller.problem import Fault, Problem, invalid
from controller.reading import Found
from controller.validation import parse_object, refuse_told, validate
from controller.watching import answer as watching
from controller.watching.topic import Topic

MERGE_PATCH = "application/merge-patch+json"
NOT_MODIFIED = 304


@dataclass(frozen=True, slots=True)
class Patch:
    """A body that is a merge patch (RFC 7396) of a model, of which only some fields can change."""

    model: type[BaseModel]
    mutable: tuple[str, ...]


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
    foreseen: bool = False
    """What it would do at the routers can be asked (`dry_run`), and bounded (`max_withdraw`)."""
    words: str = ""
    """More about it than `summary`: what its handler says of itself."""

    @property
    def parameters(self) -> Sequence[Parameter]:
        """Those of the query."""
        more = (watching.PARAMETERS if self.topic else ()), (foresight.PARAMETERS if self.foreseen else ())
        return (*self.query, *more[0], *more[1])

    @property
    def tagged(self) -> bool:
        """Whether what it answers is one thing with an entity tag."""
        single = self.path.endswith(("{name}", "{id}")) and self.method in {"GET", "PUT", "PATCH"}
        return single or (self.method == "POST" and self.foreseen)

    @property
    def makes(self) -> bool:
        """Whether what it answers 201 with is at a place of its own."""
        return 201 in self.answers and ":" not in self.path


Handler = Callable[..., Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path, and what answers it."""

    method: str
    path: str
    respond: Callable[..., None]
    """As falcon calls it: with the request, the response, and the parts of the path."""


class Noun:
    """The routes of one noun, and the operations that declare them."""

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self.handlers: list[tuple[Operation, Handler]] = []

    @property
    def operations(self) -> list[Operation]:
        """What is declared, in the order of declaration."""
        return [replace(declared, words=inspect.getdoc(handler) or "") for declared, handler in self.handlers]

    def operation(self, declared: Operation) -> Callable[[Handler], Handler]:
        """Register a handler for an operation."""

        def register(handler: Handler) -> Handler:
            self.handlers.append((declared, handler))
            self.routes.append(Route(declared.method, declared.path, self._responder(declared, handler)))
            return handler

        return register

    def plain(self, path: str) -> Callable[[Handler], Handler]:
        """Register a handler for a GET that is not described in the document."""

        def register(handler: Handler) -> Handler:
            self.routes.append(Route("GET", path, lambda _, response: handler().send(response)))
            return handler

        return register

    def _responder(self, declared: Operation, handler: Handler) -> Callable[..., None]:
        def respond(exchange: Exchange, response: Response, **parts: str) -> None:
            _check_query(declared, exchange)
            if declared.topic is not None and watching.is_asked():
                watching.answer(declared.topic, declared.query).send(response)
                return
            if declared.method != "GET" and not declared.matches:
                refuse_any()
            given = () if declared.body is None else (self._read_body(declared, declared.body, exchange),)
            if declared.foreseen:
                answer = foresight.answered(partial(handler, *parts.values(), *given))
            else:
                answer = handler(*parts.values(), *given)
            if NOT_MODIFIED in declared.answers and is_known(answer.revision):
                answer = Answer(status=NOT_MODIFIED, revision=answer.revision)
            answer.send(response)

        return respond

    def _read_body(self, declared: Operation, wanted: type[BaseModel] | Patch, exchange: Exchange) -> Any:
        document = _read_document(wanted, exchange)
        model = wanted.model if isinstance(wanted, Patch) else wanted
        if not _fields(model).issuperset(document):
            refuse_told(document, self._told(declared) - _fields(model))
        return checked_body(wanted, document)

    def _told(self, declared: Operation) -> set[str]:
        """The fields that answers about the same things have."""
        things = declared.path.partition("/{")[0]
        return {
            field
            for each in self.operations
            if each.path.partition("/{")[0] == things and (each.path == things or each.path.endswith("}"))
            for view in each.answers.values()
            if view is not None
            for field in view.model_fields
        }


@cache
def _fields(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(model.model_fields)


def _read_document(wanted: type[BaseModel] | Patch, exchange: Exchange) -> dict[str, Any]:
    types = (MERGE_PATCH, JSON) if isinstance(wanted, Patch) else (JSON,)
    given = exchange.content_type or ""
    if given not in types and (media := given.partition(";")[0].strip().lower()) not in types:
        raise Problem("media-type", f"expected {' or '.join(types)}, not {media or 'no Content-Type'}")
    coding = header("Content-Encoding")
    if coding is not None and coding.strip().lower() != "identity":  # it is not decompressed
        raise Problem("media-type", f"expected a body without Content-Encoding, not {coding[:64]}")
    # Whether it has a Content-Length or not, the server has read it to its end.
    most = most_bytes(exchange.path)
    data = exchange.stream.read(most + 1)
    if len(data) > most:
        raise Problem("too-large", f"the body may have at most {most} bytes")
    return parse_object(data)


def checked_body(wanted: type[BaseModel] | Patch, document: dict[str, Any]) -> Any:
    """What a handler takes as its body. Raises `Problem`."""
    return document if isinstance(wanted, Patch) else validate(wanted, document)


def made(plural: str, found: Found[Any], new: bool) -> Answer:
    """What is answered where something may have been created: 201 when it is new."""
    return Answer(found.value, 201 if new else 200, f"/v1/{plural}/{found.value.name}", found.mod_revision)


def has_name(path: str, body: str) -> None:
    """Refuse a body that names another thing than the path does. Raises `Problem`."""
    if path != body:
        raise invalid("/name", f"expected {path!r}, the name in the path, not {body!r}")


def _check_query(declared: Operation, exchange: Exchange) -> None:
    if not exchange.query_string:
        return
    taken = {each.name: each for each in declared.parameters}
    faults = [
        Fault(fault, parameter=name)
        for name, given in exchange.arguments.items()
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
