"""The document of the API against the API: what it says is what is done, whatever is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.specs.openapi import checks
from werkzeug.test import Client

from controller.api.examples import EXAMPLES, Example
from controller.app import NOUNS, Application, create_app
from controller.services import Services
from controller.watching import answer as watching
from controller.watching.change import PLACE
from lab.etcd import EtcdServer
from store import keys
from store.client import DeletePrefix, Store
from store.codec import decode
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from store.memory import MemoryStore
from tests.support.client import client_of
from tests.support.ipam import check

pytest_plugins = ["tests.support.etcd"]

CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
EXAMPLES_EACH = 20
EXAMPLES_EACH_OVER_ETCD = 8
"""What is refused before the store is asked is tried over memory."""
WHAT_IS_NO_VALUE = ("leader/", "cluster")

OPERATIONS = [each for noun in NOUNS for each in noun.operations]
PLACES = st.one_of(st.integers(0, 400).map(str), st.from_regex(PLACE, fullmatch=True))
SAFELY = hypothesis.settings(
    max_examples=EXAMPLES_EACH,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def named(place: int) -> str:
    return f"{OPERATIONS[place].method}{OPERATIONS[place].path}"


@pytest.fixture(
    scope="module",
    params=["memory", pytest.param("etcd", marks=pytest.mark.needs("etcd", "etcdctl"))],
)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Application, Store]]:
    """A controller with one of each thing, over either store; its streams end soon behind the list."""
    store = emptied(request.getfixturevalue("etcd")) if request.param == "etcd" else MemoryStore()
    parts = Services.build(store)
    app = create_app(store, parts=parts)
    client = client_of(app)
    for (method, path), example in EXAMPLES.items():
        if method in {"POST", "PUT"}:
            send(client, method, path, example)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching, "STREAM_S", 0.02)
        patch.setattr(watching, "HEARTBEAT_S", 0.01)
        patch.setattr(watching, "LOOK_S", 0.01)
        yield app, store
    parts.close()
    store.close()


def emptied(etcd: EtcdServer) -> Store:
    """An etcd that holds nothing of Polder."""
    store = EtcdStore(EtcdConfig(etcd.endpoints))
    store.txn([], [DeletePrefix(keys.ROOT)])
    return store


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


@pytest.mark.parametrize("place", range(len(OPERATIONS)), ids=named)
def test_whatever_is_sent_is_answered_as_documented(served: tuple[Application, Store], place: int) -> None:
    app, store = served
    schema = schemathesis.openapi.from_wsgi("/v1/openapi.json", app)
    declared = OPERATIONS[place]
    operation = schema[declared.path][declared.method]
    # What asks a node refuses with 503 while its agent does not run.
    checked = [each for each in CHECKS if 503 not in declared.refuses or each is not CHECKS[0]]
    most = EXAMPLES_EACH_OVER_ETCD if isinstance(store, EtcdStore) else EXAMPLES_EACH
    takes = declared.query or declared.body or "{" in declared.path or declared.matches
    for mode in (POSITIVE, NEGATIVE) if takes else (POSITIVE,):

        @hypothesis.settings(SAFELY, max_examples=most)
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def run(case: Any) -> None:
            end_soon(case)
            answer = case.call_and_validate(checks=checked)
            assert answer.status_code != 500

        run()
    assert_nothing_is_garbage(store)


def end_soon(case: Any) -> None:
    """A poll that would wait does not."""
    query = case.query or {}
    wait_s = str(query.get("wait_s", watching.DEFAULT_WAIT_S))
    if query.get("watch") == "poll" and wait_s.isdecimal() and int(wait_s) <= 60:
        query["wait_s"] = 0


@pytest.mark.parametrize("place", [n for n, each in enumerate(OPERATIONS) if each.topic], ids=named)
@pytest.mark.parametrize("how", ["sse", "poll"])
def test_whatever_is_watched_is_answered_as_documented(
    served: tuple[Application, Store], place: int, how: str
) -> None:
    """With every parameter of the list, and places that are past, to come, and none."""
    app, store = served
    declared = OPERATIONS[place]
    operation = schemathesis.openapi.from_wsgi("/v1/openapi.json", app)[declared.path]["GET"]

    @SAFELY
    @hypothesis.given(case=operation.as_strategy(generation_mode=POSITIVE), since=PLACES)
    def run(case: Any, since: str) -> None:
        kept = {name: given for name, given in case.query.items() if name not in watching.ONLY_LISTS}
        case.query = {**kept, "watch": how, "since": since, "wait_s": 0}
        answer = case.call_and_validate(checks=CHECKS)
        assert answer.status_code in {200, 410, 422}
        if answer.status_code == 200:
            assert (answer.headers["content-type"][0] == watching.EVENTS) == (how == "sse")

    run()
    assert_nothing_is_garbage(store)


def assert_nothing_is_garbage(store: Store) -> None:
    """Every key that is stored decodes as what its place says, and the address plan obeys its rules."""
    for item in store.range(keys.ROOT).items:
        kind = keys.kind_of(item.key)
        if kind is None:
            assert item.key.removeprefix(keys.ROOT).startswith(WHAT_IS_NO_VALUE), item.key
            continue
        decode(kind.model, item.value, key=item.key)
    check(store)
