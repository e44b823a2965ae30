"""What is not as it should be is found, named with its keys, and left alone."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.ipam.leftovers import remove_leftovers
from controller.ipam.orphans import free_orphans
from controller.reading import put, read, scan
from store import keys
from store.client import Delete, Op, Put, Range
from store.model import Address, Alive, Block, Displaced, Endpoint, HeldEndpoint, Holding, Program, Usage
from tests.support.gone import attach
from tests.support.ipam import check
from tests.unit.controller.conftest import NOW, Api

STRANGE = Block(cidr="10.64.0.4/30", pool="default", node="node-3")
STRAY = Address(address="10.64.0.5", pool="default", endpoint="ghost", node="node-2", since=NOW)


def kinds(api: Api) -> list[str]:
    before = api.stored()
    found = api.get("/v1/addresses:check")
    assert api.stored() == before, "nothing is changed"
    for each in found["findings"]:
        assert each["keys"], each
        assert each["cause"], each
        assert each["cure"], each
    return sorted({each["kind"] for each in found["findings"]})


def says(api: Api, node: str, *held: tuple[str, str]) -> None:
    """A node's agent lives and reads this from its switch."""
    one = [
        HeldEndpoint(
            endpoint=name,
            uid="0" * 32,
            mac="02:70:0a:40:00:01",
            addresses=(address,),
            netns="/x",
            ifname="eth0",
        )
        for name, address in held
    ]
    alive = Alive(node=node, program=Program.AGENT, boot_id="b", started=datetime(2026, 1, 1, tzinfo=UTC))
    holding = Holding(node=node, boot_id="b", endpoints=tuple(one))
    api.store.txn([], [put(keys.ALIVE, alive, node, "agent"), put(keys.HOLDING, holding, node)])


def record(api: Api, name: str) -> Endpoint:
    found = read(api.store, keys.ENDPOINTS, name)
    assert found is not None
    return found.value


@pytest.fixture
def whole(plant: Api) -> Api:
    """Endpoint a on node-1, attached and held; and one whose address is in another node's block."""
    plant.made("/v1/endpoints", {"id": "a", "node": "node-1"})
    plant.made("/v1/endpoints", {"id": "b", "node": "node-2", "address": "10.64.0.2"})
    attach(plant.store, record(plant, "a"), "node-1")
    says(plant, "node-1", ("a", "10.64.0.1"))
    return plant


def test_a_store_that_is_whole_has_no_finding(whole: Api) -> None:
    assert kinds(whole) == []
    found = whole.get("/v1/addresses:check")
    assert (found["endpoints"], found["addresses"]) == (2, 2)
    assert (found["heard"], found["unheard"]) == (["node-1"], ["node-2", "node-3"])


@pytest.mark.parametrize(
    ("gone", "found"),
    [
        (keys.ENDPOINTS.key("a"), ["address-without-endpoint", "copy-differs", "held-twice"]),
        (keys.NODE_ENDPOINTS.key("node-1", "a"), ["copy-differs"]),
        (keys.ADDRESSES.key("default", "10.64.0.0/30", "10.64.0.1"), ["endpoint-without-address"]),
        (keys.DISPLACED.key("node-1", "10.64.0.2"), ["exception-differs"]),
        (
            keys.BLOCKS.key("default", "10.64.0.0/30"),
            ["block-not-claimed", "claim-differs", "exception-differs"],
        ),
        (keys.NODE_BLOCKS.key("node-1", "10.64.0.0/30"), ["claim-differs"]),
        (keys.ATTACHMENTS.key("node-1", "a"), ["held-unattached"]),
    ],
)
def test_a_key_that_is_gone_is_missed(whole: Api, gone: str, found: list[str]) -> None:
    assert whole.store.get(gone) is not None
    whole.store.txn([], [Delete(gone)])
    told = kinds(whole)
    assert set(told) <= set(found) | {"held-unknown"}
    assert found[0] in told


@pytest.mark.parametrize(
    ("counted", "right"),
    [((3, 0), (2, 0)), (None, (2, 0)), ((0, 5), (0, 0))],
    ids=["too many", "none", "of a tenant without any"],
)
def test_a_sum_that_is_wrong_is_told_and_its_cure_mends_it(
    whole: Api, counted: tuple[int, int] | None, right: tuple[int, int]
) -> None:
    whole.made("/v1/tenants", {"name": "blue"})
    if right != (0, 0):
        whole.made("/v1/endpoints", {"id": "blue", "node": "node-1", "tenant": "blue"})
        whole.made(
            "/v1/services", {"name": "blue", "pool": "default", "tenant": "blue", "selector": {"a": "b"}}
        )
    assert kinds(whole) == [], "a service's address counts too"
    key = keys.USAGE.key("blue")
    wrong: Op = Delete(key)
    if counted is not None:
        wrong = put(keys.USAGE, Usage(tenant="blue", ipv4=counted[0], ipv6=counted[1]), "blue")
    whole.store.txn([], [wrong])
    assert kinds(whole) == ["usage-differs"]
    do_by_hand(whole)
    assert kinds(whole) == []
    check(whole.store)


def test_the_cure_of_a_copy_of_a_claim_mends_it(whole: Api) -> None:
    before = [(item.key, item.value) for item in whole.stored()]
    strange = put(keys.NODE_BLOCKS, STRANGE, "node-3", STRANGE.cidr)
    (mine,) = scan(whole.store, keys.NODE_BLOCKS, "node-1").values
    other = put(keys.NODE_BLOCKS, mine.model_copy(update={"node": "node-2"}), "node-1", mine.cidr)
    for wrong in (Delete(other.key), other, strange):
        whole.store.txn([], [wrong])
        assert kinds(whole) == ["claim-differs"]
        do_by_hand(whole)
        assert [(item.key, item.value) for item in whole.stored()] == before


def do_by_hand(api: Api) -> None:
    """What the only finding says is to be done in etcd."""
    (found,) = api.get("/v1/addresses:check")["findings"]
    verb, key, *value = shlex.split(found["cure"].partition("etcdctl")[2])
    assert key in found["keys"]
    api.store.txn([], [Put(key, value[0].encode()) if verb == "put" else Delete(key)])


def test_a_sum_is_compared_with_endpoints_of_the_same_moment(
    whole: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole.made("/v1/tenants", {"name": "blue"})
    monkeypatch.setattr("controller.reading.PAGE", 1)
    inner, asked = whole.parts.store.range, 0

    def between_two_pages(prefix: str, **given: Any) -> Range:
        nonlocal asked
        if prefix == keys.ENDPOINTS.prefix() and not (asked := asked + 1) - 2:
            whole.made("/v1/endpoints", {"id": "c", "node": "node-1", "tenant": "blue"})
        return inner(prefix, **given)

    monkeypatch.setattr(whole.parts.store, "range", between_two_pages)
    assert "usage-differs" not in [each["kind"] for each in whole.get("/v1/addresses:check")["findings"]]
    assert whole.get("/v1/tenants/blue")["used_ipv4"] == 1


def test_what_nodes_hold_is_compared_in_both_directions(whole: Api) -> None:
    says(whole, "node-1")
    assert kinds(whole) == ["not-held"]
    says(whole, "node-2", ("b", "10.64.0.2"))
    says(whole, "node-1", ("a", "10.64.0.1"))
    assert kinds(whole) == ["held-unattached"], "deleted now, its address would be free too early"
    attach(whole.store, record(whole, "b"), "node-2")
    assert kinds(whole) == []
    says(whole, "node-1", ("a", "10.64.0.1"), ("old", "10.64.0.3"))
    assert kinds(whole) == ["held-unknown"]
    says(whole, "node-1", ("a", "10.64.0.1"), ("old", "10.64.0.2"))
    assert kinds(whole) == ["held-twice"]


def test_an_address_of_no_endpoint_is_freed_unless_a_node_holds_it(whole: Api) -> None:
    stray: list[Op] = [put(keys.ADDRESSES, STRAY, "default", "10.64.0.4/30", STRAY.address)]
    whole.store.txn([], stray)
    assert kinds(whole) == ["address-without-endpoint"]
    ghost = record(whole, "a").model_copy(update={"id": "ghost"})
    attach(whole.store, ghost, "node-2")
    assert free_orphans(whole.store, whole.parts.committer) == []
    whole.store.txn([], [Delete(keys.ATTACHMENTS.key("node-2", "ghost"))])
    assert free_orphans(whole.store, whole.parts.committer) == [STRAY]
    assert kinds(whole) == []


@pytest.mark.parametrize("tenant", [None, "blue"])
def test_what_is_freed_is_counted_down_and_a_cooldown_stays(
    whole: Api, monkeypatch: pytest.MonkeyPatch, tenant: str | None
) -> None:
    monkeypatch.setattr("controller.ipam.orphans.PAGE", 1)
    whole.made("/v1/tenants", {"name": "blue"})
    for name in ("kept", "ghost", "left"):
        whole.made("/v1/endpoints", {"id": name, "node": "node-3", "tenant": tenant})
    assert whole.client.delete("/v1/endpoints/left").status_code == 204
    ghost = record(whole, "ghost")
    gone = (keys.ENDPOINTS.key("ghost"), keys.NODE_ENDPOINTS.key("node-3", "ghost"))
    whole.store.txn([], [Delete(key) for key in gone])
    freed = free_orphans(whole.store, whole.parts.committer)
    assert [each.address for each in freed] == list(ghost.addresses)
    left = {each["endpoint"]: each["state"] for each in whole.get("/v1/addresses")["items"]}
    assert left == {"a": "assigned", "b": "assigned", "kept": "assigned", "left": "cooldown"}
    assert kinds(whole) == []
    check(whole.store)


@pytest.mark.parametrize(
    ("owner", "endpoint", "address"),
    [("node-1", "ghost", "10.64.0.3"), ("node-1", "a", "10.64.0.1"), ("node-3", "b", "10.64.0.3")],
)
def test_an_exception_that_stands_for_nothing_goes(
    whole: Api, owner: str, endpoint: str, address: str
) -> None:
    before = whole.stored()
    stray = put(keys.DISPLACED, Displaced(address=address, endpoint=endpoint, node="node-2"), owner, address)
    whole.store.txn([], [stray])
    assert kinds(whole) == ["exception-differs"]
    assert remove_leftovers(whole.store, whole.parts.committer) == [stray.key]
    assert whole.stored() == before, "and the exception that is needed stays"


@pytest.mark.parametrize("ghost", ["a", "ghost", "node-1-a", "node-1.a", "node-10", "node-2.b", "z"])
def test_keys_below_no_node_go_once_none_of_its_programs_lives(whole: Api, ghost: str) -> None:
    before = whole.stored()
    attach(whole.store, record(whole, "a"), ghost)
    says(whole, ghost, ("a", "10.64.0.1"))
    assert "keys-without-node" in kinds(whole)
    assert remove_leftovers(whole.store, whole.parts.committer) == []
    whole.store.txn([], [Delete(keys.ALIVE.key(ghost, "agent"))])
    assert kinds(whole) == ["keys-without-node"]
    assert remove_leftovers(whole.store, whole.parts.committer) == [keys.node_prefix(ghost)]
    assert whole.stored() == before


def test_of_a_node_that_a_restored_backup_lacks_nothing_is_said_to_be_wrong_but_that(whole: Api) -> None:
    """Whoever deleted its endpoints would take down what works."""
    whole.store.txn([], [Delete(keys.NODES.key("node-1"))])
    (found,) = whole.get("/v1/addresses:check")["findings"]
    assert (found["kind"], found["severity"]) == ("keys-without-node", "alarm")
    assert found["cure"] == "polder node create node-1 --asn ASN"


@pytest.mark.parametrize("kind", [keys.NODE_ENDPOINTS, keys.NODE_BLOCKS])
def test_keys_below_no_node_stay_while_something_is_said_to_be_there(
    whole: Api, kind: keys.Kind[Endpoint]
) -> None:
    attach(whole.store, record(whole, "a"), "ghost")
    whole.store.txn([], [put(kind, record(whole, "a"), "ghost", "a")])
    assert remove_leftovers(whole.store, whole.parts.committer) == []
