"""The document of the API against the API: what it says is what is done, whatever is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.specs.openapi import checks
from werkzeug.test import Client

from controller.api.examples import EXAMPLES, Example
from controller.app import NOUNS, Application, create_app
from controller.services import Services
from store import keys
from store.codec import decode
from store.memory import MemoryStore
from tests.support.client import client_of
from tests.support.ipam import check

CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
EXAMPLES_EACH = 25
WHAT_IS_NO_VALUE = ("leader/", "cluster")

OPERATIONS = [each for noun in NOUNS for each in noun.operations]
SAFELY = hypothesis.settings(
    max_examples=EXAMPLES_EACH,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Application, MemoryStore]]:
    """A controller with one of each thing."""
    store = MemoryStore()
    parts = Services.build(store)
    app = create_app(store, parts=parts)
    client = client_of(app)
    for (method, path), example in EXAMPLES.items():
        if method in {"POST", "PUT"}:
            send(client, method, path, example)
    yield app, store
    parts.close()


def send(client: Client, method: str, path: str, example: Example) -> Any:
    given = {} if example.body is None else {"json": dict(example.body)}
    return client.open(
        path.format(**example.path),
        method=method,
        query_string=dict(example.query),
        headers=dict(example.headers),
        **given,
    )


def test_each_operation_has_an_example_that_does_what_it_says() -> None:
    assert set(EXAMPLES) == {(each.method, each.path) for each in OPERATIONS}, "controller/api/examples.py"
    store = MemoryStore()
    parts = Services.build(store)
    client = client_of(create_app(store, parts=parts))
    for (method, path), example in EXAMPLES.items():
        answer = send(client, method, path, example)
        assert answer.status_code == example.status, (method, path, answer.text)
    check(store)
    parts.close()


@pytest.mark.parametrize(
    "place", range(len(OPERATIONS)), ids=lambda place: f"{OPERATIONS[place].method}{OPERATIONS[place].path}"
)
def test_whatever_is_sent_is_answered_as_documented(
    served: tuple[Application, MemoryStore], place: int
) -> None:
    app, store = served
    schema = schemathesis.openapi.from_wsgi("/v1/openapi.json", app)
    declared = OPERATIONS[place]
    operation = schema[declared.path][declared.method]
    takes = declared.query or declared.body or "{" in declared.path or declared.matches
    for mode in (POSITIVE, NEGATIVE) if takes else (POSITIVE,):

        @SAFELY
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def run(case: Any) -> None:
            (case.query or {}).pop("watch", None)  # it waits, and its own tests see to it
            case.call_and_validate(checks=CHECKS)

        run()
    assert_nothing_is_garbage(store)


def assert_nothing_is_garbage(store: MemoryStore) -> None:
    """Every key that is stored decodes as what its place says, and the address plan obeys its rules."""
    for item in store.range(keys.ROOT).items:
        kind = keys.kind_of(item.key)
        if kind is None:
            assert item.key.removeprefix(keys.ROOT).startswith(WHAT_IS_NO_VALUE), item.key
            continue
        decode(kind.model, item.value, key=item.key)
    check(store)
