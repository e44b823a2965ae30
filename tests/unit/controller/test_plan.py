"""What would make a pool less fragmented is listed, and not done."""

from __future__ import annotations

from tests.unit.controller.conftest import Api


def test_an_endpoint_outside_its_blocks_node_is_to_move_there(plant: Api) -> None:
    plant.made("/v1/endpoints", {"id": "a", "node": "node-1"})
    plant.made("/v1/endpoints", {"id": "b", "node": "node-2", "address": "10.64.0.2"})
    before = plant.stored()
    found = plant.get("/v1/pools/default/plan")
    assert plant.stored() == before
    assert [move["command"] for move in found["moves"]] == ["polder endpoint move b node-1"]
    assert found["sparse"] == []
    assert plant.send("PATCH", "/v1/endpoints/b", {"node": "node-1"}).status_code == 200
    assert plant.get("/v1/pools/default/plan")["moves"] == []


def test_a_block_whose_endpoints_fit_into_the_others_could_go_back(api: Api) -> None:
    api.made("/v1/pools", {"name": "p", "cidr": "10.0.0.0/26", "block_prefixlen": 28, "cooldown_s": 0})
    api.made("/v1/nodes", {"name": "n", "asn": 64512})
    for number in range(20):
        api.made("/v1/endpoints", {"id": f"e{number}", "node": "n"})
    assert api.get("/v1/pools/p/plan")["sparse"] == [], "the first block is full"
    for number in range(8):
        api.send("DELETE", f"/v1/endpoints/e{number}")
    (sparse,) = api.get("/v1/pools/p/plan")["sparse"]
    assert (sparse["block"], len(sparse["endpoints"])) == ("10.0.0.16/28", 5)
    assert sparse["commands"][:2] == [
        "polder endpoint delete e15",
        "polder endpoint create e15 --node n --pool p",
    ]
    assert api.client.get("/v1/pools/none/plan").status_code == 404
