"""Why an address is what it is, who has it, and what frees it."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest

from controller.ipam.explain import Facts, explain
from controller.reading import put, read
from controller.withdrawing import Withdrawals
from store import keys
from store.client import Delete
from store.model import Address, AddressState, Advertise, Block, Endpoint, EndpointState, Lost, Node, Pool
from tests.support.gone import attach
from tests.unit.controller.conftest import NOW, Api

POOL = Pool(name="p", cidr="10.0.0.0/24", block_prefixlen=26, reserved=("10.0.0.8/29",))
CLAIM = Block(cidr="10.0.0.0/26", pool="p", node="n1")
HELD = Address(
    address="10.0.0.7", pool="p", endpoint="web", node="n1", since=NOW, tenant="blue", by="ci", request="r1"
)
WEB = Endpoint(
    id="web", uid="0" * 32, node="n1", pools=("p",), addresses=("10.0.0.7",), mac="02:70:0a:00:00:07"
)
NODES = {
    "n1": Node(name="n1", asn=64512),
    "n2": Node(name="n2", asn=64513, reclaim_after_s=3600),
}
NEVER = Node(name="n1", asn=64512, reclaim_after_s=0)
LOST = {name: Lost(node=name, since=NOW) for name in NODES}
HOST = ip_network("10.0.0.7/32")
COOLING = HELD.model_copy(update={"state": AddressState.COOLDOWN})
RELEASING = WEB.model_copy(update={"state": EndpointState.RELEASING})


def facts(address: str = "10.0.0.7", **given: object) -> Facts:
    whole: dict[str, object] = {"pool": POOL, "claim": CLAIM, "held": None} | given
    return Facts(ip_address(address), **whole)


@pytest.mark.parametrize(
    ("given", "state", "why", "frees"),
    [
        pytest.param(
            facts(held=HELD, endpoint=WEB, nodes=NODES),
            "assigned",
            "to endpoint web of tenant blue on node n1 since 2026-01-01 00:00:00 UTC by ci in request r1",
            "Deleting it: polder endpoint delete web, then 60 s of cooldown.",
            id="assigned",
        ),
        pytest.param(
            facts(held=HELD, endpoint=WEB, nodes=NODES, held_by=["n1"]),
            "assigned",
            "to endpoint web",
            "Deleting it: polder endpoint delete web, and that node n1 lets go of it, then 60 s of cooldown.",
            id="attached",
        ),
        pytest.param(
            facts(held=HELD, endpoint=WEB, claim=Block(cidr="10.0.0.0/26", pool="p", node="n2")),
            "assigned",
            "outside its block's node: its node announces 10.0.0.7/32 of its own, once it delivers it.",
            "polder endpoint delete web",
            id="outside its block",
        ),
        *(
            pytest.param(
                facts(
                    held=HELD,
                    endpoint=WEB,
                    claim=Block(cidr="10.0.0.0/26", pool="p", node="n2"),
                    pool=POOL.model_copy(update={"advertise": advertise}),
                ),
                "assigned",
                f"outside its block's node: {said}.",
                "polder endpoint delete web",
                id=f"outside its block, {advertise}",
            )
            for advertise, said in (
                (Advertise.NONE, "nothing of pool p is announced"),
                (Advertise.HOST, "its node announces 10.0.0.7/32, as all of pool p are, once it delivers it"),
            )
        ),
        pytest.param(
            facts(held=HELD, endpoint=RELEASING, held_by=["n1", "n2"]),
            "assigned",
            "is being deleted; held still by n1, n2",
            "That node n1 lets go of it, and that node n2 lets go of it, then 60 s",
            id="releasing",
        ),
        pytest.param(
            facts(held=HELD, endpoint=RELEASING),
            "assigned",
            "is being deleted.",
            "Its end, within seconds, then 60 s of cooldown.",
            id="releasing, and held no more",
        ),
        pytest.param(
            facts(held=HELD, endpoint=RELEASING, held_by=["n1"], nodes=NODES, lost=LOST),
            "assigned",
            "No program of node n1 lives since 2026-01-01 00:00:00 UTC",
            "That node n1 comes back and lets go of it, or stays away until 2026-01-02 00:00:00 UTC, then",
            id="its node is lost",
        ),
        pytest.param(
            facts(held=HELD, endpoint=RELEASING, held_by=["n1", "n2"], nodes=NODES, lost={"n2": LOST["n2"]}),
            "assigned",
            "held still by n1, n2. No program of node n2 lives",
            "That node n1 lets go of it, and that node n2 comes back and lets go of it, or stays away until "
            "2026-01-01 01:00:00 UTC, then",
            id="a former node is lost",
        ),
        pytest.param(
            facts(held=HELD, endpoint=WEB, nodes=NODES, lost=LOST),
            "assigned",
            "No program of node n1 lives",
            "Deleting it: polder endpoint delete web, or that node n1 stays away until 2026-01-02 00:00",
            id="its node is lost, and does not hold it",
        ),
        pytest.param(
            facts(held=HELD, endpoint=WEB, held_by=["n1"], nodes={"n1": NEVER}, lost=LOST),
            "assigned",
            "No program of node n1 lives",
            "delete web, and that node n1 comes back and lets go of it (its reclaim_after_s is 0), then",
            id="its node is never reclaimed",
        ),
        *(
            pytest.param(
                facts(held=held, endpoint=WEB, pool=POOL.model_copy(update=update)),
                state,
                why,
                f". After that: {after}.",
                id=f"{state}, {after}",
            )
            for held, state, why in (
                (HELD, "assigned", "to endpoint web"),
                (COOLING, "cooldown", "cools down"),
            )
            for update, after in (
                ({"reserved": (HOST,)}, "taking the range out of `reserved` of pool p"),
                ({"disabled": True}, "setting `disabled` of pool p to false"),
                (
                    {"reserved": (HOST,), "disabled": True},
                    "taking the range out of `reserved` of pool p, and setting `disabled` of pool p to false",
                ),
                ({"cidr": ip_network("10.0.0.0/29")}, "nothing"),
            )
        ),
        pytest.param(
            facts(held=HELD), "assigned", "There is no endpoint web", "reclaim of addresses", id="no endpoint"
        ),
        pytest.param(
            facts(held=COOLING),
            "cooldown",
            "cools down since 2026-01-01 00:00:00 UTC, when endpoint web of tenant blue on node n1 was gone",
            "over at 2026-01-01 00:01:02 UTC at the latest",
            id="cooldown",
        ),
        pytest.param(
            facts("10.0.0.9"), "reserved", "never assigns 10.0.0.8/29", "`reserved` of pool p", id="reserved"
        ),
        pytest.param(facts("10.0.0.0"), "reserved", "the first address of", "Nothing.", id="first"),
        pytest.param(facts("10.0.0.255"), "reserved", "the last address", "Nothing.", id="last"),
        pytest.param(
            facts(pool=POOL.model_copy(update={"disabled": True})),
            "free",
            "pool p is disabled",
            "`disabled` of pool p",
            id="disabled",
        ),
    ],
)
def test_it_is_said_why_an_address_is_not_free_and_what_frees_it(
    given: Facts, state: str, why: str, frees: str
) -> None:
    view = explain(given)
    assert view.state == state
    assert not view.available
    assert why in view.why
    assert frees in view.frees
    told = " ".join(view.sentences)
    assert view.why in told
    assert frees[1:] in told
    assert str(given.pool.cidr) in view.sentences[0]


def test_a_free_address_is_said_to_be_free() -> None:
    view = explain(facts())
    assert (view.available, view.why, view.frees) == (True, "", "")
    assert view.sentences[-1] == "It is free: the next request on node n1 may get it."


def test_the_end_of_a_cooldown_is_told() -> None:
    assert explain(facts(held=COOLING)).free_at == NOW + timedelta(seconds=62), "as of older controllers"
    fixed = NOW + timedelta(seconds=7)
    view = explain(facts(held=COOLING.model_copy(update={"free_at": fixed})))
    assert view.free_at == fixed
    assert "2026-01-01 00:00:07 UTC" in view.frees


def test_a_cooldown_ends_as_it_was_when_it_began(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    plant.made("/v1/services", {"name": "s", "pool": "default", "selector": {"a": "b"}})
    assert "free_at" not in plant.get("/v1/addresses")["items"][0], "older programs read what is assigned"
    for path in ("endpoints/a", "services/s"):
        assert plant.send("DELETE", f"/v1/{path}").status_code == 204
    Withdrawals(plant.store, plant.parts.committer, plant.parts.clock).look()
    assert plant.send("PATCH", "/v1/pools/default", {"cooldown_s": 900}).status_code == 200
    cooling = plant.get("/v1/addresses")["items"]
    assert [each["free_at"] for each in cooling] == ["2026-01-01T00:00:07Z"] * 2
    for each in cooling:
        assert plant.get(f"/v1/addresses/{each['address']}")["free_at"] == "2026-01-01T00:00:07Z"
    plant.wait(7)
    assert plant.get("/v1/addresses")["items"] == []


def test_what_a_deletion_waits_for_is_what_is_said(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    attach(plant.store, record(plant, "a"), "node-1")
    assert plant.send("PATCH", "/v1/endpoints/a?overlap_s=0", {"node": "node-2"}).status_code == 200
    plant.store.txn([], [put(keys.LOST, LOST["n1"], f"node-{number}") for number in (1, 2)])
    said = plant.get("/v1/addresses/10.64.0.1")
    assert said["held_by"] == ["node-1"]
    assert (
        "and that node node-1 comes back and lets go of it, or stays away until 2026-01-02" in said["frees"]
    )
    assert plant.send("DELETE", "/v1/endpoints/a").status_code == 202
    plant.store.txn([], [Delete(keys.ATTACHMENTS.key("node-1", "a"))])
    assert plant.get("/v1/addresses/10.64.0.1")["frees"].startswith("Its end, within seconds")
    assert plant.send("DELETE", "/v1/endpoints/a").status_code == 204


def record(api: Api, name: str) -> Endpoint:
    found = read(api.store, keys.ENDPOINTS, name)
    assert found is not None
    return found.value


def test_who_holds_an_address_is_read_from_the_store(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    attach(plant.store, record(plant, "a"), "node-1")
    found = plant.get("/v1/addresses/10.64.0.1")
    assert (found["held_by"], found["releasing"], found["since"]) == (
        ["node-1"],
        False,
        "2026-01-01T00:00:00Z",
    )
    plant.store.txn([], [put(keys.LOST, Lost(node="node-1", since=NOW), "node-1")])
    plant.send("DELETE", "/v1/endpoints/a")
    found = plant.get("/v1/addresses/10.64.0.1")
    assert found["releasing"]
    assert "No program of node node-1 lives" in found["why"]
    plant.store.txn([], [Delete(keys.ENDPOINTS.key("a"))])
    assert "There is no endpoint a" in plant.get("/v1/addresses/10.64.0.1")["why"]
