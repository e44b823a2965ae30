"""A restored backup is completed with what nodes hold: who holds an address has it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import pytest

from controller.anycast import Anycast, Caller
from controller.ipam.adopt import Adoption, adopt, usage_ops
from controller.ipam.reclaim import Reclaimer
from controller.ipam.request import Request
from controller.problem import Problem
from controller.reading import put, read, scan
from controller.restoring import _backup
from controller.scope import EVERYTHING
from controller.unique import unique
from store import keys
from store.client import Delete
from store.memory import MemoryStore
from store.model import Endpoint, HeldEndpoint, Holding, NewService, Node, Pool, Tenant
from tests.support.gone import attach
from tests.support.ipam import Controller, check, now


@pytest.fixture
def controller() -> Iterator[Controller]:
    made = Controller.over(MemoryStore())
    made.registry.create_pool(Pool(name="p", cidr="10.0.0.0/26", block_prefixlen=28, cooldown_s=0))
    for name in ("n1", "n2"):
        made.registry.create_node(Node(name=name, asn=64512))
    yield made
    made.committer.close()


def held(name: str, *addresses: str, **more: Any) -> HeldEndpoint:
    """As a node says it of one that the backup does not know."""
    given = {"uid": uuid5(NAMESPACE_OID, name).hex, "mac": "02:70:00:00:00:01", **more}
    return HeldEndpoint(endpoint=name, addresses=addresses, netns="/run/netns/x", ifname="eth0", **given)


def holds(one: Endpoint) -> HeldEndpoint:
    """As a node says it of one that it got from the store."""
    return held(one.id, *map(str, one.addresses), uid=one.uid, mac=one.mac, tenant=one.tenant)


def complete(controller: Controller, **nodes: list[HeldEndpoint]) -> Adoption:
    """Write what the adoption says: then the store obeys its rules."""
    made = write(controller, **nodes)
    check(controller.store, unknown={"red", "n3"})
    return made


def write(controller: Controller, **nodes: list[HeldEndpoint]) -> Adoption:
    """Likewise, where an address may be held for one that has no record."""
    backup = _backup(controller.store, nodes)
    holdings = {name: Holding(node=name, boot_id="b", endpoints=tuple(each)) for name, each in nodes.items()}
    made = adopt(backup, holdings, now())
    usage = usage_ops(backup, scan(controller.store, keys.USAGE).values)
    for ops in [*made.groups, usage]:
        controller.store.txn([], ops)
    return made


def let_go(controller: Controller, node: str, name: str) -> None:
    controller.store.txn([], [Delete(keys.ATTACHMENTS.key(node, name))])


def refused(controller: Controller, address: str) -> bool:
    """Whether an address is not given to another endpoint."""
    try:
        controller.allocator.assign(Request("n1", "another", addresses=(ip_address(address),)))
    except Problem:
        return True
    return False


def where(controller: Controller, name: str) -> tuple[str, list[str]]:
    found = read(controller.store, keys.ENDPOINTS, name)
    assert found is not None
    return found.value.node, [str(address) for address in found.value.addresses]


def test_what_the_backup_knows_stays_and_twice_is_once(
    controller: Controller,
) -> None:
    endpoint = controller.allocator.assign(Request("n1", "a"))[0]
    controller.allocator.assign(Request("n1", "idle"))
    there = [holds(endpoint), held("b", "10.0.0.40")]
    made = complete(controller, n1=there)
    assert (made.confirmed, len(made.adopted), made.idle) == (1, 1, 1)
    before = controller.store.range("").items
    made = complete(controller, n1=there)
    assert (made.confirmed, made.adopted) == (2, [])
    assert controller.store.range("").items == before


def test_an_address_in_another_nodes_block_becomes_an_exception(controller: Controller) -> None:
    controller.allocator.assign(Request("n1", "a"))
    complete(controller, n2=[held("b", "10.0.0.9"), held("c", "10.0.0.20")])
    assert where(controller, "b") == ("n2", ["10.0.0.9"])
    assert read(controller.store, keys.DISPLACED, "n1", ip_address("10.0.0.9")) is not None


def test_a_block_that_the_backup_lacks_goes_to_the_node_that_holds_most_of_it(controller: Controller) -> None:
    complete(controller, n1=[held("moved", "10.0.0.17")], n2=[held("b", "10.0.0.18"), held("c", "10.0.0.19")])
    assert [(each.node, str(each.cidr)) for each in scan(controller.store, keys.BLOCKS).values] == [
        ("n2", "10.0.0.16/28")
    ]
    assert read(controller.store, keys.DISPLACED, "n2", ip_address("10.0.0.17")) is not None


def test_a_node_that_the_backup_lacks_is_for_people(controller: Controller) -> None:
    made = complete(controller, n3=[held("a", "10.0.0.17")])
    assert where(controller, "a") == ("n3", ["10.0.0.17"])
    assert made.refused == ["node n3: the backup lacks it; polder node create n3 --asn ASN"]


def test_who_really_holds_an_address_has_it(controller: Controller) -> None:
    address = controller.allocator.assign(Request("n1", "stale"))[0].addresses[0]
    made = complete(controller, n2=[held("real", str(address))])
    assert where(controller, "real") == ("n2", [str(address)])
    assert read(controller.store, keys.ENDPOINTS, "stale") is None
    assert "stale" in made.ended[0]


def test_the_exception_of_one_whose_address_another_really_holds_goes_with_it(controller: Controller) -> None:
    controller.allocator.assign(Request("n1", "a"))
    controller.allocator.assign(Request("n2", "stale", addresses=(ip_address("10.0.0.9"),)))
    assert read(controller.store, keys.DISPLACED, "n1", ip_address("10.0.0.9")) is not None
    complete(controller, n1=[held("real", "10.0.0.9")])
    assert where(controller, "real") == ("n1", ["10.0.0.9"])
    assert read(controller.store, keys.DISPLACED, "n1", ip_address("10.0.0.9")) is None


def test_an_endpoint_that_was_made_anew_since_the_backup_has_its_new_address(controller: Controller) -> None:
    controller.allocator.assign(Request("n1", "a"))
    complete(controller, n1=[held("a", "10.0.0.33")])
    assert where(controller, "a") == ("n1", ["10.0.0.33"])


def test_an_endpoint_that_moved_since_the_backup_is_where_it_is_held(controller: Controller) -> None:
    endpoint = controller.allocator.assign(Request("n1", "a", labels={"app": "web"}))[0]
    complete(controller, n1=[], n2=[holds(endpoint)])
    assert where(controller, "a") == ("n2", [str(endpoint.addresses[0])])
    found = read(controller.store, keys.ENDPOINTS, "a")
    assert found is not None
    assert (found.value.uid, found.value.labels) == (endpoint.uid, {"app": "web"}), "the backup knows these"


def assert_waits_for(controller: Controller, *nodes: str) -> None:
    """The deletion of `a` does: it ends when the last of them has let go."""
    for node in nodes:
        assert controller.releaser.release("a") is not None, f"{node} holds it"
        let_go(controller, node, "a")
    assert controller.releaser.release("a") is None


def test_an_endpoint_that_two_nodes_hold_stays_where_the_backup_says(controller: Controller) -> None:
    endpoint = controller.allocator.assign(Request("n1", "a"))[0]
    made = complete(controller, n1=[holds(endpoint)], n2=[holds(endpoint)])
    assert where(controller, "a") == ("n1", [str(endpoint.addresses[0])])
    assert (made.confirmed, made.adopted) == (2, [])
    assert_waits_for(controller, "n1", "n2")


def test_of_two_with_the_same_id_the_later_one_has_it_and_the_address_of_the_other_stays_taken(
    controller: Controller,
) -> None:
    for first, second in (("n1", "n2"), ("n2", "n1")):
        one = controller.allocator.assign(Request(first, "a"))[0]
        before = str(one.addresses[0])
        later = held("a", "10.0.0.40", uid=unique())
        there = {first: [holds(one)], second: [later]}
        made = write(controller, **there)
        assert where(controller, "a") == (second, ["10.0.0.40"])
        assert (made.confirmed, len(made.adopted)) == (0, 1)
        assert f"({before}) on node {first}" in made.refused[0]
        assert f"node {second} holds a later one" in made.refused[0]
        assert refused(controller, before)

        again = controller.store.range("").items
        assert write(controller, **there).refused == made.refused
        assert controller.store.range("").items == again, "twice is once"

        reclaimer = Reclaimer(controller.store, [controller.committer], now)
        assert controller.releaser.release("a") is not None, "it is held"
        let_go(controller, second, "a")
        assert controller.releaser.release("a") is None
        assert reclaimer.free_orphans() == [], "the other one is held still"
        let_go(controller, first, "a")
        assert [str(each.address) for each in reclaimer.free_orphans()] == [before]
        check(controller.store)


def test_of_two_with_the_same_id_and_address_both_are_waited_for(controller: Controller) -> None:
    one = controller.allocator.assign(Request("n1", "a"))[0]
    address = str(one.addresses[0])
    made = complete(controller, n1=[holds(one)], n2=[held("a", address, uid=unique())])
    assert where(controller, "a") == ("n2", [address])
    assert len(made.refused) == 1
    assert_waits_for(controller, "n2", "n1")


def test_what_a_node_holds_and_cannot_be_adopted_stays_taken_until_it_has_let_go(
    controller: Controller,
) -> None:
    endpoint = controller.allocator.assign(Request("n1", "a"))[0]
    controller.registry.create_pool(Pool(name="six", cidr="fd00::/112", cooldown_s=0))
    both = held("b", str(endpoint.addresses[0]), "fd00::9", tenant="red")
    made = write(controller, n1=[holds(endpoint)], n2=[both])
    assert "delete one of the two" in made.refused[0]
    assert refused(controller, "fd00::9")
    let_go(controller, "n2", "b")
    freed = Reclaimer(controller.store, [controller.committer], now).free_orphans()
    assert [str(each.address) for each in freed] == ["fd00::9"]
    check(controller.store)


def test_a_node_that_an_endpoint_has_left_is_still_waited_for(controller: Controller) -> None:
    endpoint = controller.allocator.assign(Request("n1", "a"))[0]
    attach(controller.store, endpoint, "n1")
    complete(controller, n2=[holds(endpoint)])
    let_go(controller, "n2", "a")
    assert controller.releaser.release("a") is not None, "n1 says nothing, and held it"
    let_go(controller, "n1", "a")
    assert controller.releaser.release("a") is None


@pytest.mark.parametrize("age", ["older", "younger"])
def test_a_service_ends_whose_address_an_endpoint_holds_that_was_made_after_it(
    controller: Controller, age: str
) -> None:
    """It was deleted since the backup. One that is younger has the address of an endpoint that is gone."""
    endpoint_uid = unique()
    since = now() if age == "older" else datetime.now(UTC) + timedelta(minutes=1)
    anycast = Anycast(controller.store, controller.committer, lambda: since)
    caller = Caller("", "", EVERYTHING)
    service = anycast.create(NewService(name="dns", pool="p", selector={"app": "dns"}), caller)[0].value
    one = held("real", str(service.address), uid=endpoint_uid)
    made = write(controller, n1=[one])
    there = read(controller.store, keys.SERVICES, "dns")
    if age == "older":
        check(controller.store)
        assert there is None
        assert where(controller, "real") == ("n1", [str(service.address)])
        assert made.ended == [
            f"service dns: endpoint real ({service.address}) on node n1 really holds its address"
        ]
    else:
        assert there is not None
        assert f"service dns holds {service.address} too" in made.refused[0]


def test_an_address_that_two_endpoints_really_hold_is_for_people(controller: Controller) -> None:
    endpoint = controller.allocator.assign(Request("n1", "a"))[0]
    address = str(endpoint.addresses[0])
    made = complete(controller, n1=[holds(endpoint)], n2=[held("b", address)])
    assert where(controller, "a") == ("n1", [address])
    assert read(controller.store, keys.ENDPOINTS, "b") is None
    assert "delete one of the two" in made.refused[0]


def test_one_made_anew_with_the_same_id_and_address_is_whose_the_node_says(controller: Controller) -> None:
    controller.store.txn([], [put(keys.TENANTS, Tenant(name="blue"), "blue")])
    address = str(controller.allocator.assign(Request("n1", "a", tenant="blue"))[0].addresses[0])
    made = complete(controller, n1=[held("a", address, labels={"app": "web"})])
    found = read(controller.store, keys.ENDPOINTS, "a")
    assert found is not None
    assert (found.value.tenant, found.value.labels, len(made.adopted)) == (None, {"app": "web"}, 1)
    assert read(controller.store, keys.USAGE, "blue") is None


def test_what_is_adopted_has_its_tenant_and_labels_and_counts(controller: Controller) -> None:
    controller.store.txn([], [put(keys.TENANTS, Tenant(name="blue", max_ipv4=2), "blue")])
    known = held("known", "10.0.0.9", tenant="blue", labels={"app": "web"})
    unknown = held("unknown", "10.0.0.10", tenant="red")
    made = complete(controller, n1=[known, unknown])
    found = read(controller.store, keys.ENDPOINTS, "known")
    assert found is not None
    assert (found.value.uid, found.value.tenant, found.value.labels) == (known.uid, "blue", {"app": "web"})
    used = {each.tenant: each.ipv4 for each in scan(controller.store, keys.USAGE).values}
    assert used == {"blue": 1, "red": 1}
    assert ["polder tenant create red" in each for each in made.adopted] == [False, True]
    controller.allocator.assign(Request("n1", "second", tenant="blue"))
    with pytest.raises(Problem, match="blue"):
        controller.allocator.assign(Request("n1", "third", tenant="blue"))
    let_go(controller, "n1", "unknown")
    controller.releaser.release("unknown")
    assert [each.tenant for each in scan(controller.store, keys.USAGE).values] == ["blue"]
    check(controller.store)


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


def test_what_a_node_holds_ends_when_it_has_let_go(controller: Controller) -> None:
    known = controller.allocator.assign(Request("n1", "known"))[0]
    complete(controller, n1=[holds(known), held("unknown", "10.0.0.9")])
    for name, address in (("known", str(known.addresses[0])), ("unknown", "10.0.0.9")):
        found = read(controller.store, keys.ATTACHMENTS, "n1", name)
        assert found is not None
        assert [str(each) for each in found.value.addresses] == [address]
        assert controller.releaser.release(name) is not None, "it is held"
        let_go(controller, "n1", name)
        assert controller.releaser.release(name) is None
    check(controller.store)


def test_what_an_agent_has_said_of_an_attachment_stays(controller: Controller) -> None:
    known = controller.allocator.assign(Request("n1", "known"))[0]
    attach(controller.store, known, "n1")
    complete(controller, n1=[holds(known)])
    found = read(controller.store, keys.ATTACHMENTS, "n1", "known")
    assert found is not None
    assert found.value.netns == "/run/netns/x"


def test_what_a_tenant_holds_is_counted_anew(controller: Controller) -> None:
    controller.store.txn([], [put(keys.TENANTS, Tenant(name="blue"), "blue")])
    address = controller.allocator.assign(Request("n1", "a", tenant="blue"))[0].addresses[0]
    controller.allocator.assign(Request("n1", "b", tenant="blue"))
    controller.registry.change(keys.POOLS, "p", lambda pool: pool.model_copy(update={"cooldown_s": 60}))
    controller.allocator.assign(Request("n1", "cooling", tenant="blue"))
    controller.releaser.release("cooling")
    complete(controller, n2=[held("real", str(address))])
    usage = read(controller.store, keys.USAGE, "blue")
    assert usage is not None
    assert usage.value.ipv4 == 1
