"""Many endpoints are deleted in one request, each on its own account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from controller.ipam.allocator import Request
from controller.ipam.release import Wish
from controller.reading import scan
from store import keys
from store.client import Delete, KeyValue, Put
from store.memory import MemoryStore
from store.model import AddressState, EndpointState, Node, Pool
from tests.support.ipam import Controller, FlakyStore, check
from tests.unit.controller.conftest import Api
from tests.unit.controller.test_endpoints import attach

RELEASE = "/v1/endpoints:release"


def send(api: Api, *items: Any) -> Any:
    return api.send("POST", RELEASE, {"items": items})


def made(api: Api, *names: str) -> dict[str, Any]:
    """These endpoints, by name, on two nodes in turn."""
    return {
        name: api.made("/v1/endpoints", {"id": name, "node": f"node-{number % 2 + 1}"})
        for number, name in enumerate(names)
    }


def test_each_item_is_answered_in_its_place(plant: Api) -> None:
    there = made(plant, "a", "b", "c", "d")
    attach(plant, "b", ready=True)
    answer = send(
        plant,
        {"id": "a", "uid": there["a"]["uid"]},
        {"id": "b"},
        {"id": "nobody"},
        {"id": "c", "uid": "0" * 32},
    )
    assert answer.status_code == 200, answer.text
    gone, held, unknown, other = answer.json["items"]
    assert gone == {"status": 204}
    assert (held["status"], held["endpoint"]) == (202, {**there["b"], **held["endpoint"]})
    assert (held["endpoint"]["state"], held["endpoint"]["attached"]) == (EndpointState.RELEASING, True)
    assert (unknown["status"], unknown["problem"]["type"]) == (404, "/problems/not-found")
    assert (other["status"], other["problem"]["type"]) == (409, "/problems/conflict")
    assert other["problem"]["errors"][0]["pointer"] == "/items/3/uid"
    assert answer.json["refused"] == 2
    assert [each["id"] for each in plant.get("/v1/endpoints")["items"]] == ["b", "c", "d"]
    check(plant.store)


def test_what_is_gone_cools_down_and_what_is_held_ends_later(plant: Api) -> None:
    made(plant, "a", "b")
    attach(plant, "b")
    assert [each["status"] for each in send(plant, {"id": "a"}, {"id": "b"}).json["items"]] == [204, 202]
    states = {each["endpoint"]: each["state"] for each in plant.get("/v1/addresses")["items"]}
    assert states == {"a": AddressState.COOLDOWN, "b": AddressState.ASSIGNED}
    plant.store.txn([], [Delete(keys.ATTACHMENTS.key("node-2", "b"))])
    assert [each["status"] for each in send(plant, {"id": "a"}, {"id": "b"}).json["items"]] == [404, 204]
    assert plant.get("/v1/endpoints")["items"] == []
    check(plant.store)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"items": []}, "/items"),
        ({"items": [{"id": "a"}] * 2}, "/items"),
        ({"items": [{"id": f"e{number}"} for number in range(1001)]}, "/items"),
        ({"items": [{"id": "a/b"}]}, "/items/0/id"),
        ({"items": [{"id": "a", "uid": "x"}]}, "/items/0/uid"),
        ({"items": [{"id": "a"}], "atomic": True}, "/atomic"),
        ({}, "/items"),
    ],
)
def test_a_body_that_is_wrong_anywhere_deletes_nothing(plant: Api, body: Any, pointer: str) -> None:
    made(plant, "a")
    before = plant.stored()
    answer = plant.send("POST", RELEASE, body)
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, pointer)
    assert plant.stored() == before


def test_a_cooldown_whose_lease_has_ended_is_given_another() -> None:
    store = FlakyStore(MemoryStore())
    controller = Controller.over(store)
    controller.registry.create_pool(Pool(name="p", cidr="10.0.0.0/24", block_prefixlen=28))
    controller.registry.create_node(Node(name="n1", asn=64512))
    for name in ("a", "b"):
        controller.allocator.assign(Request("n1", name))
    store.meets.append(lambda: [store.inner.revoke(lease) for lease in range(1, 9)] and None)
    assert controller.releaser.release_many([Wish("a"), Wish("b")]) == [None, None]
    controller.committer.close()
    assert [each.state for each in scan(store, keys.ADDRESSES).values] == [AddressState.COOLDOWN] * 2
    check(store)


ILLEGIBLE = b'{"v":2}'


@pytest.mark.parametrize("family", ["record", "address", "block", "pool"])
def test_a_value_that_cannot_be_read_is_the_fault_of_its_own_endpoint(plant: Api, family: str) -> None:
    plant.made("/v1/pools", {"name": "other", "cidr": "10.65.0.0/24"})
    plant.made("/v1/endpoints", {"id": "bad", "node": "node-1", "address": "10.65.0.7"})
    key = {
        "record": keys.ENDPOINTS.key("bad"),
        "address": keys.ADDRESSES.key("other", "10.65.0.0/26", "10.65.0.7"),
        "block": keys.BLOCKS.key("other", "10.65.0.0/26"),
        "pool": keys.POOLS.key("other"),
    }[family]
    item = plant.store.get(key)
    assert item is not None
    made(plant, "a", "b", "c")
    attach(plant, "c")
    plant.store.txn([], [Put(key, ILLEGIBLE)])
    answer = send(plant, {"id": "a"}, {"id": "bad"}, {"id": "b"}, {"id": "c"})
    assert [each["status"] for each in answer.json["items"]] == [204, 500, 204, 202]
    assert answer.json["refused"] == 1
    problem = answer.json["items"][1]["problem"]
    assert (problem["type"], key in problem["detail"]) == ("/problems/corrupt", True)
    assert plant.send("DELETE", "/v1/endpoints/bad").json["type"] == "/problems/corrupt"
    plant.store.txn([], [Put(key, item.value)])
    assert plant.send("DELETE", "/v1/endpoints/bad").status_code == 204
    check(plant.store)


class Counting(MemoryStore):
    """A store that counts requests to read."""

    asked = 0

    def get(self, key: str) -> KeyValue | None:
        self.asked += 1
        return super().get(key)

    def get_many(self, keys: Sequence[str]) -> Mapping[str, KeyValue]:
        self.asked += 1
        return {key: item for key in keys if (item := super(Counting, self).get(key)) is not None}


def test_as_many_requests_to_the_store_for_a_hundred_as_for_one() -> None:
    store = Counting()
    controller = Controller.over(store)
    controller.registry.create_pool(Pool(name="p", cidr="10.0.0.0/24", block_prefixlen=28))
    controller.registry.create_node(Node(name="n1", asn=64512))
    wishes = [Wish(f"e{number}") for number in range(100)]
    for wish in wishes:
        controller.allocator.assign(Request("n1", wish.id))
    store.asked = 0
    assert controller.releaser.release_many(wishes) == [None] * 100
    assert store.asked == 3
    controller.committer.close()
    check(store)
