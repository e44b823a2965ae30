"""The OpenAPI 3.1 document, made from the declared operations and the very models that check requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from controller import precondition
from controller.answer import JSON
from controller.api import idempotency
from controller.api.examples import EXAMPLES, Example
from controller.api.noun import MERGE_PATCH, NOT_MODIFIED, Operation, Patch
from controller.api.parameter import Parameter
from controller.exchange import READS
from controller.field_words import Worded
from controller.impact_view import ImpactView
from controller.merge_schema import merge_schema
from controller.problem import MEDIA_TYPE, TITLES
from controller.roles import OPEN
from controller.watching.asked import EVENT_STREAM
from controller.watching.change import PLACE
from controller.watching.subscription import End
from store.model.value import ADDRESS_SCHEMA, Identifier, Name

REF = "#/components/schemas/{model}"
VERSION = "1"

PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "enum": [f"/problems/{kind}" for kind in TITLES]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer into the body (RFC 6901)"},
                    "parameter": {"type": "string", "description": "name of a query parameter"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}

Document = dict[str, Any]


def _header(text: str, *, required: bool = False) -> Document:
    return {"description": text, "required": required, "schema": {"type": "string"}}


RETRY = {"Retry-After": _header("seconds after which a repetition may succeed")}
HEADERS_OF = {
    401: {"WWW-Authenticate": _header("Bearer", required=True)},
    409: RETRY,
    412: {"ETag": _header("of what is there now, if anything is")},
    429: RETRY,
    503: RETRY,
}
RATES = {
    "RateLimit-Policy": _header("how many writes its token may make, where they are limited"),
    "RateLimit": _header("how many of them are left, and the seconds after which all are again"),
}
RATE_REFS = {name: {"$ref": f"#/components/headers/{name}"} for name in RATES}

PLACES: Mapping[str, Document] = {
    "name": TypeAdapter(Name).json_schema(),
    "id": TypeAdapter(Identifier).json_schema(),
    "address": ADDRESS_SCHEMA,
}
"""What the parts of a path look like."""

STREAM = {
    "schema": {
        "type": "object",
        "description": "one event of `watch=sse`; the last one says why the stream ends",
        "required": ["event", "data"],
        "properties": {
            "event": {"type": "string", "enum": ["put", "delete", "sync", *End]},
            "data": {"type": "string", "description": "JSON: the thing, or more about the event"},
            "id": {"type": "string", "description": "for `since` and Last-Event-ID"},
        },
    }
}

CONDITIONS = {
    "If-Match": "only while it has one of these entity tags; `*` for whatever is there",
    "If-None-Match": "only while it has none of these entity tags; `*` while nothing is there",
}


def document(operations: Iterable[Operation]) -> Document:
    """The document that describes these operations."""
    declared = list(operations)
    paths: dict[str, Document] = {}
    for operation in declared:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Polder", "version": VERSION},
        "paths": paths,
        "components": {
            "schemas": {**_schemas(declared), "Problem": PROBLEM_SCHEMA},
            "headers": RATES,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(operation: Operation) -> Document:
    example = EXAMPLES.get((operation.method, operation.path), Example())
    described: Document = {
        "operationId": f"{operation.method.lower()}{re.sub('[^a-z0-9]+', '_', operation.path)}".rstrip("_"),
        "summary": operation.summary,
        "description": operation.words,
        "tags": [operation.path.removeprefix("/v1").strip("/").partition("/")[0].partition(":")[0]],
        "parameters": [
            *_path_parameters(operation.path, example),
            *_query_parameters(operation.parameters, example),
            *_header_parameters(operation, example),
        ],
        "responses": {
            str(status): _answer(operation, status, models) for status, models in _answers(operation).items()
        },
    }
    of_bound = (409,) if operation.foreseen else ()
    for status in sorted({*_always(operation), *_of_conditions(operation), *of_bound, *operation.refuses}):
        described["responses"].setdefault(str(status), _problem(status))
    if operation.method not in READS:
        for answer in described["responses"].values():
            answer["headers"] = {**answer.get("headers", {}), **RATE_REFS}
    if operation.body is not None:
        content = _body(operation.body)
        for each in content.values():
            each["example"] = example.body
        described["requestBody"] = {"required": True, "content": content}
    return described


def _always(operation: Operation) -> tuple[int, ...]:
    of_write = () if operation.method == "GET" else (429,)
    of_path = (404,) if "{" in operation.path else ()
    of_token = () if operation.path in OPEN else (401, 403)
    return (422, 500, 503, *of_token, *of_write, *of_path, *((400, 408, 413, 415) if operation.body else ()))


def _of_conditions(operation: Operation) -> tuple[int, ...]:
    """What the preconditions of an operation, or its cursor, can lead to."""
    of_pages = (400, 410) if any(each.name == "cursor" for each in operation.query) else ()
    of_watch = (410,) if operation.topic else ()
    of_match = (412,) if operation.matches else ()
    return (
        *of_pages,
        *of_watch,
        *of_match,
        *((428,) if operation.matches and operation.method == "PUT" else ()),
    )


def _answers(operation: Operation) -> dict[int, tuple[type[BaseModel], ...]]:
    """The models of what it answers, by status: more than one where it depends on the query."""
    answers: dict[int, tuple[type[BaseModel], ...]] = {
        status: (model,) if model else () for status, model in operation.answers.items()
    }
    if operation.foreseen:
        answers[200] = (*answers.get(200, ()), ImpactView)
    return answers


def _answer(operation: Operation, status: int, models: Sequence[type[BaseModel]]) -> Document:
    if not models:
        described = "Not modified" if status == NOT_MODIFIED else "No content"
        return {"description": described, **_answer_headers(operation, status)}
    schemas: list[Document] = [{"$ref": REF.format(model=model.__name__)} for model in models]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    content: Document = {JSON: {"schema": schema}}
    if any(each.name == "cursor" for each in operation.query):
        content = {JSON: {"schema": _list(schema)}}
    if operation.topic:
        content = {JSON: {"schema": {"anyOf": [_list(schema), _changes(schema)]}}, EVENT_STREAM: STREAM}
    return {"description": operation.summary, "content": content, **_answer_headers(operation, status)}


def _list(item: Document) -> Document:
    described = _items(item, "the store's revision that the list is of")
    described["properties"]["next"] = {
        "type": "string",
        "description": "`cursor` of the next page; absent on the last",
    }
    return described


def _changes(item: Document) -> Document:
    """What a long poll answers."""
    change = {
        "type": "object",
        "required": ["type", "revision", "item"],
        "properties": {
            "type": {"type": "string", "enum": ["put", "delete"]},
            "revision": {"type": "integer", "description": "the store's revision that the change made"},
            "item": item,
        },
    }
    return _items(change, "`since` of the next poll")


def _items(item: Document, revision: str) -> Document:
    return {
        "type": "object",
        "required": ["items", "revision"],
        "properties": {
            "items": {"type": "array", "items": item},
            "revision": {"type": "integer", "description": revision},
        },
    }


def _answer_headers(operation: Operation, status: int) -> Document:
    headers: Document = {}
    if operation.tagged and status in {200, 201, NOT_MODIFIED}:
        text = "the revision at which it was last written, for If-Match"
        headers["ETag"] = _header(text, required=status != 200 or not operation.foreseen)
    if operation.makes and status in {200, 201}:
        headers["Location"] = _header("where what was made is", required=status == 201)
    return {"headers": headers} if headers else {}


def _problem(status: int) -> Document:
    titles = [title for of_status, title in TITLES.values() if of_status == status]
    schema = {"schema": {"$ref": REF.format(model="Problem")}}
    described: Document = {"description": "; ".join(titles), "content": {MEDIA_TYPE: schema}}
    if status in HEADERS_OF:
        described["headers"] = HEADERS_OF[status]
    return described


def _body(body: type[BaseModel] | Patch) -> Document:
    if not isinstance(body, Patch):
        return {JSON: {"schema": {"$ref": REF.format(model=body.__name__)}}}
    schema = {"$ref": REF.format(model=_patch_name(body))}
    return {media_type: {"schema": schema} for media_type in (MERGE_PATCH, JSON)}


def _patch_name(patch: Patch) -> str:
    return f"{patch.model.__name__}Patch"


def _schemas(operations: Iterable[Operation]) -> Document:
    models: dict[type[BaseModel], None] = {}
    patches: list[Patch] = []
    for operation in operations:
        body = operation.body
        if isinstance(body, Patch):
            patches.append(body)
            body = body.model
        for model in (*chain(*_answers(operation).values()), body):
            if model is not None:
                models[model] = None
    _, schema = models_json_schema(
        [(model, "validation") for model in models], ref_template=REF, schema_generator=Worded
    )
    schemas: Document = schema["$defs"]
    made = {
        _patch_name(patch): {
            "description": "A merge patch (RFC 7396): what is absent stays, null goes back to the default.",
            **merge_schema(schemas[patch.model.__name__], patch.mutable, schemas),
        }
        for patch in patches
    }
    return {**schemas, **made}


def _path_parameters(path: str, example: Example) -> list[Document]:
    return [
        _parameter(name, "path", PLACES.get(name, PLACES["name"]), example.path.get(name), required=True)
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(query: Iterable[Parameter], example: Example) -> list[Document]:
    return [
        _parameter(
            each.name,
            "query",
            {"type": "array", "items": each.schema} if each.many else each.schema,
            _query_example(each, example.query.get(each.name, each.example)),
            text=each.text,
            required=each.required,
        )
        for each in query
    ]


def _query_example(parameter: Parameter, text: str) -> Any:
    if parameter.many:
        return [text]
    return int(text) if text and parameter.schema.get("type") == "integer" else text


def _header_parameters(operation: Operation, example: Example) -> list[Document]:
    taken = dict(CONDITIONS) if operation.matches else {}
    if NOT_MODIFIED in operation.answers:
        taken["If-None-Match"] = "304 while it has one of these entity tags"
    found = [
        _parameter(
            name,
            "header",
            {"type": "string", "pattern": precondition.PATTERN},
            example.headers.get(name),
            text=text,
        )
        for name, text in taken.items()
    ]
    if operation.topic:
        schema = {"type": "string", "pattern": PLACE}
        text = "with a watch: only what came after the event with this id; counts before `since`"
        found.append(_parameter("Last-Event-ID", "header", schema, "1234", text=text))
    if operation.keyed:
        text = "makes it safe to repeat a request that names no id: the replay makes nothing new"
        schema = {"type": "string", "pattern": idempotency.PATTERN}
        example_key = example.headers.get(idempotency.HEADER)
        found.append(_parameter(idempotency.HEADER, "header", schema, example_key, text=text))
    return found


def _parameter(
    name: str, place: str, schema: Any, example: Any, *, text: str = "", required: bool = False
) -> Document:
    described: Document = {"name": name, "in": place, "required": required, "schema": dict(schema)}
    if text:
        described["description"] = text
    if example:
        described["example"] = example
    return described
