"""/v1/policies: what is taken, what is refused and where, and who sees and writes which."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from store.model import Role
from tests.unit.controller.conftest import Api
from tests.unit.controller.guarded import Guarded, guarded

DENY = {"action": "deny"}
ALL = {"name": "all", "ingress": [DENY]}


def refused(api: Api, body: dict[str, Any]) -> tuple[int, str, str]:
    """The status, and where and what is wrong first."""
    before = api.stored()
    answer = api.send("POST", "/v1/policies", {"name": "web"} | body)
    assert api.stored() == before, "nothing half-written"
    return answer.status_code, answer.json["errors"][0]["pointer"], answer.json["errors"][0]["detail"]


def rule(**fields: Any) -> dict[str, Any]:
    return {"ingress": [{"action": "allow"}, {"action": "allow", **fields}]}


@pytest.mark.parametrize(
    ("body", "pointer", "about"),
    [
        ({}, "/ingress", "needs a rule"),
        ({"ingress": [{}]}, "/ingress/0/action", "is required"),
        ({"ingress": [{"action": "log"}]}, "/ingress/0/action", "expected 'allow' or 'deny'"),
        ({"ingress": [DENY], "tenant": "nobody"}, "/tenant", "there is no tenant 'nobody'"),
        (rule(peers=[{"tenant": "nobody"}]), "/ingress/1/peers/0/tenant", "there is no tenant 'nobody'"),
        (rule(peers=[{"cidr": "10.0.0.1/8"}]), "/ingress/1/peers/0/cidr", "host bits"),
        (rule(peers=[{}]), "/ingress/1/peers/0/selector", "is required"),
        (rule(peers=[{"cidr": "10.0.0.0/8", "tenant": "red"}]), "/ingress/1/peers/0/cidr", "stands alone"),
        (rule(ports=[{"protocol": "icmp", "port": 8}]), "/ingress/1/ports/0/port", "icmp has no ports"),
        (rule(ports=[{"protocol": "http"}]), "/ingress/1/ports/0/protocol", "expected icmp, tcp"),
        (
            rule(ports=[{"protocol": "tcp", "port": 9, "end_port": 8}]),
            "/ingress/1/ports/0/end_port",
            "the range is empty",
        ),
        (
            rule(peers=[{"cidr": "2001:db8::/32"}], ports=[{"protocol": "icmp"}]),
            "/ingress/1/ports",
            "no peer of the rule can speak",
        ),
        ({"ingress": [DENY], "tenant": "red", "order": 50}, "/order", "100 to 900"),
        ({"ingress": [DENY], "order": 1001}, "/order", "at most 1000"),
        ({"ingress": [DENY], "mode": "off"}, "/mode", "expected 'enforced' or 'staged'"),
        ({"ingress": [DENY], "rules": []}, "/rules", "unknown field"),
    ],
)
def test_bad_input_is_refused_where_it_stands(plant: Api, body: Any, pointer: str, about: str) -> None:
    plant.made("/v1/tenants", {"name": "red"})
    status, where, what = refused(plant, body)
    assert (status, where) == (422, pointer)
    assert about in what


def test_a_policy_is_created_once_changed_and_deleted(plant: Api) -> None:
    plant.made("/v1/tenants", {"name": "red"})
    made = plant.made("/v1/policies", {"name": "web", "tenant": "red", "ingress": [DENY]})
    assert (made["order"], made["mode"], made["selector"]) == (500, "enforced", {})
    assert plant.send("POST", "/v1/policies", made).status_code == 200
    other = plant.send("POST", "/v1/policies", {**made, "order": 400})
    assert (other.status_code, other.json["type"]) == (409, "/problems/conflict")
    other = plant.send("POST", "/v1/policies", {**made, "ingress": [{**DENY, "log": True}]})
    assert '"log": false' in other.json["errors"][0]["detail"], "as JSON, in which it was sent"
    assert plant.send("PUT", "/v1/policies/web", made).status_code == 428
    tag = plant.send("GET", "/v1/policies/web").headers["ETag"]
    headers = {"If-Match": tag}
    put = plant.client.put("/v1/policies/web", json={**made, "order": 400}, headers=headers)
    assert (put.status_code, put.json["order"]) == (200, 400)
    stale = plant.client.put("/v1/policies/web", json={**made, "order": 300}, headers=headers)
    assert stale.status_code == 412
    patched = plant.send("PATCH", "/v1/policies/web", {"mode": "staged"})
    assert (patched.status_code, patched.json["mode"], patched.json["order"]) == (200, "staged", 400)
    assert plant.send("PATCH", "/v1/policies/web", {"tenant": None}).status_code == 422
    assert plant.send("DELETE", "/v1/policies/web").status_code == 204
    assert plant.send("GET", "/v1/policies/web").status_code == 404


def test_lists_are_of_a_tenant(plant: Api) -> None:
    plant.made("/v1/tenants", {"name": "red"})
    plant.made("/v1/policies", ALL)
    plant.made("/v1/policies", {"name": "web", "tenant": "red", "ingress": [DENY]})
    listed = plant.get("/v1/policies?tenant=red")["items"]
    assert [each["name"] for each in listed] == ["web"]
    assert len(plant.get("/v1/policies")["items"]) == 2


def test_a_tenant_with_policies_stays(plant: Api) -> None:
    plant.made("/v1/tenants", {"name": "red"})
    plant.made("/v1/policies", {"name": "web", "tenant": "red", "ingress": [DENY]})
    answer = plant.send("DELETE", "/v1/tenants/red")
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/in-use")
    assert "policies 1 (web)" in answer.json["detail"]
    plant.send("DELETE", "/v1/policies/web")
    assert plant.send("DELETE", "/v1/tenants/red").status_code == 204


def test_a_tenant_has_a_default(plant: Api) -> None:
    assert plant.made("/v1/tenants", {"name": "red"})["default"] == "allow"
    assert plant.send("PATCH", "/v1/tenants/red", {"default": "deny"}).json["default"] == "deny"
    answer = plant.send("PATCH", "/v1/tenants/red", {"default": "drop"})
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/default")


@pytest.fixture
def closed() -> Iterator[Guarded]:
    """Two tenants, a bearer of each role, and a policy of each tenant and of none."""
    with guarded() as made:
        for tenant in ("shop", "rival"):
            made.made("/v1/tenants", {"name": tenant})
            made.give(tenant, Role.TENANT, tenant=tenant)
            made.made("/v1/policies", {"name": f"of-{tenant}", "tenant": tenant, "ingress": [DENY]})
        made.made("/v1/policies", ALL)
        for role in (Role.NETWORK, Role.PLATFORM, Role.READ_ONLY):
            made.give(role.value, role)
        yield made


def test_a_tenant_sees_its_own_policies_alone(closed: Guarded) -> None:
    listed = closed.send("shop", "GET", "/v1/policies").json["items"]
    assert [each["name"] for each in listed] == ["of-shop"]
    for name in ("of-rival", "all", "nothing"):
        for method, body in (("GET", None), ("PATCH", {"order": 300}), ("DELETE", None)):
            assert closed.send("shop", method, f"/v1/policies/{name}", body).status_code == 404


def test_a_tenant_writes_for_itself_alone(closed: Guarded) -> None:
    made = closed.send("shop", "POST", "/v1/policies", {"name": "web", "ingress": [DENY]})
    assert (made.status_code, made.json["tenant"]) == (201, "shop")
    wide = closed.send("shop", "POST", "/v1/policies", {"name": "w2", "order": 50, "ingress": [DENY]})
    assert (wide.status_code, wide.json["errors"][0]["pointer"]) == (422, "/order")
    theirs = {"name": "w3", "tenant": "rival", "ingress": [DENY]}
    assert closed.send("shop", "POST", "/v1/policies", theirs).json["errors"][0]["pointer"] == "/tenant"
    taken = closed.send("shop", "POST", "/v1/policies", {"name": "of-rival", "egress": [DENY]})
    assert (taken.status_code, taken.json["detail"]) == (
        409,
        "the name of-rival is taken; use another name",
    )
    assert taken.json["errors"] == [{"pointer": "/name", "detail": taken.json["detail"]}], "no more than that"


def test_a_tenant_opens_to_another_and_learns_nothing_of_who_there_is(closed: Guarded) -> None:
    for number, tenant in enumerate(("rival", "nobody")):
        peers = [{"tenant": tenant, "selector": {"app": "web"}}]
        body = {"name": f"open-{number}", "ingress": [{"action": "allow", "peers": peers}]}
        assert closed.send("shop", "POST", "/v1/policies", body).status_code == 201


def test_policies_for_all_are_written_by_the_network_alone(closed: Guarded) -> None:
    new = {"name": "new", "ingress": [DENY]}
    for who, status in (("platform", 403), ("read-only", 403), ("network", 201)):
        assert closed.send(who, "POST", "/v1/policies", new).status_code == status
    for method, body in (("PATCH", {"order": 1}), ("DELETE", None)):
        assert closed.send("platform", method, "/v1/policies/all", body).status_code == 403
        assert closed.send("network", method, "/v1/policies/all", body).status_code in {200, 204}
    assert closed.send("platform", "DELETE", "/v1/policies/of-shop").status_code == 204


def foretold(api: Api, method: str, path: str, body: Any = None) -> Any:
    """What a write would do to who reaches whom; nothing is done."""
    before = api.stored()
    answer = api.send(method, f"{path}?dry_run=true", body)
    assert answer.status_code == 200, answer.text
    assert api.stored() == before
    return answer.json["policies"]


@pytest.fixture
def shop(plant: Api) -> Api:
    """A tenant with two endpoints, and one of nobody's."""
    plant.made("/v1/tenants", {"name": "red"})
    for name, tenant in (("web", "red"), ("db", "red"), ("free", None)):
        asked = {"id": name, "node": "node-1", "tenant": tenant, "labels": {"app": name}}
        plant.made("/v1/endpoints", asked)
    return plant


def test_a_dry_run_tells_who_reaches_whom(shop: Api) -> None:
    peers = [{"selector": {"app": "web"}}]
    allow = {"action": "allow", "peers": peers, "ports": [{"protocol": "tcp", "port": 5432}]}
    body = {"name": "db", "tenant": "red", "selector": {"app": "db"}, "ingress": [allow, DENY]}
    told = foretold(shop, "POST", "/v1/policies", body)
    assert told["endpoints"] == {"count": 1, "some": ["db"]}
    assert [each["node"] for each in told["nodes"]] == ["node-1"]
    by_peer = {
        (each["peers"]["endpoints"] or {"some": ["outside"]})["some"][0]: (each["gains"], each["loses"])
        for each in told["shifts"]
        if each["direction"] == "ingress"
    }
    rest = ["icmp", "tcp/1-5431", "tcp/5433-65535", "udp", "icmpv6", "other protocols"]
    assert by_peer == {"web": ([], rest), "db": ([], ["any"]), "outside": ([], ["any"])}
    shop.made("/v1/policies", body)
    back = foretold(shop, "DELETE", "/v1/policies/db")
    assert all(each["loses"] == [] for each in back["shifts"])
    assert back["nodes"] == told["nodes"]


def test_a_staged_policy_changes_nothing_but_what_nodes_are_told(shop: Api) -> None:
    told = foretold(shop, "POST", "/v1/policies", {**ALL, "mode": "staged"})
    assert (told["endpoints"]["count"], told["shifts"]) == (3, [])
    assert told["nodes"] == [{"node": "node-1", "values": 1}]


def test_a_dry_run_tells_what_a_default_does(shop: Api) -> None:
    told = foretold(shop, "PATCH", "/v1/tenants/red", {"default": "deny"})
    assert told["endpoints"] == {"count": 2, "some": ["db", "web"]}
    assert {each["direction"] for each in told["shifts"]} == {"ingress", "egress"}
    assert all((each["gains"], each["loses"]) == ([], ["any"]) for each in told["shifts"])
    assert "free" not in str([each for each in told["shifts"] if each["direction"] == "ingress"])


def test_what_routers_see_is_not_told_of_who_reaches_whom(shop: Api) -> None:
    answer = shop.send("PATCH", "/v1/pools/default?dry_run=true", {"cooldown_s": 1})
    assert answer.json["policies"] is None
