"""Services: an address of a pool that no endpoint ever has, from its creation to the end of its cooldown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from controller.ipam.orphans import free_orphans
from controller.reading import put, read
from controller.withdrawing import Withdrawals
from store import keys
from store.client import Delete, Put
from store.model import (
    Advertised,
    Alive,
    Backend,
    Health,
    IPNetwork,
    Lost,
    Program,
    Ready,
    Role,
    Value,
    Withdrawing,
    host_prefix,
)
from store.model.value import parse_address
from tests.support.ipam import check
from tests.unit.controller.conftest import NOW, Api
from tests.unit.controller.guarded import Guarded, guarded

WEB: dict[str, Any] = {"name": "web", "pool": "default", "selector": {"app": "web"}}
SEGMENT = {"vlan": 120, "uplink": "eth1"}
CHECK = {"kind": "http", "port": 80, "path": "/ready"}
FIRST = "10.64.0.4"
"""What the plant's pool gives a service: the first of its last block."""


def test_a_service_gets_an_address_once(plant: Api) -> None:
    made = plant.made("/v1/services", {**WEB, "check": CHECK})
    assert (made["address"], made["check"]["interval_s"]) == (FIRST, 2)
    before = plant.stored()
    for again in ({**WEB, "check": CHECK}, {**WEB, "check": CHECK, "address": FIRST}):
        repeated = plant.send("POST", "/v1/services", again)
        assert (repeated.status_code, repeated.json) == (200, made)
    for other in ({**WEB, "address": "10.64.0.5"}, {**WEB, "selector": {"app": "x"}}):
        refused = plant.send("POST", "/v1/services", {"check": CHECK, **other})
        assert (refused.status_code, refused.json["type"]) == (409, "/problems/conflict")
    assert plant.stored() == before
    assert plant.get("/v1/services")["items"] == [made]
    check(plant.store)


def test_a_services_address_is_nobody_elses(plant: Api) -> None:
    plant.made("/v1/services", {**WEB, "address": "10.64.0.2"})
    got = [plant.made("/v1/endpoints", {"node": "node-1"})["addresses"][0] for _ in range(5)]
    assert sorted(got) == ["10.64.0.1", "10.64.0.3", "10.64.0.4", "10.64.0.5", "10.64.0.6"]
    assert plant.send("POST", "/v1/endpoints", {"node": "node-1"}).json["type"] == "/problems/pool-full"
    asked = plant.send("POST", "/v1/endpoints", {"node": "node-1", "address": "10.64.0.2"})
    assert "assigned to service web" in asked.json["detail"]
    for name, address in (("a", "10.64.0.2"), ("b", got[0])):
        refused = plant.send("POST", "/v1/services", {**WEB, "name": name, "address": address})
        assert (refused.status_code, refused.json["type"]) == (409, "/problems/address-in-use")
    refused = plant.send("POST", "/v1/services", {**WEB, "name": "c"})
    assert (refused.status_code, refused.json["type"]) == (409, "/problems/pool-full")
    assert plant.get("/v1/addresses:check")["findings"] == []


def test_nodes_come_from_the_start_and_services_from_the_end(plant: Api) -> None:
    plant.made("/v1/pools", {"name": "big", "cidr": "10.65.0.0/16", "reserved": ["10.65.255.0/24"]})
    assert plant.made("/v1/services", {**WEB, "pool": "big"})["address"] == "10.65.254.192"
    plant.made("/v1/pools", {"name": "six", "cidr": "2001:db8::/32", "reserved": ["2001:db8:8000::/33"]})
    six = plant.made("/v1/services", {**WEB, "name": "six", "pool": "six"})["address"]
    assert six == "2001:db8:7fff:ffff:ffff:ffff:ffff:ffc0"


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"selector": {}}, "/selector", "at least 1"),
        ({"selector": None}, "/selector", "expected an object"),
        ({"pool": "nope"}, "/pool", "there is no pool 'nope'"),
        ({"pool": "off"}, "/pool", "disabled"),
        ({"pool": "red"}, "/pool", "for tenant red only"),
        ({"pool": "disks"}, "/pool", "is on segment 120@eth1, and services are announced to routers"),
        ({"tenant": "blue"}, "/tenant", "there is no tenant 'blue'"),
        ({"tenant": "bank"}, "/tenant", "is on segment 120@eth1, and no endpoint there takes packets"),
        ({"address": "10.99.0.1"}, "/address", "not in 10.64.0.0/29"),
        ({"address": "10.64.0.0"}, "/address", "first or last"),
        ({"address": "x"}, "/address", "not an IPv4 or IPv6 address"),
        ({"check": {"kind": "icmp", "port": 1}}, "/check/kind", "'tcp' or 'http'"),
        ({"check": {"kind": "tcp"}}, "/check/port", "is required"),
        ({"check": {"kind": "tcp", "port": 80, "path": "/"}}, "/check", "path is for kind http"),
        ({"check": {"kind": "http", "port": 80, "path": "a b"}}, "/check/path", "expected"),
        ({"check": {"kind": "tcp", "port": 80, "timeout_s": 3}}, "/check", "timeout_s is at most"),
        ({"check": {"kind": "tcp", "port": 80, "retries": 3}}, "/check/retries", "unknown field"),
        ({"communities": ["x"]}, "/communities/0", "not a community"),
    ],
)
def test_what_is_wrong_is_named(plant: Api, change: dict[str, Any], pointer: str, words: str) -> None:
    plant.made("/v1/tenants", {"name": "red"})
    plant.made("/v1/tenants", {"name": "bank", "segment": SEGMENT})
    plant.made("/v1/pools", {"name": "disks", "cidr": "10.73.0.0/24", "segment": SEGMENT})
    plant.made("/v1/pools", {"name": "off", "cidr": "10.70.0.0/24", "disabled": True})
    plant.made("/v1/pools", {"name": "red", "cidr": "10.71.0.0/24", "tenant": "red"})
    before = plant.stored()
    refused = plant.send("POST", "/v1/services", {**WEB, **change})
    assert (refused.status_code, refused.json["type"]) == (422, "/problems/invalid"), refused.json
    (error,) = refused.json["errors"]
    assert error["pointer"].startswith(pointer)
    assert words in error["detail"]
    assert plant.stored() == before


def test_what_can_change_is_changed(plant: Api) -> None:
    made = plant.made("/v1/services", {**WEB, "check": CHECK})
    changed = plant.send("PATCH", "/v1/services/web", {"check": {"interval_s": 5}, "selector": {"tier": "a"}})
    assert changed.json == {
        **made,
        "check": {**made["check"], "interval_s": 5},
        "selector": {"app": "web", "tier": "a"},
    }
    assert plant.send("PATCH", "/v1/services/web", {"check": None}).json["check"] is None
    for fixed in ("pool", "address", "tenant", "name"):
        value = "10.64.0.5" if fixed == "address" else "other"
        refused = plant.send("PATCH", "/v1/services/web", {fixed: value})
        assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (422, f"/{fixed}")


def test_put_keeps_the_address_and_heeds_the_precondition(plant: Api) -> None:
    def send(body: dict[str, Any], **headers: str) -> Any:
        return plant.client.put("/v1/services/web", json=body, headers=headers)

    assert send(WEB).status_code == 428
    made = send(WEB, **{"If-None-Match": "*"})
    assert (made.status_code, made.json["address"]) == (201, FIRST)
    again = send({**WEB, "communities": ["64500:1"]}, **{"If-Match": made.headers["ETag"]})
    assert (again.status_code, again.json["address"], again.json["communities"]) == (200, FIRST, ["64500:1"])
    assert send(WEB, **{"If-Match": made.headers["ETag"]}).status_code == 412
    moved = send({**WEB, "address": "10.64.0.5"}, **{"If-Match": "*"})
    assert (moved.status_code, moved.json["errors"][0]["pointer"]) == (422, "/address")


def test_a_deleted_services_address_cools_down(plant: Api) -> None:
    plant.made("/v1/services", WEB)
    stale = plant.client.delete("/v1/services/web", headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert plant.send("DELETE", "/v1/services/web").status_code == 204
    assert plant.send("DELETE", "/v1/services/web").status_code == 404
    told = plant.get(f"/v1/addresses/{FIRST}")
    assert told["frees"] == "Its withdrawal, within a second, then 5 s of cooldown."
    refused = plant.send("POST", "/v1/services", {**WEB, "name": "b", "address": FIRST})
    assert "is being withdrawn after service web" in refused.json["detail"]
    _withdrawal(plant).look()
    told = plant.get(f"/v1/addresses/{FIRST}")
    assert (told["state"], told["service"], told["endpoint"]) == ("cooldown", "web", None)
    assert "when service web was gone" in " ".join(told["sentences"])
    refused = plant.send("POST", "/v1/services", {**WEB, "name": "b", "address": FIRST})
    assert "cools down after service web" in refused.json["detail"]
    assert plant.made("/v1/services", {**WEB, "name": "c"})["address"] == "10.64.0.5"
    plant.wait(7)
    assert plant.made("/v1/services", {**WEB, "name": "d", "address": FIRST})


def _withdrawal(plant: Api) -> Withdrawals:
    return Withdrawals(plant.store, plant.parts.committer, plant.parts.clock)


def _announced_by(node: str) -> Put:
    prefix = host_prefix(parse_address(FIRST))
    return put(keys.ADVERTISED, Advertised(prefix=prefix, node=node, peers=("tor",)), node, prefix)


def test_it_cools_down_once_nobody_announces_it(plant: Api) -> None:
    plant.made("/v1/services", WEB)
    announced = _announced_by("node-2")
    plant.store.txn([], [announced, put(keys.LOST, Lost(node="node-2", since=NOW), "node-2")])
    duty = _withdrawal(plant)

    assert plant.send("DELETE", "/v1/services/web").status_code == 204
    assert duty.look().again_s < 1
    plant.wait(100)
    told = plant.get(f"/v1/addresses/{FIRST}")
    assert (told["state"], told["free_at"], told["held_by"]) == ("cooldown", None, ["node-2"])
    assert "when service web was deleted; announced still by node-2." in told["why"]
    assert "No program of node node-2 lives" in told["why"]
    assert told["frees"].startswith("That node node-2 comes back and withdraws it, or stays away until ")
    assert told["frees"].endswith(", then 5 s of cooldown.")
    refused = plant.send("POST", "/v1/services", {**WEB, "address": FIRST})
    assert (refused.status_code, refused.json["type"]) == (409, "/problems/address-in-use")
    assert plant.get("/v1/addresses:check")["findings"] == []

    plant.store.txn([], [Delete(announced.key)])
    duty.look()
    assert duty.look().again_s > 1
    assert plant.get(f"/v1/addresses/{FIRST}")["free_at"] is not None
    plant.wait(7)
    assert plant.made("/v1/services", {**WEB, "address": FIRST})


def test_while_one_announces_it_the_other_nodes_are_left_alone(
    plant: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node may be cut off for a day, and it is looked at each half second."""
    plant.made("/v1/services", WEB)
    plant.store.txn([], [_announced_by("node-2")])
    duty = _withdrawal(plant)
    plant.send("DELETE", "/v1/services/web")
    duty.look()
    asked: list[str] = []

    def listed(prefix: str, *args: Any, of: Any = plant.store.range, **named: Any) -> Any:
        asked.append(prefix)
        return of(prefix, *args, **named)

    monkeypatch.setattr(plant.store, "range", listed)
    duty.look()
    assert asked == [keys.WITHDRAWING.prefix()]
    plant.store.txn([], [_announced_by("node-1"), Delete(_announced_by("node-2").key)])
    duty.look()
    assert keys.NODES.prefix() in asked
    assert plant.get(f"/v1/addresses/{FIRST}")["held_by"] == ["node-1"]


def test_one_that_cannot_be_read_keeps_no_other_from_its_cooldown(plant: Api) -> None:
    for name, address in (("web", FIRST), ("b", "10.64.0.5")):
        plant.made("/v1/services", {**WEB, "name": name, "address": address})
        assert plant.send("DELETE", f"/v1/services/{name}").status_code == 204
    held = next(each for each in plant.store.range(keys.ADDRESSES.prefix()).items if FIRST in each.key)
    plant.store.txn([], [Put(held.key, b"{")])
    _withdrawal(plant).look()
    assert plant.get("/v1/addresses/10.64.0.5")["free_at"] is not None
    assert plant.store.get(held.key) is not None, "it stays as it is for people to look at"


def test_without_a_cooldown_it_is_free_once_nobody_announces_it(plant: Api) -> None:
    plant.send("PATCH", "/v1/pools/default", {"cooldown_s": 0})
    plant.made("/v1/services", WEB)
    announced = _announced_by("node-2")
    plant.store.txn([], [announced])
    duty = _withdrawal(plant)
    plant.send("DELETE", "/v1/services/web")
    duty.look()
    told = plant.get(f"/v1/addresses/{FIRST}")
    assert told["frees"] == "That node node-2 withdraws it."
    plant.store.txn([], [Delete(announced.key)])
    duty.look()
    assert plant.get(f"/v1/addresses/{FIRST}")["state"] == "free"
    assert plant.store.range(keys.WITHDRAWING.prefix()).items == ()


def test_a_node_that_is_deleted_announces_nothing(plant: Api) -> None:
    plant.made("/v1/services", WEB)
    plant.store.txn([], [_announced_by("node-2")])
    plant.send("DELETE", "/v1/services/web")
    duty = _withdrawal(plant)
    duty.look()
    assert plant.get(f"/v1/addresses/{FIRST}")["free_at"] is None
    assert plant.send("DELETE", "/v1/nodes/node-2").status_code == 204
    duty.look()
    assert plant.get(f"/v1/addresses/{FIRST}")["free_at"] is not None


def test_one_that_somebody_has_again_is_waited_for_no_more(plant: Api) -> None:
    """After a restored backup an endpoint may hold it."""
    plant.made("/v1/endpoints", {"id": "a", "node": "node-1", "address": FIRST})
    mark = put(
        keys.WITHDRAWING,
        Withdrawing(pool="default", address=parse_address(FIRST)),
        "default",
        FIRST,
    )
    plant.store.txn([], [mark, _announced_by("node-1")])
    _withdrawal(plant).look()
    assert plant.store.range(keys.WITHDRAWING.prefix()).items == ()
    assert plant.get(f"/v1/addresses/{FIRST}")["state"] == "assigned"


def test_what_it_is_of_stays_as_long_as_it(plant: Api) -> None:
    plant.made("/v1/tenants", {"name": "red", "max_ipv4": 1})
    plant.made("/v1/services", {**WEB, "tenant": "red"})
    assert plant.get("/v1/tenants/red")["used_ipv4"] == 1
    over = plant.send("POST", "/v1/services", {**WEB, "name": "b", "tenant": "red"})
    assert (over.status_code, over.json["type"]) == (409, "/problems/over-quota")
    assert "(service web)" in plant.send("DELETE", "/v1/pools/default").json["detail"]
    assert plant.send("DELETE", "/v1/tenants/red").json["type"] == "/problems/in-use"
    plant.send("DELETE", "/v1/services/web")
    assert plant.get("/v1/tenants/red")["used_ipv4"] == 0
    assert plant.send("DELETE", "/v1/tenants/red").status_code == 204
    check(plant.store)


def test_an_address_says_whose_it_is(plant: Api) -> None:
    plant.made("/v1/services", WEB)
    told = plant.get(f"/v1/addresses/{FIRST}")
    assert (told["state"], told["available"], told["service"], told["node"]) == (
        "assigned",
        False,
        "web",
        None,
    )
    text = " ".join(told["sentences"])
    assert "It is assigned to service web since" in text
    assert "polder service delete web, then 5 s of cooldown" in text
    assert plant.get("/v1/addresses")["items"][0]["service"] == "web"
    plant.made("/v1/endpoints", {"id": "a", "node": "node-1", "address": "10.64.0.5"})
    plan = plant.get("/v1/pools/default/plan")
    assert plan["moves"] == []
    assert all(each["endpoints"] == ["a"] for each in plan["sparse"])


def test_a_node_goes_whose_block_holds_a_services_address(plant: Api) -> None:
    plant.made("/v1/services", WEB)
    plant.made("/v1/endpoints", {"id": "a", "node": "node-1", "address": "10.64.0.5"})
    plant.send("DELETE", "/v1/endpoints/a")
    assert plant.send("DELETE", "/v1/nodes/node-1").status_code == 204
    assert plant.get(f"/v1/addresses/{FIRST}")["service"] == "web"
    assert plant.get("/v1/addresses:check")["findings"] == []


def test_check_and_reclaim_know_services(plant: Api) -> None:
    plant.made("/v1/services", WEB)
    assert plant.get("/v1/addresses:check")["findings"] == []
    assert free_orphans(plant.store, plant.parts.committer) == []
    plant.store.txn([], [Delete(keys.SERVICES.key("web"))])
    (found,) = plant.get("/v1/addresses:check")["findings"]
    assert found["kind"] == "address-without-service"
    (freed,) = free_orphans(plant.store, plant.parts.committer)
    assert freed.service == "web"
    assert plant.get(f"/v1/addresses/{FIRST}")["state"] == "free"
    plant.made("/v1/services", WEB)
    plant.store.txn([], [Delete(keys.ADDRESSES.key("default", "10.64.0.4/30", FIRST))])
    (found,) = plant.get("/v1/addresses:check")["findings"]
    assert (found["kind"], found["severity"]) == ("service-without-address", "alarm")


def test_what_nodes_say_is_shown(plant: Api) -> None:
    plant.made("/v1/services", WEB)
    shown = plant.get("/v1/services/web")
    assert (shown["healthy"], shown["endpoints"], shown["nodes"]) == (False, [], [])
    assert "no endpoint" in shown["why"]
    prefix: IPNetwork = host_prefix(parse_address(FIRST))
    said = {
        "node-1": (Backend(endpoint="a", healthy=True),),
        "node-2": (Backend(endpoint="b", healthy=False, why="tcp 80: connection refused"),),
    }
    for node, backends in said.items():
        _say(
            plant, node, keys.HEALTH, Health(service="web", node=node, boot_id="x", backends=backends), "web"
        )
    assert "no node with a healthy endpoint has its route" in plant.get("/v1/services/web")["why"]
    alive = Alive(node="node-1", program=Program.AGENT, boot_id="x", started=NOW)
    plant.store.txn([], [put(keys.ALIVE, alive, "node-1", "agent")])
    _say(plant, "node-1", keys.READY, Ready(prefix=prefix, node="node-1", boot_id="x"), prefix)
    _say(plant, "node-1", keys.ADVERTISED, Advertised(prefix=prefix, node="node-1", peers=("tor-a",)), prefix)
    shown = plant.get("/v1/services/web")
    assert (shown["healthy"], shown["why"]) == (True, "")
    assert shown["endpoints"] == [
        {"endpoint": "a", "node": "node-1", "healthy": True, "why": ""},
        {"endpoint": "b", "node": "node-2", "healthy": False, "why": "tcp 80: connection refused"},
    ]
    assert shown["nodes"] == [
        {"node": "node-1", "ready": True, "peers": ["tor-a"], "stale": False},
        {"node": "node-2", "ready": False, "peers": [], "stale": True},
    ]
    _say(plant, "node-1", keys.READY, Ready(prefix=prefix, node="node-1", boot_id="before"), prefix)
    assert not plant.get("/v1/services/web")["healthy"], "it was said before the node's last boot"


def _say(api: Api, node: str, kind: keys.Kind[Any], value: Value, part: object) -> None:
    api.store.txn([], [put(kind, value, node, part)])


@pytest.fixture
def closed() -> Iterator[Guarded]:
    """Two tenants with their bearers, and a service of each."""
    with guarded() as made:
        made.made("/v1/pools", {"name": "default", "cidr": "10.64.0.0/24"})
        for tenant in ("shop", "rival"):
            made.made("/v1/tenants", {"name": tenant})
            made.give(tenant, Role.TENANT, tenant=tenant)
            made.made("/v1/services", {**WEB, "name": f"of-{tenant}"}, tenant)
        made.made("/v1/services", {**WEB, "name": "of-nobody"})
        yield made


def test_a_tenant_has_its_own_services_only(closed: Guarded) -> None:
    (mine,) = closed.send("shop", "GET", "/v1/services").json["items"]
    assert (mine["name"], mine["tenant"]) == ("of-shop", "shop")
    before = closed.stored()
    for method, body in (("GET", None), ("PATCH", {"selector": {"a": "b"}}), ("DELETE", None)):
        absent = closed.send("shop", method, "/v1/services/of-nothing", body)
        for name in ("of-rival", "of-nobody"):
            answer = closed.send("shop", method, f"/v1/services/{name}", body)
            assert answer.status_code == 404
            assert answer.text.replace(name, "of-nothing") == absent.text
    taken = closed.send("shop", "POST", "/v1/services", {**WEB, "name": "of-rival"})
    assert (taken.status_code, taken.json["type"]) == (409, "/problems/conflict")
    assert "rival" not in taken.json["detail"].replace("of-rival", "")
    other = closed.send("shop", "POST", "/v1/services", {**WEB, "name": "x", "tenant": "rival"})
    assert (other.status_code, other.json["errors"][0]["pointer"]) == (422, "/tenant")
    assert closed.stored() == before
    assert closed.send("shop", "DELETE", "/v1/services/of-shop").status_code == 204
    assert read(closed.store, keys.SERVICES, "of-shop") is None
