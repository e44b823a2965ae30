"""Many endpoints in one request, and requests that are sent again because their answer was lost."""

from __future__ import annotations

from typing import Any

import pytest

from controller.reading import read
from store import keys
from tests.support.gone import attach
from tests.support.ipam import check
from tests.unit.controller.conftest import Api

BATCH = "/v1/endpoints:batch"


def send(api: Api, items: list[Any], key: str | None = None, **more: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.client.post(BATCH, json={"items": items, **more}, headers=headers)


def test_each_item_is_answered_in_its_place(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    items = [
        {"node": "node-1", "id": "b"},
        {"node": "node-1", "id": "a"},
        {"node": "node-9"},
        {"node": "node-1", "id": "a2", "address": "10.64.0.1"},
        {"node": "node-2", "labels": {"app": "web"}},
        {"node": "node-1", "pools": ["default", "nope"]},
    ]
    answer = send(plant, items)
    assert answer.status_code == 200, answer.text
    outcomes = answer.json["items"]
    assert [each["status"] for each in outcomes] == [201, 200, 422, 409, 201, 422]
    assert answer.json["refused"] == 3
    assert outcomes[0]["endpoint"] == plant.get("/v1/endpoints/b")
    assert outcomes[1]["endpoint"] == plant.get("/v1/endpoints/a")
    assert outcomes[2]["problem"]["type"] == "/problems/invalid"
    assert outcomes[2]["problem"]["errors"][0]["pointer"] == "/items/2/node"
    assert outcomes[3]["problem"]["type"] == "/problems/address-in-use"
    assert outcomes[4]["endpoint"]["labels"] == {"app": "web"}
    assert outcomes[5]["problem"]["errors"][0]["pointer"] == "/items/5/pools/1"
    assert len(plant.get("/v1/endpoints")["items"]) == 3
    check(plant.store)


def test_whatever_is_refused_is_pointed_at(plant: Api) -> None:
    plant.made("/v1/pools", {"name": "six", "cidr": "fd00::/64"})
    plant.made("/v1/tenants", {"name": "shop", "max_ipv4": 0})
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    plant.made("/v1/endpoints", {"node": "node-1", "id": "gone"})
    record = read(plant.store, keys.ENDPOINTS, "gone")
    assert record is not None
    attach(plant.store, record.value, "node-1")
    assert plant.send("DELETE", "/v1/endpoints/gone").status_code == 202
    refused = [
        ({"node": "node-1", "address": "10.64.0.1"}, "/address", "address-in-use"),
        ({"node": "node-1", "addresses": ["fd00::5", "10.64.0.1"]}, "/addresses/1", "address-in-use"),
        ({"node": "node-1", "tenant": "shop", "pool": "default"}, "/tenant", "over-quota"),
        ({"node": "node-2", "id": "a"}, "/id", "conflict"),
        ({"node": "node-1", "id": "gone"}, "/id", "releasing"),
    ]
    outcomes = send(plant, [body for body, _, _ in refused]).json["items"]
    for index, (body, pointer, kind) in enumerate(refused):
        alone = plant.send("POST", "/v1/endpoints", body).json
        together = send(plant, [body], atomic=True).json
        in_batch = outcomes[index]["problem"]
        assert {each["type"] for each in (alone, together, in_batch)} == {f"/problems/{kind}"}
        assert alone["errors"] == [{"pointer": pointer, "detail": alone["detail"]}]
        assert together["errors"] == [{"pointer": f"/items/0{pointer}", "detail": alone["detail"]}]
        assert in_batch["errors"] == [{"pointer": f"/items/{index}{pointer}", "detail": alone["detail"]}]
    service = {"name": "s", "pool": "default", "selector": {"a": "b"}}
    for more, pointer in (({"address": "10.64.0.1"}, "/address"), ({"tenant": "shop"}, "/tenant")):
        answer = plant.send("POST", "/v1/services", {**service, **more})
        assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (409, pointer)


def test_items_that_are_alike_are_requests_of_their_own(plant: Api) -> None:
    kinds: list[dict[str, Any]] = [
        {"node": "node-1"},
        {"node": "node-1", "labels": {"app": "web"}},
        {"node": "node-1", "address": "10.64.0.6"},
    ]
    outcomes = send(plant, [each for each in kinds for _ in range(2)]).json["items"]
    assert [each["status"] for each in outcomes] == [201, 201, 201, 201, 201, 409]
    assert outcomes[5]["problem"]["type"] == "/problems/address-in-use"
    made = [each["endpoint"] for each in outcomes[:5]]
    assert len({each["id"] for each in made} | {each["uid"] for each in made}) == 10
    assert len({each["addresses"][0] for each in made}) == 5
    assert [each["labels"] for each in made] == [{}, {}, {"app": "web"}, {"app": "web"}, {}]
    assert all(plant.get(f"/v1/endpoints/{each['id']}") == each for each in made)
    check(plant.store)


def test_all_or_none(plant: Api) -> None:
    before = plant.get("/v1/endpoints")["items"]
    answer = send(plant, [{"node": "node-1", "id": "a"}, {"node": "node-9", "id": "b"}], atomic=True)
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/invalid")
    assert answer.json["errors"][0]["pointer"] == "/items/1/node"
    assert "nothing was made, as item 1 is refused" in answer.json["detail"]
    full = send(plant, [{"node": "node-1"}] * 7, atomic=True)
    assert (full.status_code, full.json["type"]) == (409, "/problems/pool-full")
    assert plant.get("/v1/endpoints")["items"] == before
    check(plant.store)
    made = send(plant, [{"node": "node-1", "id": "a"}, {"node": "node-1", "id": "b"}], atomic=True)
    assert [each["status"] for each in made.json["items"]] == [201, 201]
    again = send(plant, [{"node": "node-1", "id": "a"}, {"node": "node-1", "id": "b"}], atomic=True)
    assert [each["status"] for each in again.json["items"]] == [200, 200]
    check(plant.store)


@pytest.mark.parametrize(
    ("body", "pointer", "right"),
    [
        ({}, "/items", "is required"),
        ({"items": []}, "/items", "at least 1 of them"),
        ({"items": [{"node": "node-1"}] * 1001}, "/items", "at most 1000"),
        ({"items": [{"node": "node-1"}, {}]}, "/items/1/node", "is required"),
        ({"items": [{"node": "node-1", "labells": {}}]}, "/items/0/labells", "did you mean labels?"),
        ({"items": [{"node": "node-1", "pool": "a", "pools": ["b"]}]}, "/items/0/pool", "short for pools"),
        ({"items": [{"node": "node-1", "labels": {"a b": "c"}}]}, "/items/0/labels/a b", "label key"),
        ({"items": [{"node": "node-1"}, 7]}, "/items/1", "an object"),
        ({"items": {}}, "/items", "expected an array"),
        ({"items": [{"node": "node-1"}], "atomic": "yes"}, "/atomic", "true or false"),
        ({"items": [{"node": "node-1", "id": "x"}] * 2}, "/items", "items 0 and 1 have the same id x"),
    ],
)
def test_a_body_that_is_wrong_anywhere_is_refused_whole(
    plant: Api, body: Any, pointer: str, right: str
) -> None:
    before = plant.stored()
    answer = plant.send("POST", BATCH, body)
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/invalid"), answer.text
    details = {error["pointer"]: error["detail"] for error in answer.json["errors"]}
    assert right in details[pointer]
    assert plant.stored() == before


def test_the_faults_of_a_large_body_are_not_all_looked_for(plant: Api) -> None:
    answer = send(plant, [{"labels": dict.fromkeys(map(str, range(1000)), "-")}] * 100)
    assert answer.status_code == 422
    assert len(answer.json["errors"]) == 100
    assert {each["pointer"].split("/")[2] for each in answer.json["errors"]} == {"0"}


def test_a_replay_with_its_key_makes_nothing_twice(plant: Api) -> None:
    wanted = {"node": "node-1", "labels": {"app": "web"}}
    headers = {"Idempotency-Key": "6f1c"}
    made = plant.client.post("/v1/endpoints", json=wanted, headers=headers)
    again = plant.client.post("/v1/endpoints", json=wanted, headers=headers)
    assert (made.status_code, again.status_code) == (201, 200)
    assert again.json == made.json
    other = plant.client.post("/v1/endpoints", json={**wanted, "labels": {}}, headers=headers)
    assert (other.status_code, other.json["type"]) == (422, "/problems/key-reused")
    second = plant.client.post("/v1/endpoints", json=wanted, headers={"Idempotency-Key": "6f1d"})
    assert second.json["id"] != made.json["id"]
    named = plant.client.post("/v1/endpoints", json={**wanted, "id": "mine"}, headers=headers)
    assert named.json["id"] == "mine", "an id of one's own needs no key"


@pytest.mark.parametrize(
    "other",
    [{"pool": "default"}, {"families": ["ipv4"]}, {"mac": "02:70:0a:40:00:01"}, {"address": "10.64.0.1"}],
)
def test_a_key_is_for_one_request_though_what_it_made_is_what_another_asks_for(
    plant: Api, other: dict[str, object]
) -> None:
    headers = {"Idempotency-Key": "6f1c"}
    made = plant.client.post("/v1/endpoints", json={"node": "node-1"}, headers=headers)
    assert made.json["addresses"] == ["10.64.0.1"]
    refused = plant.client.post("/v1/endpoints", json={"node": "node-1", **other}, headers=headers)
    assert (refused.status_code, refused.json["type"]) == (422, "/problems/key-reused")


@pytest.mark.parametrize("wanted", [{"node": "node-1", "id": "web"}, {"node": "node-1"}])
def test_a_request_is_known_again_though_what_it_made_was_changed(
    plant: Api, wanted: dict[str, object]
) -> None:
    headers = {"Idempotency-Key": "6f1c"}
    made = plant.client.post("/v1/endpoints", json=wanted, headers=headers).json
    plant.send("PATCH", f"/v1/endpoints/{made['id']}", {"node": "node-2", "labels": {"a": "b"}})
    again = plant.client.post("/v1/endpoints", json=wanted, headers=headers)
    assert (again.status_code, again.json["uid"], again.json["node"]) == (200, made["uid"], "node-2")


def test_a_replayed_batch_makes_nothing_twice(plant: Api) -> None:
    items = [{"node": "node-1"}, {"node": "node-2"}, {"node": "node-1", "id": "mine"}]
    made, again = send(plant, items, "k"), send(plant, items, "k")
    assert [each["status"] for each in made.json["items"]] == [201] * 3
    assert [each["status"] for each in again.json["items"]] == [200] * 3
    assert [each["endpoint"] for each in again.json["items"]] == [
        each["endpoint"] for each in made.json["items"]
    ]
    other = send(plant, [{"node": "node-1"}, {"node": "node-3"}], "k")
    assert [each["status"] for each in other.json["items"]] == [200, 422]
    assert other.json["items"][1]["problem"]["type"] == "/problems/key-reused"
    assert len(plant.store.range(keys.ENDPOINTS.prefix()).items) == 3


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\u00e9"])
def test_a_key_that_is_none_is_refused(plant: Api, key: str) -> None:
    before = plant.stored()
    for path, body in (("/v1/endpoints", {"node": "node-1"}), (BATCH, {"items": [{"node": "node-1"}]})):
        answer = plant.client.post(path, json=body, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (422, "Idempotency-Key")
    assert plant.stored() == before


def test_ids_differ_by_bearer_key_and_place(plant: Api) -> None:
    made = [
        plant.client.post("/v1/endpoints", json={"node": "node-1"}, headers={"Idempotency-Key": key}).json
        for key in ("k", "k2")
    ]
    many = send(plant, [{"node": "node-1"}, {"node": "node-1"}], "k").json["items"]
    ids = [each["id"] for each in made] + [each["endpoint"]["id"] for each in many]
    assert len(set(ids)) == 4
    assert all(len(each) == 32 for each in ids)


@pytest.mark.parametrize("atomic", [False, True])
def test_an_id_that_another_item_gets_by_the_key_is_pointed_at(plant: Api, atomic: bool) -> None:
    """Who sends the rest of a batch again, with the ids that he was told: they follow from the place."""
    plain = {"node": "node-1"}
    first, second = send(plant, [plain, plain], "6f1c").json["items"]
    told = {**plain, "id": second["endpoint"]["id"]}
    for items, place in (([told, plain], 0), ([plain, plain, told], 2)):
        answer = send(plant, items, "6f1c", atomic=atomic)
        assert (answer.status_code, answer.json["type"]) == (422, "/problems/invalid"), answer.text
        assert answer.json["errors"][0]["pointer"] == f"/items/{place}/id"
        assert "item 1" in answer.json["detail"]
    again = send(plant, [{**plain, "id": first["endpoint"]["id"]}, plain], "6f1c", atomic=atomic)
    assert [each["status"] for each in again.json["items"]] == [200, 200], "an id in its own place is good"
    assert len(plant.get("/v1/endpoints")["items"]) == 2
