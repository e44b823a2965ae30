"""The OpenAPI 3.1 document, made from the declared operations and the very models that check requests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from controller.api.noun import JSON, MERGE_PATCH, NOT_MODIFIED, Operation, Patch
from controller.api.parameter import Parameter
from controller.problem import MEDIA_TYPE, TITLES

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
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(operation: Operation) -> Document:
    described: Document = {
        "operationId": f"{operation.method.lower()}{re.sub('[^a-z0-9]+', '_', operation.path)}".rstrip("_"),
        "summary": operation.summary,
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation.parameters)],
        "responses": {str(status): _answer(operation, status) for status in operation.answers},
    }
    for status in sorted({*_always(operation), *_preconditions(operation), *operation.refuses}):
        described["responses"].setdefault(str(status), _problem(status))
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _body(operation.body)}
    return described


def _always(operation: Operation) -> tuple[int, ...]:
    of_write = () if operation.method == "GET" else (429,)
    of_watch = (410,) if operation.topic else ()
    return (401, 403, 422, 503, *of_write, *of_watch, *((400, 413, 415) if operation.body else ()))


def _preconditions(operation: Operation) -> tuple[int, ...]:
    if not operation.matches:
        return ()
    return (412, 428) if operation.method == "PUT" else (412,)


def _answer(operation: Operation, status: int) -> Document:
    model = operation.answers[status]
    if model is None:
        return {"description": "Not modified" if status == NOT_MODIFIED else "No content"}
    schema: Document = {"$ref": REF.format(model=model.__name__)}
    if operation.summary.startswith("List "):
        schema = {
            "type": "object",
            "required": ["items", "revision"],
            "properties": {
                "items": {"type": "array", "items": schema},
                "revision": {"type": "integer", "description": "the store's revision that the list is of"},
                "next": {"type": "string", "description": "`cursor` of the next page; absent on the last"},
            },
        }
    return {"description": operation.summary, "content": {JSON: {"schema": schema}}}


def _problem(status: int) -> Document:
    titles = [title for of_status, title in TITLES.values() if of_status == status]
    schema = {"schema": {"$ref": REF.format(model="Problem")}}
    return {"description": "; ".join(titles), "content": {MEDIA_TYPE: schema}}


def _body(body: type[BaseModel] | Patch) -> Document:
    if not isinstance(body, Patch):
        return {JSON: {"schema": {"$ref": REF.format(model=body.__name__)}}}
    properties = {
        name: {"$ref": f"{REF.format(model=body.model.__name__)}/properties/{name}"} for name in body.mutable
    }
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {media_type: {"schema": schema} for media_type in (MERGE_PATCH, JSON)}


def _schemas(operations: Iterable[Operation]) -> Document:
    models: dict[type[BaseModel], None] = {}
    for operation in operations:
        body = operation.body.model if isinstance(operation.body, Patch) else operation.body
        for model in (*operation.answers.values(), body):
            if model is not None:
                models[model] = None
    _, schema = models_json_schema([(model, "validation") for model in models], ref_template=REF)
    return dict(schema["$defs"])


def _path_parameters(path: str) -> list[Document]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(query: Iterable[Parameter]) -> list[Document]:
    return [_query_parameter(each) for each in query]


def _query_parameter(parameter: Parameter) -> Document:
    schema = dict(parameter.schema)
    if parameter.example:
        schema["examples"] = [parameter.example]
    if parameter.many:
        schema = {"type": "array", "items": schema}
    return {"name": parameter.name, "in": "query", "description": parameter.text, "schema": schema}
