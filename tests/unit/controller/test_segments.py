"""Pools of a segment: what they may say, and what endpoints of them get."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controller.conftest import Api

SEGMENT = {"vlan": 120, "uplink": "eth1"}
POOL = {"name": "disks", "cidr": "10.73.0.0/24", "segment": SEGMENT, "gateway": "10.73.0.1"}


def test_nothing_of_a_segment_is_announced_and_its_router_is_reserved(plant: Api) -> None:
    made = plant.made("/v1/pools", POOL)
    assert (made["advertise"], made["reserved"]) == ("none", ["10.73.0.1/32"])
    assert plant.send("POST", "/v1/pools", POOL).status_code == 200, "the same request again"
    first = plant.made("/v1/endpoints", {"id": "a", "node": "node-1", "pool": "disks"})
    assert (first["addresses"], first["gateways"]) == (["10.73.0.2"], ["10.73.0.1"])
    assert first["membership"] == {
        "segment": SEGMENT,
        "networks": ["10.73.0.0/24"],
        "gateways": ["10.73.0.1"],
    }
    taken = plant.send("POST", "/v1/endpoints", {"node": "node-1", "address": "10.73.0.1"})
    assert (taken.status_code, "reserved" in taken.json["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"segment": {"vlan": 0, "uplink": "eth1"}}, "vlan"),
        ({"segment": {"vlan": 4095, "uplink": "eth1"}}, "vlan"),
        ({"segment": {"vlan": 120, "uplink": "eth 1"}}, "uplink"),
        ({"segment": {"vlan": 120}}, "uplink"),
        ({"segment": None}, "give segment as well"),
        ({"gateway": "10.74.0.1"}, "not inside 10.73.0.0/24"),
        ({"advertise": "host"}, "advertise is none"),
    ],
)
def test_what_does_not_fit_together_is_refused(plant: Api, change: dict[str, Any], words: str) -> None:
    answer = plant.send("POST", "/v1/pools", {**POOL, **change})
    assert (answer.status_code, words in answer.get_data(as_text=True)) == (422, True), answer.json


def test_what_a_segment_is_stays(plant: Api) -> None:
    plant.made("/v1/pools", POOL)
    for change in ({"segment": {"vlan": 7, "uplink": "eth1"}}, {"gateway": "10.73.0.9"}):
        assert plant.send("PATCH", "/v1/pools/disks", change).status_code == 422


def test_what_a_pool_has_grown_by_is_on_link_for_who_is_made_from_then_on(plant: Api) -> None:
    plant.made("/v1/pools", POOL)
    before = plant.made("/v1/endpoints", {"id": "a", "node": "node-1", "pool": "disks"})
    assert plant.send("PATCH", "/v1/pools/disks", {"cidr": "10.73.0.0/23"}).status_code == 200
    after = plant.made("/v1/endpoints", {"node": "node-1", "address": "10.73.1.7"})
    assert after["membership"]["networks"] == ["10.73.0.0/23"]
    assert plant.get("/v1/endpoints/a")["membership"] == before["membership"]


def test_an_interface_is_on_one_segment_and_only_when_it_is_named(plant: Api) -> None:
    plant.made("/v1/pools", {**POOL, "priority": 1000})
    plant.made("/v1/pools", {"name": "six", "cidr": "2001:db8::/64"})
    plant.made("/v1/pools", {"name": "disks6", "cidr": "fd73::/64", "segment": SEGMENT})
    assert plant.made("/v1/endpoints", {"node": "node-1"})["pools"] == ["default"]
    for pools in (["disks", "six"], ["default", "disks6"]):
        answer = plant.send("POST", "/v1/endpoints", {"node": "node-1", "pools": pools})
        assert (answer.status_code, "not of one segment" in answer.json["detail"]) == (422, True)
    both = plant.made("/v1/endpoints", {"node": "node-1", "pools": ["disks", "disks6"]})
    assert both["membership"]["networks"] == ["10.73.0.0/24", "fd73::/64"]
    assert both["membership"]["gateways"] == ["10.73.0.1"]


BANK = {"name": "bank", "segment": SEGMENT}
VAULT = {"name": "vault", "cidr": "10.73.0.0/24", "tenant": "bank", "gateway": "10.73.0.1"}


def test_a_tenants_pools_are_on_its_segment_and_its_endpoints_on_them(plant: Api) -> None:
    plant.made("/v1/tenants", BANK)
    made = plant.made("/v1/pools", VAULT)
    assert (made["segment"], made["advertise"], made["reserved"]) == (SEGMENT, "none", ["10.73.0.1/32"])
    on_bank = {"node": "node-1", "tenant": "bank"}
    first = plant.made("/v1/endpoints", on_bank)
    assert (first["pools"], first["membership"]["segment"]) == (["vault"], SEGMENT), "without being named"
    assert plant.made("/v1/endpoints", {"node": "node-1"})["pools"] == ["default"]
    refused = plant.send("POST", "/v1/endpoints", {**on_bank, "pool": "default"})
    assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (422, "/pool")
    assert "tenant bank is on 120@eth1; use a pool of that segment" in refused.json["detail"]

    other = {"vlan": 121, "uplink": "eth1"}
    plant.made("/v1/pools", {"name": "tapes", "cidr": "10.74.0.0/24", "segment": other})
    taped = plant.made("/v1/endpoints", {**on_bank, "pool": "tapes"})
    assert taped["membership"]["segment"] == other, "what a pool says that is named goes before"


def test_what_a_tenants_segment_becomes_counts_for_what_is_made_then(plant: Api) -> None:
    plant.made("/v1/tenants", BANK)
    plant.made("/v1/pools", VAULT)
    other = {"vlan": 121, "uplink": "eth1"}
    assert plant.send("PATCH", "/v1/tenants/bank", {"segment": {"vlan": 121}}).json["segment"] == other
    assert plant.send("POST", "/v1/pools", VAULT).status_code == 200, "the same request again"
    replaced = plant.client.put("/v1/pools/vault", json={**VAULT, "priority": 7}, headers={"If-Match": "*"})
    assert (replaced.json["segment"], replaced.json["priority"]) == (SEGMENT, 7)
    assert (
        plant.made("/v1/pools", {**VAULT, "name": "new", "cidr": "10.75.0.0/24", "gateway": None})["segment"]
        == other
    )
    assert plant.made("/v1/endpoints", {"node": "node-1", "tenant": "bank"})["pools"] == ["new"]

    plant.made("/v1/pools", {"name": "open", "cidr": "10.76.0.0/24"})
    before = plant.stored()
    refused = plant.send("PATCH", "/v1/pools/open", {"tenant": "bank"})
    assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (422, "/tenant")
    plant.made("/v1/tenants", {"name": "shop"})
    refused = plant.send(
        "POST", "/v1/pools", {**VAULT, "name": "x", "cidr": "10.73.0.0/25", "tenant": "shop"}
    )
    assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (422, "/gateway")
    assert "give segment as well" in refused.json["detail"]
    for pool in ({"advertise": "host"}, {"gateway": "10.99.0.1"}):
        body = {"name": "x", "cidr": "10.77.0.0/24", "tenant": "bank", **pool}
        assert plant.send("POST", "/v1/pools", body).status_code == 422
    plant.send("DELETE", "/v1/tenants/shop")
    assert plant.stored() == before
    for segment in ({"vlan": 0}, {"uplink": "eth 1"}, "120@eth1"):
        refused = plant.send("PATCH", "/v1/tenants/bank", {"segment": segment})
        assert (refused.status_code, refused.json["errors"][0]["pointer"][:8]) == (422, "/segment")
