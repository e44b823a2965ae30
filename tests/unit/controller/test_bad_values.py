"""The list of what nobody may get past the API: each has its own refusal, and nothing is changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.controller.conftest import Api

V6 = {"name": "six", "cidr": "2001:db8::/112"}
HUGE = [b"1e400", b"-1e400", b"-1", b"1180591620717411303424", b"0.5", b'"26"', b"null"]


@pytest.fixture
def stocked(plant: Api) -> Api:
    """Pools of both families, a tenant that holds two addresses, and an endpoint."""
    plant.made("/v1/pools", V6)
    plant.made("/v1/tenants", {"name": "shop", "max_ipv4": 5})
    for name in ("a", "b"):
        plant.made("/v1/endpoints", {"id": name, "node": "node-1", "tenant": "shop", "pool": "default"})
    return plant


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "pointer"),
    [
        ("POST", "/v1/endpoints", {"node": "node-1", "pool": "six", "address": "10.64.0.3"}, 422, "/address"),
        ("POST", "/v1/pools", {"name": "p", "cidr": "0.0.0.0/0"}, 422, "/cidr"),
        ("POST", "/v1/pools", {"name": "p", "cidr": "::/0"}, 422, "/cidr"),
        (
            "POST",
            "/v1/pools",
            {"name": "p", "cidr": "10.9.0.0/28", "block_prefixlen": 26},
            422,
            "/block_prefixlen",
        ),
        (
            "POST",
            "/v1/pools",
            {"name": "p", "cidr": "10.9.0.0/24", "reserved": ["10.8.0.0/30"]},
            422,
            "/reserved",
        ),
        ("PATCH", "/v1/tenants/shop", {"max_ipv4": 1}, 422, "/max_ipv4"),
    ],
)
def test_a_value_that_makes_no_sense_here(
    stocked: Api, method: str, path: str, body: Any, status: int, pointer: str
) -> None:
    before = stocked.stored()
    answer = stocked.send(method, path, body)
    assert answer.status_code == status, answer.text
    assert pointer in [error["pointer"] for error in answer.json["errors"]]
    assert stocked.stored() == before


@pytest.mark.parametrize("number", HUGE)
def test_a_number_that_is_none_of_ours(stocked: Api, number: bytes) -> None:
    before = stocked.stored()
    for path, text in (
        ("/v1/pools", b'{"name":"p","cidr":"10.9.0.0/24","cooldown_s":%s}'),
        ("/v1/nodes", b'{"name":"n","asn":%s}'),
    ):
        answer = stocked.client.post(path, data=text % number, content_type="application/json")
        assert (answer.status_code, answer.json["type"]) == (422, "/problems/invalid"), answer.text
    assert stocked.stored() == before


@pytest.mark.parametrize("given", ["yes", "true", "off", 1, 0, 1.0, []])
@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/pools", {"name": "p", "cidr": "10.9.0.0/24", "disabled": None}, "/disabled"),
        ("/v1/pools", {"name": "p", "cidr": "10.9.0.0/24", "borrow": None}, "/borrow"),
        ("/v1/nodes", {"name": "n", "asn": 64512, "edge": None}, "/edge"),
        ("/v1/peers", {"name": "p", "address": "192.0.2.9", "asn": 64512, "gtsm": None}, "/gtsm"),
        ("/v1/peers", {"name": "p", "address": "192.0.2.9", "asn": 64512, "passive": None}, "/passive"),
        ("/v1/policies", {"name": "p", "ingress": [{"action": "deny", "log": None}]}, "/ingress/0/log"),
    ],
)
def test_what_is_true_or_false_is_not_guessed(
    stocked: Api, path: str, body: Any, pointer: str, given: Any
) -> None:
    """What is taken for true but is not what was written makes `polder apply --exit-code` differ for ever."""
    before = stocked.stored()
    answer = stocked.client.post(
        path, data=json.dumps(body).replace("null", json.dumps(given)), content_type="application/json"
    )
    assert answer.status_code == 422, answer.text
    assert answer.json["errors"] == [{"pointer": pointer, "detail": "expected true or false"}]
    assert stocked.stored() == before


@pytest.mark.parametrize(
    "name", ["a%2Fb", "a%00b", "a%0Ab", "%FF", "%ED%A0%80", "..%2F..", "a%20b", "%7F", "A"]
)
def test_a_name_that_nothing_can_have(stocked: Api, name: str) -> None:
    before = stocked.stored()
    for noun in ("pools", "nodes", "peers", "services", "tenants", "tokens", "endpoints", "addresses"):
        assert stocked.client.get(f"/v1/{noun}/{name}").status_code == 404
        if noun != "addresses":
            assert stocked.client.delete(f"/v1/{noun}/{name}").status_code == 404
    for raw in ("a/b", "a\x00b", "a\nb", "\x7f", "\u202e", ""):
        for path, body in (("/v1/pools", {"cidr": "10.9.0.0/24"}), ("/v1/nodes", {"asn": 64512})):
            assert stocked.send("POST", path, {**body, "name": raw}).status_code == 422
        assert stocked.send("POST", "/v1/endpoints", {"node": "node-1", "id": raw}).status_code == 422
    assert stocked.stored() == before


def test_a_body_of_ten_megabytes(stocked: Api) -> None:
    before = stocked.stored()
    for method, path in (
        ("POST", "/v1/endpoints:batch"),
        ("PATCH", "/v1/pools/default"),
        ("POST", "/v1/nodes"),
    ):
        answer = stocked.client.open(
            path, method=method, data=b" " * (10 << 20), content_type="application/json"
        )
        assert (answer.status_code, answer.json["type"]) == (413, "/problems/too-large")
    assert stocked.stored() == before
