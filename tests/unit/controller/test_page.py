"""/docs: everything of the API on one page, that runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from controller.cures import CURES
from controller.page import page
from controller.problem import TITLES
from tests.unit.controller.conftest import Api

VOID = {"meta", "input"}


class Balanced(HTMLParser):
    """Fails on a tag that is not closed, and collects ids and links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if "href" in given else []
        self.sources += [given["src"] or ""] if "src" in given else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def shown(api: Api) -> str:
    return api.client.get("/docs").text


def test_each_operation_problem_and_model_is_shown(api: Api, shown: str) -> None:
    parsed = Balanced()
    parsed.feed(shown)
    assert not parsed.open
    assert len(set(parsed.ids)) == len(parsed.ids)
    document = api.get("/v1/openapi.json")
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    assert {each["operationId"] for each in operations} <= set(parsed.ids)
    assert set(document["components"]["schemas"]) <= set(parsed.ids)
    assert {f"problem-{kind}" for kind in TITLES} <= set(parsed.ids)
    assert {link.removeprefix("#") for link in parsed.links} <= set(parsed.ids)


def test_each_problem_has_a_cure() -> None:
    assert set(TITLES) <= set(CURES), "controller/cures.py"


def test_nothing_is_loaded_and_only_its_own_script_runs(api: Api, shown: str) -> None:
    parsed = Balanced()
    parsed.feed(shown)
    assert not parsed.sources
    assert all(link.startswith("#") for link in parsed.links)
    assert not re.search(r" on\w+=| style=|https?://", shown)
    answer = api.client.get("/docs")
    assert answer.mimetype == "text/html"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    for tag in ("style", "script"):
        text = re.findall(f"<{tag}>(.*?)</{tag}>", shown, re.DOTALL)
        assert len(text) == 1
        digest = base64.b64encode(hashlib.sha256(text[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_what_the_document_holds_is_only_text() -> None:
    evil = "<script>x</script>\"'"
    schema = {"type": "object", "description": evil, "properties": {evil: {"type": evil}}}
    operation = {
        "operationId": evil,
        "summary": evil,
        "parameters": [{"name": evil, "in": "query", "required": False, "example": evil}],
        "requestBody": {"content": {evil: {"example": {evil: evil}}}},
        "responses": {"200": {"description": evil, "content": {evil: {"schema": {"$ref": f"#/{evil}"}}}}},
    }
    text = page({"paths": {evil: {"get": operation}}, "components": {"schemas": {evil: schema}}})
    assert text.count("<script>") == 1
    assert "</script>\"'" not in text
