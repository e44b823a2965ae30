"""POST /v1/impact says of each write what it makes of the thing that it is about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from store.model import Role
from tests.unit.controller.conftest import Api
from tests.unit.controller.guarded import ROOT, Guarded, guarded

POOL = {"name": "default", "cidr": "10.64.0.0/16", "reserved": ["10.64.9.9/32"], "communities": ["64500:1"]}
WWW = {"name": "www", "pool": "default", "selector": {"app": "web"}, "check": {"kind": "tcp", "port": 80}}
RULE = {"action": "allow", "ports": [{"protocol": "tcp", "port": 443}]}
WEB = {"id": "web", "node": "node-1", "mac": "02:00:00:00:00:0a", "families": ["ipv4", "ipv6"]}


@pytest.fixture
def site(api: Api) -> Api:
    """One of each."""
    api.made("/v1/tenants", {"name": "shop"})
    api.made("/v1/pools", POOL)
    api.made("/v1/pools", {"name": "six", "cidr": "2001:db8::/64"})
    export = {"protocol": "sflow", "collector": "192.0.2.9"}
    api.made("/v1/nodes", {"name": "node-1", "asn": 64511, "export": export})
    api.made("/v1/nodes", {"name": "node-2", "asn": 64512, "mtu_bytes": 9000})
    api.made("/v1/peers", {"name": "tor", "address": "10.0.1.0", "asn": 64501})
    api.made("/v1/services", WWW)
    api.made("/v1/policies", {"name": "web", "ingress": [RULE]})
    api.made("/v1/endpoints", WEB)
    return api


def asked(*items: tuple[str, str, Any]) -> Any:
    return {"items": [{"method": method, "path": path, "body": body} for method, path, body in items]}


def foretold(api: Api, *items: tuple[str, str, Any]) -> list[Any]:
    """What is said of writes; nothing is done."""
    before = api.stored()
    answers = [api.send("POST", f"/v1/impact{query}", asked(*items)) for query in ("", "?max_withdraw=100")]
    assert api.stored() == before
    assert [each.status_code for each in answers] == [200, 200], answers[0].text
    told, weighed = (each.json["writes"] for each in answers)
    assert told == weighed
    return list(told)


@pytest.mark.parametrize(
    ("path", "patch"),
    [
        ("/v1/services/www", {"check": {"kind": "tcp", "port": 80, "interval_s": None, "path": None}}),
        ("/v1/services/www", {"check": {"interval_s": None, "healthy_after": 2}}),
        ("/v1/nodes/node-1", {"export": {"sampling": None, "port": None}, "labels": None}),
        ("/v1/policies/web", {"ingress": [{"action": "allow", "ports": [{"protocol": 6, "port": 443}]}]}),
        ("/v1/policies/web", {"order": None, "mode": None, "egress": None, "tenant": None}),
        ("/v1/pools/default", {"communities": ["64500:01"]}),
        ("/v1/pools/default", {"reserved": ["10.64.9.9"], "block_prefixlen": None, "cooldown_s": None}),
        ("/v1/peers/tor", {"hold_time_s": None, "address": "10.0.1.0", "name": "tor"}),
        ("/v1/tenants/shop", {"default": None, "max_ipv4": None}),
        ("/v1/endpoints/web", {"mac": "02:00:00:00:00:0A", "labels": None, "qos": {}, "kind": None}),
        (
            "/v1/endpoints/web",
            {"addresses": ["2001:DB8:0::1", "10.64.0.1"], "pools": ["six", "default"], "tenant": None},
        ),
    ],
)
def test_what_is_written_otherwise_and_means_the_same_changes_nothing(
    site: Api, path: str, patch: dict[str, Any]
) -> None:
    nothing = {"result": "unchanged", "before": None, "after": None}
    assert foretold(site, ("PATCH", path, patch)) == [nothing]
    before = site.stored()
    assert site.send("PATCH", path, patch).status_code == 200
    assert site.stored() == before


@pytest.mark.parametrize(
    ("path", "patch", "changed"),
    [
        ("/v1/pools/default", {"cooldown_s": 0, "communities": ["64500:2"]}, ("cooldown_s", "communities")),
        ("/v1/nodes/node-1", {"export": None}, ("export",)),
        ("/v1/peers/tor", {"med": 5}, ("med",)),
        ("/v1/tenants/shop", {"labels": {"a": "b"}}, ("labels",)),
        ("/v1/services/www", {"check": {"interval_s": 3}}, ("check",)),
        ("/v1/policies/web", {"mode": "staged"}, ("mode",)),
        ("/v1/endpoints/web", {"labels": {"app": "web"}}, ("labels",)),
        ("/v1/endpoints/web", {"node": "node-2"}, ("node", "mtu_bytes")),
    ],
)
def test_a_change_is_told_as_it_would_be_read(
    site: Api, path: str, patch: dict[str, Any], changed: tuple[str, ...]
) -> None:
    [told] = foretold(site, ("PATCH", path, patch))
    shown = site.get(path)
    assert told["result"] == "changed"
    assert told["before"].items() <= shown.items()
    assert {name for name, value in told["after"].items() if value != told["before"][name]} == set(changed)
    assert site.send("PATCH", path, patch).status_code == 200
    assert told["after"].items() <= site.get(path).items()


def test_a_path_means_what_it_means_to_the_write(site: Api) -> None:
    site.made("/v1/pools", {"name": "a-b", "cidr": "10.66.0.0/16"})
    [told] = foretold(site, ("DELETE", "/v1/pools/a%2Db", None))
    assert told["result"] == "deleted"
    assert site.send("DELETE", "/v1/pools/a%2Fb").status_code == 404
    assert site.send("POST", "/v1/impact", asked(("DELETE", "/v1/pools/a%2Fb", None))).status_code == 422


def test_what_is_made_is_told_with_its_defaults(site: Api) -> None:
    new = {"name": "new", "cidr": "10.65.0.0/16"}
    [told, again] = foretold(site, ("POST", "/v1/pools", new), ("POST", "/v1/pools", new))
    assert (told["result"], told["before"]) == ("created", None)
    assert again["result"] == "unchanged"
    assert told["after"] == site.made("/v1/pools", new)


def test_each_write_is_of_what_those_before_it_leave(site: Api) -> None:
    drop = ("DELETE", "/v1/peers/tor", None)
    med = ("PATCH", "/v1/peers/tor", {"med": 5})
    make = ("POST", "/v1/peers", {"name": "tor", "address": "10.0.1.0", "asn": 64501})
    told = foretold(site, med, med, drop, make, med)
    assert [each["result"] for each in told] == ["changed", "unchanged", "deleted", "created", "changed"]
    assert (told[2]["before"]["med"], told[2]["after"]) == (5, None)
    assert told[4]["before"]["med"] is None


def test_of_a_new_endpoint_no_address_is_told(site: Api) -> None:
    new = ("POST", "/v1/endpoints", {"id": "new", "node": "node-1"})
    unnamed = ("POST", "/v1/endpoints", {"node": "node-1"})
    there = ("POST", "/v1/endpoints", WEB)
    assert foretold(site, new, unnamed, there) == [
        {"result": result, "before": None, "after": None} for result in ("created", "created", "unchanged")
    ]


@pytest.mark.parametrize(
    "other", [{"node": "node-2"}, {"labels": {"app": "web"}}, {"mac": "02:00:00:00:00:0b"}]
)
def test_an_id_that_another_endpoint_has_is_refused_as_by_the_write(site: Api, other: Any) -> None:
    refused = site.send("POST", "/v1/endpoints", WEB | other).json
    answer = site.send("POST", "/v1/impact", asked(("POST", "/v1/endpoints", WEB | other)))
    assert answer.status_code == 409
    assert answer.json["detail"] == f"item 0: {refused['detail']}"


def test_an_endpoint_that_asks_for_the_address_it_has_is_there_already(site: Api) -> None:
    given = WEB | {"addresses": site.get("/v1/endpoints/web")["addresses"]}
    assert site.send("POST", "/v1/endpoints", given).status_code == 200
    assert [each["result"] for each in foretold(site, ("POST", "/v1/endpoints", given))] == ["unchanged"]


def test_an_endpoint_is_told_without_what_no_answer_has(site: Api) -> None:
    [told] = foretold(site, ("PATCH", "/v1/endpoints/web", {"labels": {"a": "b"}}))
    assert told["after"].keys() <= site.get("/v1/endpoints/web").keys()


@pytest.fixture
def closed() -> Iterator[Guarded]:
    """A controller with a bearer of each limited role, and a service of one tenant."""
    with guarded() as made:
        made.give("reader", Role.READ_ONLY)
        made.give("host", Role.NODE, node="node-1")
        for tenant in ("shop", "other"):
            made.give(tenant, Role.TENANT, tenant=tenant)
        made.made("/v1/pools", POOL)
        made.made("/v1/nodes", {"name": "node-1", "asn": 64511})
        made.made("/v1/services", WWW, who="shop")
        made.made("/v1/policies", {"name": "all", "order": 5, "ingress": [RULE]})
        yield made


def results(closed: Guarded, who: str, *items: tuple[str, str, Any]) -> Any:
    answer = closed.send(who, "POST", "/v1/impact", asked(*items))
    return [each["result"] for each in answer.json["writes"]] if answer.status_code == 200 else answer.json


def test_who_reads_all_is_told_what_others_would_change(closed: Guarded) -> None:
    items = [
        ("PATCH", "/v1/pools/default", {"cooldown_s": 0}),
        ("POST", "/v1/nodes", {"name": "node-2", "asn": 64512}),
        ("PATCH", "/v1/policies/all", {"order": 5}),
        ("POST", "/v1/policies", {"name": "more", "ingress": [RULE]}),
        ("POST", "/v1/endpoints", {"id": "web", "node": "node-1"}),
    ]
    before = closed.stored()
    told = ["changed", "created", "unchanged", "created", "created"]
    assert results(closed, "reader", *items) == results(closed, ROOT, *items) == told
    assert closed.send("reader", "POST", "/v1/impact", asked(*items)).json["impact"]["peers"] == []
    assert closed.stored() == before
    refused = results(closed, "reader", ("DELETE", "/v1/nodes/node-1", None))
    assert "item 0: role read-only may not DELETE /v1/nodes/{name}" in refused["detail"]


def test_a_tenant_is_told_of_its_own_and_not_of_the_routers(closed: Guarded) -> None:
    own = ("PATCH", "/v1/services/www", {"check": None})
    answer = closed.send("shop", "POST", "/v1/impact", asked(own))
    assert (answer.status_code, answer.json["impact"]) == (200, None)
    assert answer.json["writes"][0]["after"]["check"] is None
    assert results(closed, "other", own)["type"] == "/problems/not-found"
    taken = closed.send("other", "POST", "/v1/services", WWW).json
    assert results(closed, "other", ("POST", "/v1/services", WWW))["detail"] == f"item 0: {taken['detail']}"
    steered = results(closed, "shop", ("PATCH", "/v1/services/www", {"communities": ["64500:1"]}))
    assert steered["type"] == "/problems/forbidden"
    other = results(closed, "shop", ("PATCH", "/v1/pools/default", {"cooldown_s": 0}))
    assert "role tenant may not PATCH" in other["detail"]


def test_a_tenant_is_not_told_of_an_endpoint_of_another(closed: Guarded) -> None:
    closed.made("/v1/endpoints", {"id": "web", "node": "node-1"}, who="shop")
    there = ("POST", "/v1/endpoints", {"id": "web", "node": "node-1"})
    assert results(closed, "shop", there) == ["unchanged"]
    taken = closed.send("other", "POST", "/v1/endpoints", there[2]).json
    assert results(closed, "other", there)["detail"] == f"item 0: {taken['detail']}"
    assert "node-1" not in taken["detail"]
    assert results(closed, "other", ("PATCH", "/v1/endpoints/web", {}))["type"] == "/problems/not-found"


def test_a_node_is_told_of_endpoints_that_it_makes(closed: Guarded) -> None:
    assert results(closed, "host", ("POST", "/v1/endpoints", {"id": "a", "node": "node-1"})) == ["created"]
    assert "role node may not" in results(closed, "host", ("POST", "/v1/nodes", {"name": "b"}))["detail"]
