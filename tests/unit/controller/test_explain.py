"""Why an address is what it is, who has it, and what frees it."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address

import pytest

from controller.ipam.explain import Facts, explain
from controller.reading import put
from store import keys
from store.client import Delete
from store.model import Address, AddressState, Block, Endpoint, EndpointState, Lost, Node, Pool
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
NODE = Node(name="n1", asn=64512)
LOST = Lost(node="n1", since=NOW)
COOLING = HELD.model_copy(update={"state": AddressState.COOLDOWN})
RELEASING = WEB.model_copy(update={"state": EndpointState.RELEASING})


def facts(address: str = "10.0.0.7", **given: object) -> Facts:
    whole: dict[str, object] = {"pool": POOL, "claim": CLAIM, "held": None} | given
    return Facts(ip_address(address), **whole)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "state", "why", "frees"),
    [
        pytest.param(
            facts(held=HELD, endpoint=WEB, node=NODE),
            "assigned",
            "to endpoint web of tenant blue on node n1 since 2026-01-01 00:00:00 UTC by ci in request r1",
            "polder endpoint delete web; its node lets go of it, then 60 s of cooldown",
            id="assigned",
        ),
        pytest.param(
            facts(held=HELD, endpoint=WEB, claim=Block(cidr="10.0.0.0/26", pool="p", node="n2")),
            "assigned",
            "outside its block's node: it is announced as 10.0.0.7/32",
            "polder endpoint delete web",
            id="outside its block",
        ),
        pytest.param(
            facts(held=HELD, endpoint=RELEASING, held_by=["n1", "n2"]),
            "assigned",
            "is being deleted; held still by n1, n2",
            "That node n1 and n2 lets go of it, then 60 s",
            id="releasing",
        ),
        pytest.param(
            facts(held=HELD, endpoint=RELEASING, node=NODE, lost=LOST),
            "assigned",
            "No program of node n1 lives since 2026-01-01 00:00:00 UTC",
            "that node n1 comes back and lets go of it, or stays away until 2026-01-02 00:00:00 UTC",
            id="its node is lost",
        ),
        pytest.param(
            facts(held=HELD, endpoint=WEB, node=Node(name="n1", asn=1, reclaim_after_s=0), lost=LOST),
            "assigned",
            "No program of node n1 lives",
            "(its reclaim_after_s is 0)",
            id="its node is never reclaimed",
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
    assert "10.0.0.0/24" in view.sentences[0]


def test_a_free_address_is_said_to_be_free() -> None:
    view = explain(facts())
    assert (view.available, view.why, view.frees) == (True, "", "")
    assert view.sentences[-1] == "It is free: the next request on node n1 may get it."


def test_the_end_of_a_cooldown_is_told() -> None:
    assert explain(facts(held=COOLING)).free_at == NOW + timedelta(seconds=62)


def test_who_holds_an_address_is_read_from_the_store(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    record = Endpoint.model_validate(
        {key: plant.get("/v1/endpoints/a")[key] for key in ("id", "uid", "node", "pools", "addresses", "mac")}
    )
    attach(plant.store, record, "node-1")
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
