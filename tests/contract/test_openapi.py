"""The document of the API against the API: what it says is what is done, whatever is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.specs.openapi import checks
from werkzeug.test import Client

from controller.api.examples import EXAMPLES, Example
from controller.app import NOUNS, create_app
from controller.parts import Parts
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
EXAMPLES_EACH = 12
EXAMPLES_EACH_OVER_ETCD = 6
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


class Api:
    """The API over memory and over etcd, with one of each thing, and its document."""

    def __init__(self, etcd: EtcdServer) -> None:
        self.stores = (MemoryStore(), emptied(etcd))
        self._parts = [Parts.build(store) for store in self.stores]
        self.over_memory, self.over_etcd = (
            create_app(store, parts=parts) for store, parts in zip(self.stores, self._parts, strict=True)
        )
        for app in (self.over_memory, self.over_etcd):
            for (method, path), example in EXAMPLES.items():
                if method in {"POST", "PUT"}:
                    send(client_of(app), method, path, example)
        self.document = schemathesis.openapi.from_wsgi("/v1/openapi.json", self.over_memory)

    def close(self) -> None:
        for store, parts in zip(self.stores, self._parts, strict=True):
            parts.close()
            store.close()


class Tries:
    """The answers to cases, over both stores: to make a case takes longer than to answer it.

    Over etcd only the first so many are tried, until one fails there: then all, for it is made smaller.
    """

    def __init__(self, api: Api, most_over_etcd: float) -> None:
        self._api = api
        self._left = most_over_etcd

    def answers(self, case: Any, checked: Sequence[Any] = CHECKS) -> Iterator[Any]:
        yield case.call_and_validate(checks=checked)
        if self._left > 0:
            left, self._left = self._left, float("inf")
            yield case.call_and_validate(checks=checked, app=self._api.over_etcd)
            self._left = left - 1


@pytest.fixture(scope="module")
def api(etcd: EtcdServer) -> Iterator[Api]:
    """Streams end soon behind the list."""
    made = Api(etcd)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching, "STREAM_S", 0.02)
        patch.setattr(watching, "HEARTBEAT_S", 0.01)
        patch.setattr(watching, "LOOK_S", 0.01)
        yield made
    made.close()


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
    parts = Parts.build(store)
    client = client_of(create_app(store, parts=parts))
    for (method, path), example in EXAMPLES.items():
        answer = send(client, method, path, example)
        assert answer.status_code == example.status, (method, path, answer.text)
    check(store)
    parts.close()


@pytest.mark.needs("etcd", "etcdctl")
@pytest.mark.parametrize("place", range(len(OPERATIONS)), ids=named)
def test_whatever_is_sent_is_answered_as_documented(api: Api, place: int) -> None:
    declared = OPERATIONS[place]
    operation = api.document[declared.path][declared.method]
    # What asks a node refuses with 503 while its agent does not run.
    checked = [each for each in CHECKS if 503 not in declared.refuses or each is not CHECKS[0]]
    takes = declared.query or declared.body or "{" in declared.path or declared.matches
    for mode in (POSITIVE, NEGATIVE) if takes else (POSITIVE,):
        send_some(operation.as_strategy(generation_mode=mode), Tries(api, EXAMPLES_EACH_OVER_ETCD), checked)
    assert_nothing_is_garbage(api)


def send_some(cases: st.SearchStrategy[Any], tries: Tries, checked: Sequence[Any]) -> None:
    @SAFELY
    @hypothesis.given(case=cases)
    def run(case: Any) -> None:
        end_soon(case)
        for answer in tries.answers(case, checked):
            assert answer.status_code != 500

    run()


def end_soon(case: Any) -> None:
    """A poll that would wait does not."""
    query = case.query or {}
    wait_s = str(query.get("wait_s", watching.DEFAULT_WAIT_S))
    if query.get("watch") == "poll" and wait_s.isdecimal() and int(wait_s) <= 60:
        query["wait_s"] = 0


@pytest.mark.needs("etcd", "etcdctl")
@pytest.mark.parametrize("place", [n for n, each in enumerate(OPERATIONS) if each.topic], ids=named)
@pytest.mark.parametrize("how", ["sse", "poll"])
def test_whatever_is_watched_is_answered_as_documented(api: Api, place: int, how: str) -> None:
    """With every parameter of the list, and places that are past, to come, and none."""
    operation = api.document[OPERATIONS[place].path]["GET"]
    tries = Tries(api, float("inf"))

    @SAFELY
    @hypothesis.given(case=operation.as_strategy(generation_mode=POSITIVE), since=PLACES)
    def run(case: Any, since: str) -> None:
        kept = {name: given for name, given in case.query.items() if name not in watching.ONLY_LISTS}
        case.query = {**kept, "watch": how, "since": since, "wait_s": 0}
        for answer in tries.answers(case):
            assert answer.status_code in {200, 410, 422}
            if answer.status_code == 200:
                assert (answer.headers["content-type"][0] == watching.EVENTS) == (how == "sse")

    run()
    assert_nothing_is_garbage(api)


def assert_nothing_is_garbage(api: Api) -> None:
    """Every key that is stored decodes as what its place says, and the address plan obeys its rules."""
    for store in api.stores:
        for item in store.range(keys.ROOT).items:
            kind = keys.kind_of(item.key)
            if kind is None:
                assert item.key.removeprefix(keys.ROOT).startswith(WHAT_IS_NO_VALUE), item.key
                continue
            decode(kind.model, item.value, key=item.key)
        check(store)
