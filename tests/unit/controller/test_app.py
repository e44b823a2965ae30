"""The application around the nouns: store away, tokens, documents, metrics."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from controller import validation
from controller.api import nodes, peers, pools, tenants
from controller.app import NOUNS, ROUTES, create_app
from controller.auth import Doors, TokenFileError, read_tokens
from controller.parts import Parts
from controller.problem import TITLES
from store import keys
from store.client import Put, Range
from store.memory import MemoryStore
from store.model import Node, Peer, Pool, Tenant, value
from tests.support.client import client_of
from tests.unit.controller.conftest import Api

TOKEN = "0123456789abcdef0123456789abcdef"


def test_with_the_store_away_requests_are_asked_to_come_back(plant: Api) -> None:
    before = plant.stored()
    plant.store.set_available(False)
    for method, path, body in [
        ("GET", "/v1/pools", None),
        ("POST", "/v1/pools", {"name": "p", "cidr": "10.99.0.0/24"}),
        ("POST", "/v1/endpoints", {"node": "node-1"}),
        ("POST", "/v1/endpoints", {"node": "node-1", "id": "a"}),
        ("PATCH", "/v1/nodes/node-1", {"asn": 1}),
        ("DELETE", "/v1/nodes/node-1", None),
    ]:
        answer = plant.send(method, path, body)
        assert (answer.status_code, answer.json["type"]) == (503, "/problems/unavailable"), answer.text
        assert int(answer.headers["Retry-After"]) > 0
    ready = plant.client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json["ready"] is False
    assert ready.json["not_ready"][0]["what"] == "etcd"
    assert ready.json["not_ready"][0]["why"]
    assert plant.client.get("/healthz").status_code == 200
    plant.store.set_available(True)
    assert plant.client.get("/readyz").json == {"ready": True, "not_ready": []}
    assert plant.stored() == before
    plant.made("/v1/endpoints", {"node": "node-1"})


def test_bad_input_is_said_before_the_store_is_asked(plant: Api) -> None:
    plant.store.set_available(False)
    assert plant.send("POST", "/v1/pools", {"name": 1}).status_code == 422


def test_a_lost_answer_is_found_out(plant: Api) -> None:
    plant.store.lose_answer()
    made = plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    assert plant.get("/v1/endpoints")["items"] == [made]


def test_a_value_that_cannot_be_read_is_named_and_left_alone(plant: Api) -> None:
    key = keys.POOLS.key("bad")
    plant.store.txn([], [Put(key, b"{}")])
    assert [pool["name"] for pool in plant.get("/v1/pools")["items"]] == ["default"]
    answer = plant.client.get("/v1/pools/bad")
    assert (answer.status_code, answer.json["type"]) == (500, "/problems/corrupt")
    assert key in answer.json["detail"]
    found = plant.store.get(key)
    assert found is not None
    assert found.value == b"{}"


@pytest.fixture
def guarded() -> Iterator[Client]:
    parts = Parts.build(MemoryStore())
    doors = Doors(token_lines=(b"another-token-of-somebody", TOKEN.encode()))
    yield client_of(create_app(parts.store, parts=parts, doors=doors))
    parts.close()


@pytest.mark.parametrize(
    "sent", [None, "", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"Bearer {TOKEN}x", "Bearer \xe9\xfc"]
)
def test_without_a_token_nothing_is_told(guarded: Client, sent: str | None) -> None:
    headers = {} if sent is None else {"Authorization": sent}
    for path in ("/v1/pools", "/metrics", "/v1/openapi.json", "/nowhere"):
        answer = guarded.get(path, headers=headers)
        assert (answer.status_code, answer.content_type) == (401, "application/problem+json")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert guarded.get("/healthz", headers=headers).status_code == 200
    assert guarded.get("/readyz", headers=headers).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_a_token_everything_is_allowed(guarded: Client, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {TOKEN}"}
    assert guarded.get("/v1/pools", headers=headers).status_code == 200
    assert guarded.get("/metrics", headers=headers).status_code == 200


def test_a_token_file_has_one_token_a_line(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"# who: the CLI\n\n  {TOKEN}  \nanother-token-of-somebody\n")
    assert read_tokens(path) == (TOKEN.encode(), b"another-token-of-somebody")


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "holds no token"), ("# only\n", "no token"), ("short\n", "16"), (None, "make it")],
)
def test_a_token_file_that_guards_nothing_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "tokens"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TokenFileError, match=words):
        read_tokens(path)


def test_what_is_logged_of_a_failed_request_is_one_line(
    plant: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = "/v1/pools/a%0Aevent=forged%1B[2J"
    plant.store.set_available(False)
    assert plant.client.get(evil).status_code == 503
    plant.store.set_available(True)
    monkeypatch.setattr(plant.store, "get", lambda key: 1 / 0)
    assert plant.client.get(evil).status_code == 500
    lines = [each.getMessage() for each in caplog.records if each.name == "controller.app"]
    assert [each.partition(" ")[0] for each in lines] == ["event=store-failed", "event=failed"]
    assert not re.search(r"[\n\x1b]", "".join(lines))


def test_the_document_describes_every_route(api: Api) -> None:
    document = api.get("/v1/openapi.json")
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    routes = {(route.method, route.path) for route in ROUTES}
    assert described == routes - {("GET", "/metrics"), ("GET", "/v1/openapi.json"), ("GET", "/docs")}


def test_every_reference_of_the_document_leads_somewhere(api: Api) -> None:
    document = api.get("/v1/openapi.json")
    for reference in set(re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(document))):
        found: Any = document
        for part in reference.split("/"):
            found = found[part]
        assert found, reference


def test_operation_ids_are_unique() -> None:
    declared = [each for noun in NOUNS for each in noun.operations]
    assert len({(each.method, each.path) for each in declared}) == len(declared)


def test_metrics_count_by_route_and_not_by_name(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    for name in ("a", "b", "c"):
        plant.client.get(f"/v1/endpoints/{name}")
    plant.client.get("/nowhere/at/all")
    text = plant.client.get("/metrics").text
    assert 'polder_http_requests_total{method="GET",route="/v1/endpoints/{id}",status="404"} 2.0' in text
    assert 'route="unknown",status="404"} 1.0' in text
    assert 'polder_addresses_assigned_total{pool="default"} 1.0' in text
    assert 'polder_http_request_seconds_count{method="POST",route="/v1/endpoints"} 1.0' in text
    assert "polder_commit_units_count" in text


def test_every_pattern_of_the_model_is_said_in_words() -> None:
    source = Path(value.__file__).read_text()
    patterns = set(re.findall(r'pattern=r"([^"]+)"', source))
    assert patterns == set(validation.SHAPES)


class Hanging(MemoryStore):
    """A store that keeps one reader waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs, self.asked, self.goes_on = threading.Event(), threading.Event(), threading.Event()

    def range(self, prefix: str, **options: Any) -> Range:
        if self.hangs.is_set() and prefix == keys.POOLS.prefix():
            self.asked.set()
            self.goes_on.wait(10)
        return super().range(prefix, **options)


def test_more_requests_than_can_wait_are_refused_at_once_but_health_is_told() -> None:
    store = Hanging()
    parts = Parts.build(store)
    client = client_of(create_app(store, parts=parts, max_in_hand=1))
    store.hangs.set()
    with ThreadPoolExecutor(1) as another:
        in_hand = another.submit(client.get, "/v1/pools")
        assert store.asked.wait(10)
        refused = client.get("/v1/pools")
        assert (refused.status_code, refused.json["type"]) == (503, "/problems/busy")
        assert refused.headers["Retry-After"] == "1"
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        store.goes_on.set()
        assert in_hand.result(10).status_code == 200
    assert client.get("/v1/pools").status_code == 200
    assert client.get("/v1/pools").status_code == 200
    parts.close()


def test_the_page_on_the_api_is_complete(api: Api) -> None:
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    rows = dict(re.findall(r"^\| `/problems/([a-z-]+)` \| (\d+) \|", page, re.MULTILINE))
    assert rows == {kind: str(status) for kind, (status, _) in TITLES.items()}
    for path in api.get("/v1/openapi.json")["paths"]:
        assert f"`{path}`" in page
    for name in re.findall(r"^# HELP (polder_\w+) ", api.client.get("/metrics").text, re.MULTILINE):
        assert name in page or name.endswith("_created")


def test_the_page_on_the_api_says_what_can_change() -> None:
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    written = page.partition("What can change: ")[2]
    for noun, model, mutable in (
        ("pool", Pool, pools.MUTABLE),
        ("tenant", Tenant, tenants.MUTABLE),
        ("node", Node, nodes.MUTABLE),
        ("peer", Peer, peers.MUTABLE),
    ):
        (fixed,) = re.findall(rf"all of a {noun} but ((?:`\w+`(?:, )?)+)", written)
        assert set(re.findall(r"\w+", fixed)) == model.model_fields.keys() - set(mutable)
