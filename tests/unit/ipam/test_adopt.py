"""A restored backup is completed with what nodes hold: who holds an address has it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from controller.ipam.adopt import Adoption, adopt, usage_ops
from controller.ipam.request import Request
from controller.reading import put, read, scan
from controller.restoring import _backup
from store import keys
from store.memory import MemoryStore
from store.model import HeldEndpoint, Holding, Node, Pool, Tenant
from tests.support.ipam import Controller, check, now


@pytest.fixture
def controller() -> Iterator[Controller]:
    made = Controller.over(MemoryStore())
    made.registry.create_pool(Pool(name="p", cidr="10.0.0.0/26", block_prefixlen=28, cooldown_s=0))
    for name in ("n1", "n2"):
        made.registry.create_node(Node(name=name, asn=64512))
    yield made
    made.committer.close()


def held(name: str, *addresses: str) -> HeldEndpoint:
    return HeldEndpoint(
        endpoint=name, mac="02:70:00:00:00:01", addresses=addresses, netns="/run/netns/x", ifname="eth0"
    )


def complete(controller: Controller, **nodes: list[HeldEndpoint]) -> Adoption:
    """Write what the adoption says."""
    backup = _backup(controller.store)
    holdings = {name: Holding(node=name, boot_id="b", endpoints=tuple(each)) for name, each in nodes.items()}
    made = adopt(backup, holdings, now())
    usage = usage_ops(backup, scan(controller.store, keys.USAGE).values)
    for ops in [*made.groups, usage]:
        controller.store.txn([], ops)
    check(controller.store)
    return made


def where(controller: Controller, name: str) -> tuple[str, list[str]]:
    found = read(controller.store, keys.ENDPOINTS, name)
    assert found is not None
    return found.value.node, [str(address) for address in found.value.addresses]


def test_what_the_backup_knows_stays_and_twice_is_once(
    controller: Controller,
) -> None:
    endpoint = controller.allocator.assign(Request("n1", "a"))[0]
    controller.allocator.assign(Request("n1", "idle"))
    holds = [held("a", str(endpoint.addresses[0])), held("b", "10.0.0.40")]
    made = complete(controller, n1=holds)
    assert (made.confirmed, len(made.adopted), made.idle) == (1, 1, 1)
    before = controller.store.range("").items
    made = complete(controller, n1=holds)
    assert (made.confirmed, made.adopted) == (2, [])
    assert controller.store.range("").items == before


def test_an_address_in_another_nodes_block_becomes_an_exception(controller: Controller) -> None:
    controller.allocator.assign(Request("n1", "a"))
    complete(controller, n2=[held("b", "10.0.0.9"), held("c", "10.0.0.20")])
    assert where(controller, "b") == ("n2", ["10.0.0.9"])
    assert read(controller.store, keys.DISPLACED, "n1", ip_address("10.0.0.9")) is not None


def test_who_really_holds_an_address_has_it(controller: Controller) -> None:
    address = controller.allocator.assign(Request("n1", "stale"))[0].addresses[0]
    made = complete(controller, n2=[held("real", str(address))])
    assert where(controller, "real") == ("n2", [str(address)])
    assert read(controller.store, keys.ENDPOINTS, "stale") is None
    assert "stale" in made.ended[0]


def test_an_endpoint_that_was_made_anew_since_the_backup_has_its_new_address(controller: Controller) -> None:
    controller.allocator.assign(Request("n1", "a"))
    complete(controller, n1=[held("a", "10.0.0.33")])
    assert where(controller, "a") == ("n1", ["10.0.0.33"])


def test_an_endpoint_that_moved_since_the_backup_is_where_it_is_held(controller: Controller) -> None:
    address = str(controller.allocator.assign(Request("n1", "a"))[0].addresses[0])
    complete(controller, n1=[], n2=[held("a", address)])
    assert where(controller, "a") == ("n2", [address])


def test_an_endpoint_that_two_nodes_hold_stays_where_the_backup_says(controller: Controller) -> None:
    address = str(controller.allocator.assign(Request("n1", "a"))[0].addresses[0])
    made = complete(controller, n1=[held("a", address)], n2=[held("a", address)])
    assert where(controller, "a") == ("n1", [address])
    assert (made.confirmed, made.adopted) == (2, [])


def test_an_address_that_two_endpoints_really_hold_is_for_people(controller: Controller) -> None:
    address = str(controller.allocator.assign(Request("n1", "a"))[0].addresses[0])
    made = complete(controller, n1=[held("a", address)], n2=[held("b", address)])
    assert where(controller, "a") == ("n1", [address])
    assert read(controller.store, keys.ENDPOINTS, "b") is None
    assert "delete one of the two" in made.refused[0]


def test_an_address_of_no_pool_is_for_people(controller: Controller) -> None:
    made = complete(controller, n1=[held("a", "192.0.2.1")])
    assert "no pool has its address" in made.refused[0]


def test_a_cooldown_of_the_backup_gives_way(
    controller: Controller,
) -> None:
    controller.registry.change(keys.POOLS, "p", lambda pool: pool.model_copy(update={"cooldown_s": 60}))
    address = controller.allocator.assign(Request("n1", "a"))[0].addresses[0]
    controller.releaser.release("a")
    controller.registry.create_node(Node(name="n3", asn=64513))
    complete(controller, n3=[held("b", str(address))])
    assert where(controller, "b") == ("n3", [str(address)])


def test_what_a_tenant_holds_is_counted_anew(controller: Controller) -> None:
    controller.store.txn([], [put(keys.TENANTS, Tenant(name="blue"), "blue")])
    address = controller.allocator.assign(Request("n1", "a", tenant="blue"))[0].addresses[0]
    controller.allocator.assign(Request("n1", "b", tenant="blue"))
    complete(controller, n2=[held("real", str(address))])
    usage = read(controller.store, keys.USAGE, "blue")
    assert usage is not None
    assert usage.value.ipv4 == 1
