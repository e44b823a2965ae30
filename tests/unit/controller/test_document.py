"""The OpenAPI document against the API: what it forbids is refused, and its examples are right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import jsonschema_rs
import pytest
from pydantic import BaseModel, FailFast

from controller.api.examples import EXAMPLES
from controller.api.noun import Patch, checked_body
from controller.app import NOUNS, create_app
from controller.auth import Doors
from controller.merge_schema import merge_schema
from controller.openapi import document
from controller.problem import Problem
from controller.validation import merge
from store.memory import MemoryStore
from tests.support.client import client_of
from tests.unit.controller.conftest import Api

OPERATIONS = [each for noun in NOUNS for each in noun.operations]
DOCUMENT = document(OPERATIONS)
OF_ANSWERS = ("ETag", "Location", "Retry-After", "WWW-Authenticate")

ODD = (
    *(None, True, 0, 1, -1, 1.5, 1 << 64, "", "a", "A", "true", "yes", "1", "x" * 64, "\n", "é"),
    *([], {}, ["a"], [None], [[]], {"a": "b"}, {"a": None}, {"a": 1}, {"": "x"}, {"a b": "c"}),
    *("10.64.0.7", "10.64.0.0/16", "::1", "fe80::1%eth0", "64500:1", "1:2:3:4", "02:00:00:00:00:01", "tcp"),
)
"""What stands in place of each field in turn."""


def schema_of(method: str, path: str) -> Any:
    contents = DOCUMENT["paths"][path][method.lower()]["requestBody"]["content"]
    (schema,) = {json.dumps(each["schema"]) for each in contents.values()}
    return json.loads(schema)


def checker(schema: Any) -> jsonschema_rs.Draft202012Validator:
    whole = {**schema, "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


WITH_BODIES = [
    pytest.param(each, id=f"{each.method}{each.path}") for each in OPERATIONS if each.body is not None
]


def variants(body: Any) -> Iterator[Any]:
    """The body with each odd value in place of each part of it."""
    if isinstance(body, dict):
        for name, part in body.items():
            yield from ({**body, name: each} for each in (*ODD, *variants(part)))
    elif isinstance(body, list):
        for index, part in enumerate(body):
            yield from ([*body[:index], each, *body[index + 1 :]] for each in (*ODD, *variants(part)))


def full(operation: Any) -> dict[str, Any]:
    """The example's body with every field that there is."""
    example = json.loads(json.dumps(EXAMPLES[operation.method, operation.path].body))
    if isinstance(operation.body, Patch):
        return {**dict.fromkeys(operation.body.mutable), **example}
    return {**dict.fromkeys(operation.body.model_fields), **example}


@pytest.mark.parametrize("operation", WITH_BODIES)
def test_an_example_is_what_its_schema_says(operation: Any) -> None:
    checker(schema_of(operation.method, operation.path)).validate(
        EXAMPLES[operation.method, operation.path].body
    )


def test_an_example_of_a_parameter_is_what_its_schema_says() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for parameter in (each for described in methods.values() for each in described["parameters"]):
            if "example" in parameter:
                fits = checker(parameter["schema"]).is_valid(parameter["example"])
                assert fits, (path, parameter["name"])


@pytest.mark.parametrize("operation", WITH_BODIES)
def test_what_the_schema_forbids_is_refused(operation: Any) -> None:
    """Also of a patch, but for null in place of a label that cannot be there: it takes nothing away."""
    check, tried = checker(schema_of(operation.method, operation.path)), 0
    for body in variants(full(operation)):
        if check.is_valid(body) or _takes_no_label_away(operation, body):
            continue
        tried += 1
        with pytest.raises(Problem) as refused:
            _check(operation, body)
        assert refused.value.kind == "invalid"
    assert tried > len(ODD) // 2


def _check(operation: Any, body: dict[str, Any]) -> None:
    wanted = checked_body(operation.body, body)
    if isinstance(operation.body, Patch):
        merge(operation.body.model, _stored(operation), wanted, operation.body.mutable)


def _takes_no_label_away(operation: Any, body: dict[str, Any]) -> bool:
    labels = [body.get(name) for name in ("labels", "selector", "node_selector")]
    return isinstance(operation.body, Patch) and any(
        isinstance(each, dict) and None in each.values() for each in labels
    )


def _stored(operation: Any) -> Any:
    """What the example of a patch is applied to."""
    made = operation.path.partition("/{")[0]
    body = dict(EXAMPLES["POST", made].body or {})
    model = operation.body.model
    if made == "/v1/services":
        body["address"] = "10.64.0.1"
    if made == "/v1/endpoints":
        body |= {
            "uid": "0" * 32,
            "addresses": ["10.64.0.1"],
            "pools": ["default"],
            "mac": "02:00:00:00:00:01",
        }
        body |= {"created": "2026-01-01T00:00:00Z", "by": "", "request": ""}
    return model.model_validate({name: body[name] for name in body if name in model.model_fields})


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/v1/pools", {"cidr": "ten"}),
        ("/v1/pools", {"reserved": ["ten"]}),
        ("/v1/pools", {"gateway": "fe80::1%eth0"}),
        ("/v1/pools", {"communities": ["ten"]}),
        ("/v1/pools", {"node_selector": {"": "a"}}),
        ("/v1/nodes", {"router_id": "::1"}),
        ("/v1/nodes", {"labels": {"a b": "c"}}),
        ("/v1/peers", {"address": "ten"}),
        ("/v1/peers", {"imports": ["ten"]}),
        ("/v1/services", {"selector": {}}),
        ("/v1/endpoints", {"mac": "01:00:5e:00:00:01"}),
        ("/v1/endpoints", {"addresses": ["10.64.0.1/32"]}),
        ("/v1/policies", {"ingress": [{"action": "deny", "peers": [{"selector": {"-": ""}}]}]}),
    ],
)
def test_the_schema_forbids_what_is_refused(plant: Api, path: str, wrong: dict[str, Any]) -> None:
    body = {**dict(EXAMPLES["POST", path].body or {}), **wrong}
    answer = plant.send("POST", path, body)
    assert answer.status_code == 422
    (field,) = wrong
    assert all(each["pointer"].startswith(f"/{field}") for each in answer.json["errors"])
    assert not checker(schema_of("POST", path)).is_valid(body)


def parts(model: Any) -> Iterator[Any]:
    """A model, and those that its fields hold."""
    yield model
    for described in model.model_fields.values():
        for each in _classes(described.annotation):
            yield from parts(each)


def _classes(annotation: Any) -> Iterator[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _classes(inner)


@pytest.mark.parametrize("operation", WITH_BODIES)
def test_an_array_of_a_body_is_left_at_its_first_fault(operation: Any) -> None:
    """Else a body of 4 MiB has two million, of which each takes 2 KB, and time in which nothing else runs."""
    body = operation.body
    if isinstance(body, Patch):
        fields = [body.model.model_fields[name] for name in body.mutable]
        models = [part for each in fields for held in _classes(each.annotation) for part in parts(held)]
        described = [*fields, *(each for model in models for each in model.model_fields.values())]
    else:
        described = [each for model in parts(body) for each in model.model_fields.values()]
    arrays = [each for each in described if get_origin(each.annotation) in {tuple, list}]
    assert all(FailFast(fail_fast=True) in each.metadata for each in arrays), operation.path


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/endpoints:batch", {"items": [1] * 5000}, "/items/0"),
        ("/v1/pools", {"name": "p", "cidr": "10.65.0.0/24", "reserved": [1] * 5000}, "/reserved/0"),
        (
            "/v1/nodes",
            {"name": "n", "asn": 64500, "labels": dict.fromkeys(map(str, range(5000)), 1)},
            "/labels",
        ),
        ("/v1/endpoints:batch", {"items": [dict.fromkeys(map(str, range(5000)))]}, "/items/0"),
        ("/v1/tenants", dict.fromkeys(map(str, range(5000))), ""),
    ],
)
def test_a_body_of_many_faults_is_told_of_one(plant: Api, path: str, body: Any, pointer: str) -> None:
    answer = plant.send("POST", path, body)
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json["errors"]] == [pointer]


def test_a_patch_has_no_defaults() -> None:
    """Who fills them in would set back what he does not name."""
    for operation in (each for each in OPERATIONS if isinstance(each.body, Patch)):
        schema = DOCUMENT["components"]["schemas"][f"{operation.body.model.__name__}Patch"]
        assert set(schema["properties"]) == set(operation.body.mutable)
        assert not [each for each in schema["properties"].values() if '"default":' in json.dumps(each)]


def test_what_a_value_must_be_beside_its_choices_a_patch_of_it_must_be_too() -> None:
    either = {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}], "type": "string"}
    schema = checker(merge_schema({"properties": {"address": either}}, ["address"], {}))
    assert [schema.is_valid({"address": each}) for each in ("::1", None, "x", 7)] == [
        True,
        True,
        False,
        False,
    ]


def test_the_block_size_has_no_default_of_its_own(plant: Api) -> None:
    assert "default" not in DOCUMENT["components"]["schemas"]["Pool"]["properties"]["block_prefixlen"]
    made = plant.made("/v1/pools", {"name": "six", "cidr": "2001:db8::/64", "block_prefixlen": None})
    assert made["block_prefixlen"] == 122


def test_headers_come_where_they_are_documented_and_nowhere_else(api: Api) -> None:
    for (method, path), example in EXAMPLES.items():
        given = {} if example.body is None else {"json": example.body}
        answer = api.client.open(
            path.format(**example.path),
            method=method,
            query_string=dict(example.query),
            headers=dict(example.headers),
            **given,
        )
        described = DOCUMENT["paths"][path][method.lower()]["responses"][str(answer.status_code)]
        documented = described.get("headers", {})
        required = {name for name, header in documented.items() if header.get("required")}
        come = {name for name in OF_ANSWERS if name in answer.headers}
        assert required <= come <= set(documented), (method, path)


def test_a_token_is_demanded_where_it_is_documented() -> None:
    client = client_of(create_app(MemoryStore(), doors=Doors(token_demanded=True)))
    for path, methods in DOCUMENT["paths"].items():
        for method, described in methods.items():
            place = path.format(name="a", id="a", address="a", node="a", peer="a")
            answer = client.open(place, method=method.upper())
            assert (answer.status_code == 401) == ("401" in described["responses"]), (method, path)
            assert str(answer.status_code) in described["responses"], (method, path)


def test_what_has_to_be_asked_is_required(api: Api) -> None:
    for path, methods in DOCUMENT["paths"].items():
        required = {each["name"] for each in methods.get("get", {}).get("parameters", ()) if each["required"]}
        if required and "{" not in path:
            answer = api.client.get(path)
            assert answer.status_code == 422
            assert answer.json["errors"][0]["parameter"] in required


def test_who_has_the_document_alone_is_told_what_operations_do_and_fields_mean(api: Api) -> None:
    told = api.get("/v1/openapi.json")
    operations = [each for methods in told["paths"].values() for each in methods.values()]
    assert all(each["description"] for each in operations)
    assert told["paths"]["/v1/peers"]["post"]["description"].endswith("Its node has to exist.")
    schemas = told["components"]["schemas"]

    def words(model: str, field: str) -> str:
        return str(schemas[model]["properties"][field]["description"])

    assert words("Pool", "cooldown_s") == "Seconds for which a released address is not assigned again."
    assert words("NodeView", "mtu_bytes") == words("Node", "mtu_bytes"), "what is inherited"
    assert words("PortMatch", "end_port") == "The last port of the range.", "what is inside another"
    assert "\n`host`: A /32 (/128) per address.\n" in schemas["Advertise"]["description"]
    page = api.client.get("/docs").text
    assert "Its node has to exist." in page
    assert "The last port of the range." in page
