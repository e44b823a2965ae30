"""Tenants and their quotas: exact whoever counts, never below what is held."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from controller.ipam.request import Request
from controller.problem import Problem
from controller.reading import read, scan
from store import keys
from store.memory import MemoryStore
from store.model import Endpoint, Node, Pool, Tenant
from tests.support.ipam import FAULTS, Controller, FlakyStore, check
from tests.unit.controller.conftest import Api


@pytest.fixture
def red(plant: Api) -> Api:
    """A tenant that may hold two IPv4 addresses."""
    plant.made("/v1/tenants", {"name": "red", "max_ipv4": 2, "labels": {"team": "x"}})
    return plant


def used(api: Api) -> tuple[int, int]:
    shown = api.get("/v1/tenants/red")
    assert api.get("/v1/tenants")["items"] == [shown]
    check(api.store)
    return shown["used_ipv4"], shown["used_ipv6"]


def test_a_quota_is_kept(red: Api) -> None:
    assert used(red) == (0, 0)
    red.made("/v1/endpoints", {"node": "node-1", "id": "a", "tenant": "red"})
    red.made("/v1/endpoints", {"node": "node-2", "id": "b", "tenant": "red"})
    red.made("/v1/endpoints", {"node": "node-2", "id": "c"})
    assert used(red) == (2, 0)
    before = red.stored()
    refused = red.send("POST", "/v1/endpoints", {"node": "node-1", "tenant": "red"})
    assert (refused.status_code, refused.json["type"]) == (409, "/problems/over-quota")
    assert "holds 2 IPv4 addresses of 2" in refused.json["detail"]
    assert red.stored() == before
    again = red.send("POST", "/v1/endpoints", {"node": "node-1", "id": "a", "tenant": "red"})
    assert again.status_code == 200
    red.send("DELETE", "/v1/endpoints/a")
    assert used(red) == (1, 0), "what cools down does not count"
    red.made("/v1/endpoints", {"node": "node-1", "tenant": "red"})


def test_each_family_counts_for_itself(red: Api) -> None:
    red.made("/v1/pools", {"name": "six", "cidr": "2001:db8::/64", "priority": 1})
    red.send("PATCH", "/v1/tenants/red", {"max_ipv6": 1})
    both = {"node": "node-1", "tenant": "red", "families": ["ipv4", "ipv6"]}
    red.made("/v1/endpoints", {**both, "id": "a"})
    assert used(red) == (1, 1)
    assert red.send("POST", "/v1/endpoints", both).json["type"] == "/problems/over-quota"
    assert used(red) == (1, 1), "neither"
    red.send("PATCH", "/v1/endpoints/a", {"node": "node-2"})
    assert used(red) == (1, 1), "a move changes nothing"
    red.send("DELETE", "/v1/endpoints/a")
    assert used(red) == (0, 0)
    assert read(red.store, keys.USAGE, "red") is None


def test_a_quota_is_not_set_below_what_is_held(red: Api) -> None:
    for _ in range(2):
        red.made("/v1/endpoints", {"node": "node-1", "tenant": "red"})
    refused = red.send("PATCH", "/v1/tenants/red", {"max_ipv4": 1})
    assert (refused.status_code, refused.json["type"]) == (422, "/problems/invalid")
    assert refused.json["errors"][0]["pointer"] == "/max_ipv4"
    assert "2 are held" in refused.json["errors"][0]["detail"]
    assert red.send("PATCH", "/v1/tenants/red", {"max_ipv4": 3}).json["max_ipv4"] == 3
    red.made("/v1/endpoints", {"node": "node-1", "tenant": "red"})
    assert red.send("PATCH", "/v1/tenants/red", {"max_ipv4": None}).json["max_ipv4"] is None
    assert red.send("PATCH", "/v1/tenants/red", {"max_ipv4": 3, "max_ipv6": 0}).status_code == 200


def test_a_tenant_in_use_is_not_deleted(red: Api) -> None:
    red.made("/v1/endpoints", {"node": "node-1", "id": "a", "tenant": "red"})
    refused = red.send("DELETE", "/v1/tenants/red")
    assert (refused.status_code, refused.json["type"], refused.json["ipv4"]) == (409, "/problems/in-use", 1)
    red.send("DELETE", "/v1/endpoints/a")
    red.made("/v1/pools", {"name": "p", "cidr": "10.9.0.0/24", "tenant": "red"})
    assert "pools 1 (p)" in red.send("DELETE", "/v1/tenants/red").json["detail"]
    red.send("DELETE", "/v1/pools/p")
    assert red.send("DELETE", "/v1/tenants/red").status_code == 204
    assert red.send("POST", "/v1/endpoints", {"node": "node-1", "tenant": "red"}).status_code == 422


def test_a_tenant_is_created_changed_and_replaced_as_other_things_are(red: Api) -> None:
    body = {"name": "red", "max_ipv4": 2, "labels": {"team": "x"}}
    assert red.send("POST", "/v1/tenants", body).status_code == 200
    assert red.send("POST", "/v1/tenants", {**body, "max_ipv4": 3}).status_code == 409
    assert red.send("POST", "/v1/tenants", {"name": "x", "max_ipv4": -1}).status_code == 422
    assert red.send("POST", "/v1/tenants", {"name": "x", "max_ipv4": 2**31}).status_code == 422
    changed = red.send("PATCH", "/v1/tenants/red", {"labels": {"team": None}})
    defaults = {"labels": {}, "max_ipv6": None, "default": "allow", "segment": None}
    assert changed.json == {**body, **defaults, "used_ipv4": 0, "used_ipv6": 0}


@pytest.fixture
def pair() -> Iterator[tuple[FlakyStore, Controller, Controller]]:
    memory = MemoryStore()
    store = FlakyStore(memory)
    first, second = Controller.over(store), Controller.over(FlakyStore(memory))
    first.registry.create_pool(Pool(name="p", cidr="10.0.0.0/24", block_prefixlen=28, cooldown_s=0))
    first.registry.create_node(Node(name="n1", asn=64512))
    first.registry.create_node(Node(name="n2", asn=64512))
    first.registry.create_tenant(Tenant(name="red", max_ipv4=2))
    yield store, first, second
    first.committer.close()
    second.committer.close()
    check(memory)


Pair = tuple[FlakyStore, Controller, Controller]


def test_two_controllers_count_together(pair: Pair) -> None:
    """The second's count moves between what the first has read and what it writes."""
    store, first, second = pair
    first.allocator.assign(Request("n1", "a", tenant="red"))
    store.meets.append(lambda: second.allocator.assign(Request("n2", "b", tenant="red")))
    with pytest.raises(Problem, match="2 IPv4 addresses of 2"):
        first.allocator.assign(Request("n1", "c", tenant="red"))
    assert len(scan(store.inner, keys.ENDPOINTS).items) == 2


def test_a_refusal_is_made_on_what_is_held_now(pair: Pair) -> None:
    """The first believes the quota used up until it looks."""
    store, first, second = pair
    for name in "ab":
        first.allocator.assign(Request("n1", name, tenant="red"))
    second.releaser.release("a")
    first.allocator.assign(Request("n1", "c", tenant="red"))
    usage = read(store.inner, keys.USAGE, "red")
    assert usage is not None
    assert usage.value.ipv4 == 2


def test_the_quota_is_cut_while_an_address_is_assigned(pair: Pair) -> None:
    store, first, second = pair
    first.allocator.assign(Request("n1", "a", tenant="red"))

    def cut() -> None:
        second.registry.change(keys.TENANTS, "red", lambda red: red.model_copy(update={"max_ipv4": 1}))

    store.meets.append(cut)
    with pytest.raises(Problem, match="1 IPv4 addresses of 1"):
        first.allocator.assign(Request("n1", "b", tenant="red"))


def test_the_tenant_is_deleted_while_an_address_is_assigned(pair: Pair) -> None:
    store, first, second = pair
    first.allocator.assign(Request("n2", "x"))
    store.meets.append(lambda: second.retirer.delete_tenant("red"))
    with pytest.raises(Problem, match="no tenant 'red'"):
        first.allocator.assign(Request("n2", "a", tenant="red"))


def test_an_address_is_assigned_while_the_tenant_is_deleted(pair: Pair) -> None:
    store, first, second = pair
    store.meets.append(lambda: second.allocator.assign(Request("n2", "a", tenant="red")))
    with pytest.raises(Problem, match="holds 1 IPv4"):
        first.retirer.delete_tenant("red")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_answer_is_counted_once(pair: Pair, fault: str) -> None:
    store, first, _ = pair
    first.allocator.assign(Request("n1", "z", tenant="red"))
    store.meets.append(fault)
    with suppress(Problem):
        first.allocator.assign(Request("n1", "a", tenant="red"))
    store.deliver()
    check(store.inner)


def test_threads_of_two_controllers_never_exceed_a_quota(pair: Pair) -> None:
    store, first, _ = pair
    first.registry.change(keys.TENANTS, "red", lambda red: red.model_copy(update={"max_ipv4": 100}))

    def work(number: int) -> list[Endpoint]:
        made = []
        while True:
            try:
                made.append(pair[1 + number % 2].allocator.assign(Request("n1", tenant="red"))[0])
            except Problem as problem:
                if problem.kind == "over-quota":
                    return made

    with ThreadPoolExecutor(6) as pool:
        made = [endpoint for each in pool.map(work, range(6), timeout=60) for endpoint in each]
    assert len(made) == len(scan(store.inner, keys.ENDPOINTS).items) == 100
