"""Which pool serves: by family, tenant, labels, priority; what is reserved, disabled, borrowed and full."""

from __future__ import annotations

from typing import Any

import pytest

from controller.reading import read, scan
from store import keys
from tests.support.ipam import check
from tests.unit.controller.conftest import Api

V4 = {"name": "v4", "cidr": "10.70.0.0/24", "priority": 50}
V6 = {"name": "v6", "cidr": "2001:db8::/64"}
BOTH = ["ipv4", "ipv6"]


@pytest.fixture
def racks(api: Api) -> Api:
    """Pools of both families, one for a tenant, one for a rack, one disabled; a node in the rack, one not."""
    api.made("/v1/tenants", {"name": "red"})
    api.made("/v1/nodes", {"name": "n1", "asn": 64512, "labels": {"rack": "a"}})
    api.made("/v1/nodes", {"name": "n2", "asn": 64513})
    api.made("/v1/pools", V4)
    api.made("/v1/pools", V6)
    api.made("/v1/pools", {"name": "red4", "cidr": "10.71.0.0/24", "tenant": "red", "priority": 300})
    api.made("/v1/pools", {"name": "rack4", "cidr": "10.72.0.0/24", "node_selector": {"rack": "a"}})
    api.made("/v1/pools", {"name": "off4", "cidr": "10.73.0.0/24", "disabled": True, "priority": 999})
    return api


def asked(api: Api, body: dict[str, Any]) -> Any:
    """What a request is given; the store then obeys the rules."""
    made = api.made("/v1/endpoints", body)
    check(api.store)
    return made


@pytest.mark.parametrize(
    ("body", "pools"),
    [
        ({"node": "n1"}, ["rack4"]),
        ({"node": "n2"}, ["v6"]),
        ({"node": "n2", "families": ["ipv4"]}, ["v4"]),
        ({"node": "n1", "families": ["ipv6", "ipv4"]}, ["rack4", "v6"]),
        ({"node": "n2", "tenant": "red"}, ["red4"]),
        ({"node": "n2", "pools": ["v6", "v4"]}, ["v4", "v6"]),
        ({"node": "n1", "pool": "v4", "families": BOTH}, ["v4", "v6"]),
        ({"node": "n1", "address": "10.70.0.9"}, ["v4"]),
        ({"node": "n1", "addresses": ["2001:db8::9", "10.70.0.9"]}, ["v4", "v6"]),
        ({"node": "n1", "addresses": ["2001:db8::9"], "pools": ["v6", "v4"]}, ["v4", "v6"]),
    ],
)
def test_the_best_pool_that_fits_serves(racks: Api, body: dict[str, Any], pools: list[str]) -> None:
    made = asked(racks, {"id": "a", **body})
    assert made["pools"] == pools
    assert set(body.get("addresses", [])) <= set(made["addresses"])
    again = racks.send("POST", "/v1/endpoints", {"id": "a", **body})
    assert (again.status_code, again.json) == (200, made)


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ({"pool": "red4"}, "/pool", "is for tenant red only"),
        ({"pools": ["v6", "red4"]}, "/pools/1", "is for tenant red only"),
        ({"pool": "off4"}, "/pool", "is disabled"),
        ({"pool": "rack4"}, "/pool", "is for nodes with rack=a, which n2 has not"),
        ({"pool": "v5"}, "/pool", "there are"),
        ({"pools": ["v4", "off4"]}, "/pools/1", "a second IPv4 pool"),
        ({"pool": "v6", "families": ["ipv4"]}, "/pool", "is IPv6, and families asks for IPv4"),
        ({"pool": "v6", "address": "10.70.0.9"}, "/address", "use one of 2001:db8::/64"),
        ({"address": "10.73.0.9"}, "/address", "pool off4, which is disabled"),
        ({"address": "10.71.0.9"}, "/address", "pool red4, which is for tenant red"),
        ({"address": "10.70.0.0"}, "/address", "first or last of 10.70.0.0/24"),
        ({"addresses": ["10.70.0.1", "10.70.0.2"]}, "/addresses/1", "only one fits"),
        ({"addresses": ["192.0.2.1"]}, "/addresses/0", "is in no pool"),
        ({"address": "2001:db8::9", "families": ["ipv4"]}, "/address", "make them agree"),
        ({"tenant": "blue"}, "/tenant", "there is red"),
        ({"pool": "v4", "pools": ["v6"]}, "/pool", "give one of the two"),
        ({"address": "10.70.0.1", "addresses": ["10.70.0.2"]}, "/address", "give one of the two"),
        ({"families": ["ipv4", "ipv4"]}, "/families", "each once"),
        ({"families": ["ipv5"]}, "/families/0", "ipv4"),
        ({"families": ["ipv4", "ipv6", "ipv4"]}, "/families", "at most 2"),
    ],
)
def test_a_choice_that_cannot_serve_is_refused(
    racks: Api, body: dict[str, Any], pointer: str, says: str
) -> None:
    before = racks.stored()
    answer = racks.send("POST", "/v1/endpoints", {"node": "n2", **body})
    assert answer.status_code == 422, answer.text
    assert says in {error["pointer"]: error["detail"] for error in answer.json["errors"]}[pointer]
    assert racks.stored() == before


def test_when_no_pool_fits_it_says_why_of_each(racks: Api) -> None:
    racks.send("PATCH", "/v1/pools/v4", {"disabled": True})
    answer = racks.send("POST", "/v1/endpoints", {"node": "n2", "families": ["ipv4"]})
    assert answer.status_code == 422
    for reason in (
        "v6 is IPv6",
        "v4 is disabled",
        "red4 is for tenant red",
        "rack4 is for nodes with rack=a",
    ):
        assert reason in answer.json["detail"]


def test_a_full_pool_gives_way_to_the_next(racks: Api) -> None:
    racks.made("/v1/pools", {"name": "small", "cidr": "10.80.0.0/30", "priority": 500})
    given = [asked(racks, {"node": "n2", "families": ["ipv4"]})["pools"] for _ in range(4)]
    assert given == [["small"], ["small"], ["v4"], ["v4"]]


def test_when_every_pool_is_full_it_says_so_of_each(plant: Api) -> None:
    for _ in range(6):
        asked(plant, {"node": "node-1"})
    plant.made("/v1/pools", {"name": "off", "cidr": "10.99.0.0/24", "disabled": True})
    answer = plant.send("POST", "/v1/endpoints", {"node": "node-1"})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/pool-full")
    assert "pool default (10.64.0.0/29) has no unclaimed block" in answer.json["detail"]
    assert "off is disabled" in answer.json["detail"]


def test_both_families_or_neither(racks: Api) -> None:
    racks.made("/v1/pools", {"name": "one", "cidr": "10.80.0.0/32"})
    made = asked(racks, {"node": "n1", "pools": ["one", "v6"]})
    assert made["addresses"] == ["10.80.0.0", "2001:db8::1"]
    assert made["gateways"] == ["169.254.1.1", "fe80::1"]
    assert made["mac"] == "02:70:0a:50:00:00"
    answer = racks.send("POST", "/v1/endpoints", {"node": "n1", "pools": ["one", "v6"]})
    assert answer.json["type"] == "/problems/pool-full"
    assert len(scan(racks.store, keys.ADDRESSES).items) == 2
    assert asked(racks, {"node": "n1", "pool": "v6"})["addresses"] == ["2001:db8::2"], "it was put back"


def test_each_address_cools_down_as_its_own_pool_says(racks: Api) -> None:
    racks.send("PATCH", "/v1/pools/v4", {"cooldown_s": 0})
    racks.send("PATCH", "/v1/pools/v6", {"cooldown_s": 5})
    asked(racks, {"node": "n1", "id": "a", "pools": ["v4", "v6"]})
    assert racks.send("DELETE", "/v1/endpoints/a").status_code == 204
    assert racks.get("/v1/addresses/10.70.0.1")["state"] == "free"
    assert racks.get("/v1/addresses/2001:db8::1")["state"] == "cooldown"
    racks.wait(7)
    assert racks.get("/v1/addresses/2001:db8::1")["state"] == "free"


def test_who_asked_is_written_with_the_address(racks: Api) -> None:
    racks.client.post(
        "/v1/endpoints",
        json={"node": "n2", "id": "a", "tenant": "red", "pool": "v4"},
        headers={"X-Request-Id": "r-1"},
    )
    held = scan(racks.store, keys.ADDRESSES).values[0]
    assert (held.tenant, held.by, held.request) == ("red", "anybody", "r-1")


def test_what_is_reserved_is_not_assigned_but_stays_where_it_is(plant: Api) -> None:
    assert asked(plant, {"node": "node-1", "id": "a"})["addresses"] == ["10.64.0.1"]
    changed = plant.send("PATCH", "/v1/pools/default", {"reserved": ["10.64.0.0/31", "10.64.0.3"]})
    assert changed.json["reserved"] == ["10.64.0.0/31", "10.64.0.3/32"]
    assert plant.get("/v1/endpoints/a")["addresses"] == ["10.64.0.1"]
    given = [asked(plant, {"node": "node-1"})["addresses"][0] for _ in range(4)]
    assert given == ["10.64.0.2", "10.64.0.4", "10.64.0.5", "10.64.0.6"]
    plant.send("DELETE", "/v1/endpoints/a")
    plant.wait(10)
    assert plant.send("POST", "/v1/endpoints", {"node": "node-1"}).status_code == 409
    wanted = plant.send("POST", "/v1/endpoints", {"node": "node-1", "address": "10.64.0.1"})
    assert wanted.status_code == 422
    assert "reserved in pool default" in wanted.json["detail"]


def test_what_is_reserved_meanwhile_is_not_assigned_at_any_node(racks: Api) -> None:
    """Also where free addresses were counted before: another node's request was the one to find out."""
    racks.made("/v1/pools", {"name": "p", "cidr": "10.74.0.0/28", "block_prefixlen": 30})
    given = {asked(racks, {"node": node, "pool": "p"})["addresses"][0] for node in ("n1", "n2")}
    assert given == {"10.74.0.1", "10.74.0.4"}
    racks.send("PATCH", "/v1/pools/p", {"reserved": ["10.74.0.4/30"]})
    given = {asked(racks, {"node": node, "pool": "p"})["addresses"][0] for node in ("n1", "n2")}
    assert given == {"10.74.0.2", "10.74.0.8"}


def test_what_is_reserved_between_two_attempts_is_not_assigned_by_the_second(racks: Api) -> None:
    """The first has picked an address when it finds that the pool of the other family is not what it was."""
    racks.made("/v1/pools", {"name": "p", "cidr": "10.74.0.0/28", "block_prefixlen": 30})
    racks.made("/v1/pools", {"name": "p6", "cidr": "2001:db8:1::/126", "block_prefixlen": 127})
    both = {"node": "n2", "pools": ["p", "p6"]}
    assert asked(racks, both)["addresses"] == ["10.74.0.1", "2001:db8:1::1"]
    racks.send("PATCH", "/v1/pools/p", {"reserved": ["10.74.0.2/31"]})
    racks.send("PATCH", "/v1/pools/p6", {"priority": 7})
    assert asked(racks, both)["addresses"][0] == "10.74.0.4"


def test_a_reserved_block_is_never_claimed(plant: Api) -> None:
    plant.made("/v1/pools", {"name": "p", "cidr": "2001:db8::/64", "reserved": ["2001:db8::/65"]})
    assert asked(plant, {"node": "node-1", "pool": "p"})["addresses"] == ["2001:db8:0:0:8000::"]


def test_a_pool_grows_in_place(plant: Api) -> None:
    for _ in range(6):
        asked(plant, {"node": "node-1"})
    plant.made("/v1/pools", {"name": "next", "cidr": "10.64.0.16/28"})
    overlap = plant.send("PATCH", "/v1/pools/default", {"cidr": "10.64.0.0/27"})
    assert (overlap.status_code, overlap.json["type"]) == (409, "/problems/overlap")
    assert plant.send("PATCH", "/v1/pools/default", {"cidr": "10.64.0.0/28"}).status_code == 200
    assert asked(plant, {"node": "node-1", "pool": "default"})["addresses"] == ["10.64.0.7"]


def test_a_pool_grows_downwards_too(api: Api) -> None:
    api.made("/v1/nodes", {"name": "n", "asn": 64512})
    api.made("/v1/pools", {"name": "p", "cidr": "10.0.0.12/30", "block_prefixlen": 30})
    given = {asked(api, {"node": "n"})["addresses"][0] for _ in range(2)}
    assert api.send("PATCH", "/v1/pools/p", {"cidr": "10.0.0.8/29"}).status_code == 200
    given |= {asked(api, {"node": "n"})["addresses"][0] for _ in range(4)}
    assert given == {f"10.0.0.{last}" for last in range(9, 15)}
    assert len(api.get("/v1/blocks")["items"]) == 2


def test_a_pool_becomes_a_tenants_only_when_no_other_holds_of_it(plant: Api) -> None:
    plant.made("/v1/tenants", {"name": "red"})
    asked(plant, {"node": "node-1", "id": "a"})
    refused = plant.send("PATCH", "/v1/pools/default", {"tenant": "red"})
    assert (refused.status_code, refused.json["type"]) == (409, "/problems/in-use")
    assert "(endpoint a)" in refused.json["detail"]
    plant.send("DELETE", "/v1/endpoints/a")
    assert plant.send("PATCH", "/v1/pools/default", {"tenant": "red"}).json["tenant"] == "red"
    asked(plant, {"node": "node-1", "tenant": "red"})
    assert plant.send("POST", "/v1/endpoints", {"node": "node-1"}).status_code == 422


def test_single_addresses_of_other_nodes_are_borrowed_when_the_pool_allows_it(plant: Api) -> None:
    asked(plant, {"node": "node-1"})
    asked(plant, {"node": "node-2"})
    for _ in range(2):
        asked(plant, {"node": "node-2"})
    full = plant.send("POST", "/v1/endpoints", {"node": "node-2"})
    assert (full.status_code, full.json["type"]) == (409, "/problems/pool-full")
    assert "does not borrow" in full.json["detail"]
    plant.send("PATCH", "/v1/pools/default", {"borrow": True})
    made = asked(plant, {"node": "node-2", "id": "b"})
    assert made["addresses"] == ["10.64.0.2"]
    exception = read(plant.store, keys.DISPLACED, "node-1", "10.64.0.2")
    assert exception is not None
    assert exception.value.node == "node-2"
    assert asked(plant, {"node": "node-2"})["addresses"] == ["10.64.0.3"]
    last = plant.send("POST", "/v1/endpoints", {"node": "node-2"})
    assert "nor have those of others" in last.json["detail"]
    plant.send("DELETE", "/v1/endpoints/b")
    assert read(plant.store, keys.DISPLACED, "node-1", "10.64.0.2") is None
    check(plant.store)


def test_a_uid_keeps_a_late_deletion_from_the_next_endpoint(plant: Api) -> None:
    first = asked(plant, {"node": "node-1", "id": "a"})
    plant.send("DELETE", f"/v1/endpoints/a?uid={first['uid']}")
    second = asked(plant, {"node": "node-1", "id": "a"})
    late = plant.send("DELETE", f"/v1/endpoints/a?uid={first['uid']}")
    assert (late.status_code, late.json["type"]) == (409, "/problems/conflict")
    assert late.json["errors"][0]["parameter"] == "uid"
    assert plant.get("/v1/endpoints/a") == second
    assert plant.send("DELETE", f"/v1/endpoints/a?uid={second['uid']}").status_code == 204


def test_that_there_are_more_pools_than_are_named_is_said(plant: Api) -> None:
    for number in range(1, 7):
        plant.made("/v1/pools", {"name": f"p{number}", "cidr": f"10.9{number}.0.0/24"})
    detail = plant.client.get("/v1/addresses/192.0.2.1").json["detail"]
    assert detail.endswith("10.94.0.0/24 (p4) and 2 more"), detail
