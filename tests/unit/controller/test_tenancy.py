"""What a tenant or a node cannot see is not there: in the very words, whatever it asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from controller.reading import put
from store import keys
from store.model import Attachment, Role, Severity
from tests.unit.controller.guarded import ROOT, Guarded, guarded

SECRETS = ("rival", "theirs", "10.65.", "node-2", "10.64.0.2")
"""What of others must be in no answer to the tenant shop: names, ranges, addresses."""


@pytest.fixture
def closed() -> Iterator[Guarded]:
    """Two tenants, each with a pool, an endpoint in the shared pool, and a bearer; two nodes with theirs."""
    with guarded() as made:
        for tenant in ("shop", "rival"):
            made.made("/v1/tenants", {"name": tenant})
            made.give(tenant, Role.TENANT, tenant=tenant)
        for number in (1, 2):
            made.made("/v1/nodes", {"name": f"node-{number}", "asn": 64512})
            made.give(f"node-{number}", Role.NODE, node=f"node-{number}")
        made.made("/v1/pools", {"name": "default", "cidr": "10.64.0.0/24", "priority": 200})
        made.made("/v1/pools", {"name": "ours", "cidr": "10.66.0.0/24", "tenant": "shop"})
        made.made("/v1/pools", {"name": "theirs-pool", "cidr": "10.65.0.0/24", "tenant": "rival"})
        for id_, tenant, address, node in (
            ("mine", "shop", "10.64.0.1", "node-1"),
            ("theirs", "rival", "10.64.0.2", "node-2"),
            ("nobodys", None, "10.64.0.3", "node-2"),
        ):
            made.made("/v1/endpoints", {"id": id_, "node": node, "tenant": tenant, "address": address})
        yield made


def same_but_for(answer: Any, name: str, other: str) -> Any:
    return answer.status_code, answer.text.replace(name, other), answer.headers.get("ETag")


@pytest.mark.parametrize("who", ["shop", "node-1"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("headers", [{}, {"If-Match": '"1"'}, {"If-Match": "*"}, {"If-None-Match": "*"}])
def test_an_endpoint_of_others_is_not_there(
    closed: Guarded, who: str, method: str, headers: dict[str, str]
) -> None:
    if (who, method) == ("node-1", "PATCH"):
        return  # not a route of that role
    before = closed.stored()
    body = {"labels": {"a": "b"}} if method == "PATCH" else None
    nothing = closed.send(who, method, "/v1/endpoints/nothing", body, **headers)
    assert nothing.status_code == 404
    for name in ("theirs", "nobodys"):
        answer = closed.send(who, method, f"/v1/endpoints/{name}", body, **headers)
        assert same_but_for(answer, name, "nothing") == same_but_for(nothing, "", "")
    assert closed.stored() == before


@pytest.mark.parametrize("who", ["shop", "node-1"])
def test_its_own_endpoint_is_there(closed: Guarded, who: str) -> None:
    assert closed.send(who, "GET", "/v1/endpoints/mine").json["tenant"] == "shop"
    assert closed.send(who, "GET", "/v1/addresses/10.64.0.1").json["endpoint"] == "mine"
    assert closed.send(who, "DELETE", "/v1/endpoints/mine").status_code == 204


@pytest.mark.parametrize("who", ["shop", "node-1"])
def test_lists_hold_its_own_only(closed: Guarded, who: str) -> None:
    for query in ("", "?limit=1", "?node=node-1", "?pool=default"):
        answer = closed.send(who, "GET", f"/v1/endpoints{query}")
        assert [item["id"] for item in answer.json["items"]] == ["mine"]
        assert "next" not in answer.json
    assert closed.send(who, "GET", "/v1/endpoints?node=node-2").json["items"] == []


@pytest.mark.parametrize("who", ["shop", "node-1"])
def test_addresses_of_others_are_not_there_and_neither_are_free_ones(closed: Guarded, who: str) -> None:
    nothing = closed.send(who, "GET", "/v1/addresses/192.0.2.1")
    assert nothing.status_code == 404
    for address in ("10.64.0.2", "10.64.0.3", "10.64.0.9", "10.65.0.1", "10.66.0.1"):
        answer = closed.send(who, "GET", f"/v1/addresses/{address}")
        assert same_but_for(answer, address, "192.0.2.1") == same_but_for(nothing, "", "")


@pytest.mark.parametrize("who", ["shop", "node-1"])
def test_it_lists_and_reads_the_addresses_of_its_own_endpoints(closed: Guarded, who: str) -> None:
    for query in ("", "?limit=1", "?pool=default", "?tenant=shop", "?state=assigned"):
        answer = closed.send(who, "GET", f"/v1/addresses{query}")
        assert [item["address"] for item in answer.json["items"]] == ["10.64.0.1"]
        assert "next" not in answer.json
    for query in ("?pool=theirs-pool", "?tenant=rival", "?node=node-2"):
        assert closed.send(who, "GET", f"/v1/addresses{query}").json["items"] == []
    explained = closed.send(who, "GET", "/v1/addresses/10.64.0.1")
    assert explained.json["endpoint"] == "mine"
    assert [each for each in SECRETS if each in explained.text] == []
    assert closed.send(who, "GET", "/v1/addresses:check").status_code == 403


def test_a_tenant_sees_the_pools_that_it_may_use(closed: Guarded) -> None:
    pools = closed.send("shop", "GET", "/v1/pools").json["items"]
    assert [pool["name"] for pool in pools] == ["default", "ours"]
    nothing = closed.send("shop", "GET", "/v1/pools/nothing")
    theirs = closed.send("shop", "GET", "/v1/pools/theirs-pool")
    assert same_but_for(theirs, "theirs-pool", "nothing") == same_but_for(nothing, "", "")
    assert closed.send("shop", "GET", "/v1/pools/default/usage").status_code == 403


def test_a_tenant_sees_itself(closed: Guarded) -> None:
    assert [each["name"] for each in closed.send("shop", "GET", "/v1/tenants").json["items"]] == ["shop"]
    assert closed.send("shop", "GET", "/v1/tenants/shop").json["used_ipv4"] == 1
    nothing = closed.send("shop", "GET", "/v1/tenants/nothing")
    rival = closed.send("shop", "GET", "/v1/tenants/rival")
    assert same_but_for(rival, "rival", "nothing") == same_but_for(nothing, "", "")


def test_a_node_sees_itself(closed: Guarded) -> None:
    assert [each["name"] for each in closed.send("node-1", "GET", "/v1/nodes").json["items"]] == ["node-1"]
    assert closed.send("node-1", "GET", "/v1/nodes/node-1").status_code == 200
    nothing = closed.send("node-1", "GET", "/v1/nodes/nothing")
    other = closed.send("node-1", "GET", "/v1/nodes/node-2")
    assert same_but_for(other, "node-2", "nothing") == same_but_for(nothing, "", "")


def test_what_a_tenant_creates_is_its_own(closed: Guarded) -> None:
    for body in ({"id": "a"}, {"id": "b", "tenant": "shop"}):
        made = closed.made("/v1/endpoints", {"node": "node-1", **body}, who="shop")
        assert made["tenant"] == "shop"
    assert closed.send("rival", "GET", "/v1/endpoints/a").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": "new", "tenant": "rival"}, 422),
        ({"id": "new", "tenant": "nothing"}, 422),
        ({"id": "new", "node": "nothing"}, 422),
        ({"id": "new", "pool": "theirs-pool"}, 422),
        ({"id": "new", "pool": "nothing"}, 422),
        ({"id": "new", "address": "10.65.0.7"}, 422),
        ({"id": "new", "address": "10.64.0.2"}, 409),
        ({"id": "theirs"}, 409),
        ({"id": "nobodys"}, 409),
    ],
)
def test_a_refusal_tells_a_tenant_nothing_of_others(
    closed: Guarded, body: dict[str, str], status: int
) -> None:
    before = closed.stored()
    answer = closed.send("shop", "POST", "/v1/endpoints", {"node": "node-1", **body})
    assert answer.status_code == status, answer.text
    said = answer.text
    for given in body.values():
        said = said.replace(given, "")
    assert [each for each in SECRETS if each in said] == []
    assert closed.stored() == before


def test_a_tenant_that_does_not_exist_and_another_one_are_the_same(closed: Guarded) -> None:
    new = {"id": "new", "node": "node-1"}
    rival, nothing = (
        closed.send("shop", "POST", "/v1/endpoints", new | {"tenant": name}) for name in ("rival", "nothing")
    )
    assert same_but_for(rival, "rival", "nothing") == same_but_for(nothing, "", "")


def test_an_endpoint_that_others_are_deleting_is_just_taken(closed: Guarded) -> None:
    """The answers to a living and a dying endpoint of others are the same."""
    taken = closed.send("shop", "POST", "/v1/endpoints", {"id": "theirs", "node": "node-1"})
    attach(closed, "theirs", "node-2")
    assert closed.send("rival", "DELETE", "/v1/endpoints/theirs").status_code == 202
    dying = closed.send("shop", "POST", "/v1/endpoints", {"id": "theirs", "node": "node-1"})
    assert (dying.status_code, dying.json) == (taken.status_code, taken.json)


def attach(closed: Guarded, endpoint: str, node: str) -> None:
    """The node's agent holds the endpoint."""
    held = Attachment(
        endpoint=endpoint, node=node, addresses=(), netns="/run/netns/x", ifname="eth0", boot_id="b"
    )
    closed.store.txn([], [put(keys.ATTACHMENTS, held, node, endpoint)])


def test_a_full_pool_tells_a_tenant_no_figures(closed: Guarded) -> None:
    closed.made("/v1/pools", {"name": "small", "cidr": "10.67.0.0/31", "block_prefixlen": 31})
    for number in range(3):
        answer = closed.send(
            "rival", "POST", "/v1/endpoints", {"id": f"r{number}", "node": "node-2", "pool": "small"}
        )
    answer = closed.send("shop", "POST", "/v1/endpoints", {"node": "node-1", "pool": "small"})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/pool-full")
    assert "figures" not in answer.json
    told = closed.send(ROOT, "POST", "/v1/endpoints", {"node": "node-1", "pool": "small"})
    assert "figures" in told.json


def test_a_tenant_that_moves_to_nowhere_learns_no_node(closed: Guarded) -> None:
    answer = closed.send("shop", "PATCH", "/v1/endpoints/mine", {"node": "nothing"})
    assert answer.status_code == 422
    assert "node-" not in answer.text


def test_a_tenant_cannot_give_itself_away(closed: Guarded) -> None:
    before = closed.stored()
    assert closed.send("shop", "PATCH", "/v1/endpoints/mine", {"tenant": "rival"}).status_code == 422
    assert closed.send("shop", "PATCH", "/v1/endpoints/mine", {"tenant": None}).status_code == 422
    assert closed.stored() == before


def test_a_node_creates_on_itself_only(closed: Guarded) -> None:
    made = closed.made("/v1/endpoints", {"id": "a", "node": "node-1", "tenant": "shop"}, who="node-1")
    assert made["node"] == "node-1"
    before = closed.stored()
    other, nothing = (
        closed.send("node-1", "POST", "/v1/endpoints", {"id": "b", "node": name})
        for name in ("node-2", "nothing")
    )
    assert other.status_code == 422
    assert same_but_for(other, "node-2", "nothing") == same_but_for(nothing, "", "")
    taken = closed.send("node-1", "POST", "/v1/endpoints", {"id": "theirs", "node": "node-1"})
    assert taken.status_code == 409
    assert "node-2" not in taken.text
    assert "10.64" not in taken.text
    assert closed.stored() == before


def test_an_endpoint_that_moved_away_is_its_old_nodes_no_more(closed: Guarded) -> None:
    assert closed.send("shop", "PATCH", "/v1/endpoints/mine", {"node": "node-2"}).status_code == 200
    assert closed.send("node-1", "GET", "/v1/endpoints/mine").status_code == 404
    assert closed.send("node-1", "DELETE", "/v1/endpoints/mine").status_code == 404
    assert closed.send("node-2", "GET", "/v1/endpoints/mine").status_code == 200
    assert closed.send("node-1", "GET", "/v1/addresses/10.64.0.1").status_code == 404


def test_a_tenant_with_a_token_is_not_deleted(closed: Guarded) -> None:
    closed.made("/v1/tenants", {"name": "empty"})
    closed.made("/v1/tokens", {"name": "t", "role": "tenant", "tenant": "empty"})
    assert closed.send(ROOT, "DELETE", "/v1/tenants/empty").status_code == 409
    closed.send(ROOT, "DELETE", "/v1/tokens/t")
    assert closed.send(ROOT, "DELETE", "/v1/tenants/empty").status_code == 204


def events(answer: Any) -> Iterator[tuple[str, Any]]:
    """Type and data of each event of a stream that has some."""
    for piece in answer.iter_encoded():
        for block in piece.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if "data" in fields:
                yield fields["event"], json.loads(fields["data"])


@pytest.mark.parametrize("who", ["shop", "node-1"])
def test_a_watch_tells_its_own_only_and_ends_with_its_token(closed: Guarded, who: str) -> None:
    headers = {"Authorization": f"Bearer {closed.texts[who]}"}
    answer = closed.client.get("/v1/endpoints?watch=sse", headers=headers, buffered=False)
    told = events(answer)
    kind, item = next(told)
    assert (kind, item["id"]) == ("put", "mine")
    assert next(told)[0] == "sync"
    for tenant, node in (("rival", "node-2"), ("shop", "node-1")):
        closed.made("/v1/endpoints", {"id": f"{tenant}-new", "node": node, "tenant": tenant})
    closed.send("rival", "DELETE", "/v1/endpoints/theirs")
    closed.send(ROOT, "DELETE", "/v1/endpoints/shop-new")
    assert [(kind, item["id"]) for kind, item in (next(told), next(told))] == [
        ("put", "shop-new"),
        ("delete", "shop-new"),
    ]
    assert closed.send(ROOT, "DELETE", f"/v1/tokens/{who}").status_code == 204
    closed.made("/v1/endpoints", {"id": "later", "node": "node-1", "tenant": "shop"})
    assert next(told)[0] == "closing"
    answer.close()


def test_an_event_about_others_is_not_there(closed: Guarded) -> None:
    for tenant, node in (("shop", "node-1"), ("rival", "node-2"), (None, None)):
        closed.parts.events.record(
            Severity.INFO, "pool-full", "pool", "default", "for a test", tenant=tenant, node=node
        )
    for who in ("shop", "node-1"):
        told = closed.send(who, "GET", "/v1/events").json["items"]
        assert [(event["tenant"], event["node"]) for event in told] == [("shop", "node-1")]
    assert len(closed.send(ROOT, "GET", "/v1/events").json["items"]) >= 3


def test_a_batch_tells_a_tenant_nothing_of_others(closed: Guarded) -> None:
    items = [
        {"id": "new", "node": "node-1"},
        {"id": "theirs", "node": "node-1"},
        {"id": "x", "node": "node-1", "pool": "theirs-pool"},
    ]
    answer = closed.send("shop", "POST", "/v1/endpoints:batch", {"items": items})
    assert [item["status"] for item in answer.json["items"]] == [201, 409, 422]
    said = answer.text.replace("theirs-pool", "").replace("theirs", "")
    assert [each for each in ("rival", "10.65.", "node-2", "10.64.0.2") if f"{each}" in said] == []
    assert answer.json["items"][0]["endpoint"]["tenant"] == "shop"


def test_many_are_deleted_of_a_tenants_own_only(closed: Guarded) -> None:
    items = [{"id": name} for name in ("theirs", "mine", "nobody")]
    answer = closed.send("shop", "POST", "/v1/endpoints:release", {"items": items})
    theirs, mine, nobody = answer.json["items"]
    assert (theirs["status"], mine["status"], answer.json["refused"]) == (404, 204, 2)
    assert theirs["problem"]["detail"].replace("theirs", "nobody") == nobody["problem"]["detail"]
    assert [each["id"] for each in closed.send("rival", "GET", "/v1/endpoints").json["items"]] == ["theirs"]


def test_the_same_idempotency_key_of_two_tenants_makes_two_things(closed: Guarded) -> None:
    key = {"Idempotency-Key": "the-same"}
    one, other = (
        closed.send(who, "POST", "/v1/endpoints", {"node": "node-1"}, **key) for who in ("shop", "rival")
    )
    assert (one.status_code, other.status_code) == (201, 201)
    assert one.json["id"] != other.json["id"]
    again = closed.send("shop", "POST", "/v1/endpoints", {"node": "node-1"}, **key)
    assert (again.status_code, again.json["id"]) == (200, one.json["id"])


def test_a_tenant_cannot_set_communities_and_leaves_those_that_are_set(closed: Guarded) -> None:
    web = {"name": "web", "pool": "default", "tenant": "shop", "selector": {"app": "web"}}
    steered = {**web, "communities": ["65535:666"]}
    for method, path, head in (
        ("POST", "/v1/services", {}),
        ("PUT", "/v1/services/web", {"If-None-Match": "*"}),
    ):
        refused = closed.send("shop", method, path, steered, **head)
        assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (403, "/communities"), method
    closed.made("/v1/services", {**web, "communities": ["64500:1"]})
    again = closed.send("shop", "POST", "/v1/services", {**web, "communities": ["64500:1"]})
    assert (again.status_code, again.json["communities"]) == (200, ["64500:1"]), "nothing is changed by it"
    for method, body in (("PATCH", {"communities": []}), ("PUT", steered)):
        refused = closed.send("shop", method, "/v1/services/web", body, **{"If-Match": "*"})
        assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (403, "/communities")
    changed = closed.send(
        "shop", "PUT", "/v1/services/web", {**web, "selector": {"app": "shop"}}, **{"If-Match": "*"}
    )
    assert (changed.status_code, changed.json["communities"]) == (200, ["64500:1"])
    again = closed.send("shop", "PATCH", "/v1/services/web", {"selector": {"app": "web"}})
    assert (again.status_code, again.json["communities"]) == (200, ["64500:1"])


def test_a_tenant_cannot_set_its_own_limits(closed: Guarded) -> None:
    qos = {"egress_rate_kbps": 1000}
    for method, path, body in (
        ("POST", "/v1/endpoints", {"id": "more", "node": "node-1", "qos": qos}),
        ("PATCH", "/v1/endpoints/mine", {"qos": qos}),
    ):
        refused = closed.send("shop", method, path, body)
        assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (403, "/qos")
    closed.made("/v1/endpoints", {"id": "limited", "node": "node-1", "tenant": "shop", "qos": qos})
    assert closed.send("shop", "PATCH", "/v1/endpoints/limited", {"qos": None}).status_code == 403
    again = closed.send("shop", "PATCH", "/v1/endpoints/limited", {"labels": {"a": "b"}})
    assert (again.status_code, again.json["qos"]) == (200, qos)
