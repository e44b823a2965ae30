"""What would make a pool less fragmented is listed, and not done; who does it comes to an end."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from cli.main import main
from controller.app import create_app
from controller.parts import Parts
from controller.reading import put, read
from store import keys
from store.client import KeyValue, Range
from store.model import Endpoint, Lost, Qos
from tests.support.client import client_of
from tests.support.gone import attach
from tests.unit.cli.canned import Reply, serving
from tests.unit.controller.conftest import NOW, Api

KEPT = ("id", "node", "tenant", "labels", "qos", "kind", "pools", "mac")


def do(api: Api, command: str) -> None:
    """What `polder` asks for when it is told so, asked of this controller."""
    _, *words = shlex.split(command)
    with serving(Reply(200, {"id": "x"})) as canned, pytest.raises(SystemExit) as ended:
        main([*words, "--server", canned.url])
    assert not ended.value.code, command
    asked = canned.asked[0]
    answer = api.send(asked.method, asked.target, asked.body)
    assert answer.status_code in {200, 201, 204}, (command, answer.text)


def anew(api: Api) -> Api:
    """Another controller over the same store."""
    parts = Parts.build(api.store, lambda: NOW)
    return Api(client_of(create_app(api.store, parts=parts)), api.store, parts, api.clock)


def commands(found: Any) -> list[str]:
    moves = [move["command"] for move in found["moves"]]
    return moves + [each for block in found["sparse"] for each in block["commands"]]


@pytest.fixture
def both(api: Api) -> Api:
    """A pool of each family in small blocks, and two nodes."""
    api.made("/v1/pools", {"name": "p4", "cidr": "10.0.0.0/24", "block_prefixlen": 29})
    api.made("/v1/pools", {"name": "p6", "cidr": "fd00::/120", "block_prefixlen": 125})
    api.made("/v1/tenants", {"name": "shop"})
    for number in (1, 2):
        api.made("/v1/nodes", {"name": f"n{number}", "asn": 64511 + number})
    return api


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
        "polder endpoint create e15 --node n --pool p --address 10.0.0.1",
    ]
    assert api.client.get("/v1/pools/none/plan").status_code == 404


def test_what_is_made_anew_keeps_all_but_its_addresses(both: Api) -> None:
    qos = Qos(
        egress_rate_kbps=100_000,
        egress_burst_kbit=2000,
        ingress_rate_kbps=512,
        ingress_burst_kbit=1000,
        egress_packets_per_s=10,
        ingress_packets_per_s=20,
        egress_connections_per_s=30,
        ingress_connections_per_s=40,
        guaranteed_kbps=100,
        priority=5,
        dscp=46,
    )
    assert all(value for value in qos.model_dump().values()), "every limit there is"
    whole = {
        "tenant": "shop",
        "labels": {"app": "web", "odd": ""},
        "kind": "vm",
        "mac": "52:54:00:12:34:56",
        "qos": qos.model_dump(),
        "pools": ["p4", "p6"],
    }
    both.made("/v1/endpoints", {"id": "whole", "node": "n1", **whole})
    for number in range(10):
        both.made("/v1/endpoints", {"id": f"e{number}", "node": "n1", "pools": ["p4", "p6"]})
    for number in range(6):
        both.send("DELETE", f"/v1/endpoints/e{number}")
    before = both.get("/v1/endpoints/whole")
    (sparse,) = both.get("/v1/pools/p4/plan")["sparse"]
    assert sparse["endpoints"] == ["whole"]
    for each in sparse["commands"]:
        do(both, each)
    after = both.get("/v1/endpoints/whole")
    assert {name: after[name] for name in KEPT} == {name: before[name] for name in KEPT}
    assert before["addresses"] == ["10.0.0.1", "fd00::1"]
    assert ip_address(after["addresses"][0]) in ip_network("10.0.0.8/29")
    shown = set(Endpoint.model_fields) - {"uid", "addresses", "state", "mtu_bytes", "membership", "asked"}
    assert shown == set(KEPT), "a field that is new is to be made anew too"


@pytest.mark.parametrize("pools", [["p4"], ["p4", "p6"]])
def test_who_does_what_is_listed_comes_to_an_end(both: Api, pools: list[str]) -> None:
    for number in range(30):
        both.made("/v1/endpoints", {"id": f"e{number}", "node": "n1", "pools": pools})
    for number in range(30):
        if number % 3:
            both.send("DELETE", f"/v1/endpoints/e{number}")
    both.wait(100)
    blocks = {name: number_of_blocks(both, name) for name in pools}
    for turn in range(20):
        now = anew(both)  # what a controller remembers is of no account
        todo = commands(now.get(f"/v1/pools/{pools[turn % len(pools)]}/plan"))
        for each in todo[:4]:
            do(now, each)
        now.wait(100)
        now.parts.close()
    for name in pools:
        assert commands(both.get(f"/v1/pools/{name}/plan")) == []
        assert number_of_blocks(both, name) < blocks[name]


def number_of_blocks(api: Api, pool: str) -> int:
    nodes = api.get(f"/v1/pools/{pool}/usage")["nodes"]
    return sum(block["assigned"] > 0 for node in nodes for block in node["blocks"])


def test_a_move_takes_nothing_away_from_home(both: Api) -> None:
    both.made("/v1/endpoints", {"id": "x", "node": "n2", "pool": "p6"})
    both.made("/v1/endpoints", {"id": "e", "node": "n1", "pools": ["p4", "p6"], "addresses": ["fd00::2"]})
    for name in ("p4", "p6"):
        assert both.get(f"/v1/pools/{name}/plan")["moves"] == [], "one is home, wherever it is"
    assert both.send("PATCH", "/v1/pools/p4", {"advertise": "host"}).status_code == 200
    assert commands(both.get("/v1/pools/p6/plan")) == ["polder endpoint move e n2"]
    assert both.send("PATCH", "/v1/pools/p6", {"advertise": "host"}).status_code == 200
    assert both.get("/v1/pools/p6/plan")["moves"] == [], "each has a route of its own anyway"


@pytest.mark.parametrize("away", ["lost", "drained"])
def test_nothing_is_brought_to_a_node_that_is_away(plant: Api, away: str) -> None:
    plant.made("/v1/endpoints", {"id": "a", "node": "node-1"})
    plant.made("/v1/endpoints", {"id": "b", "node": "node-2", "address": "10.64.0.2"})
    assert plant.get("/v1/pools/default/plan")["moves"]
    if away == "lost":
        plant.store.txn([], [put(keys.LOST, Lost(node="node-1", since=NOW), "node-1")])
    else:
        plant.made("/v1/nodes/node-1:drain", {})
    assert plant.get("/v1/pools/default/plan")["moves"] == []


def serve(api: Api) -> None:
    api.made("/v1/services", {"name": "s", "pool": "p4", "selector": {"a": "b"}, "address": "10.0.0.12"})


def borrow(api: Api) -> None:
    api.made("/v1/endpoints", {"id": "other", "node": "n2", "address": "10.0.0.12"})


def delete(api: Api) -> None:
    record = read(api.store, keys.ENDPOINTS, "e7")
    assert record is not None
    attach(api.store, record.value, "n1")
    assert api.send("DELETE", "/v1/endpoints/e7").status_code == 202


def disable(api: Api) -> None:
    assert api.send("PATCH", "/v1/pools/p4", {"disabled": True}).status_code == 200


def lose(api: Api) -> None:
    api.store.txn([], [put(keys.LOST, Lost(node="n1", since=NOW), "n1")])


def fill_the_other_family(api: Api) -> None:
    api.made("/v1/endpoints", {"id": "other", "node": "n1", "address": "fd00::2"})
    assert api.send("PATCH", "/v1/pools/p6", {"reserved": ["fd00::8/125"]}).status_code == 200


@pytest.mark.parametrize("happens", [serve, borrow, delete, disable, lose, fill_the_other_family])
def test_a_block_that_cannot_be_emptied_is_not_listed(both: Api, happens: Callable[[Api], None]) -> None:
    for number in range(8):
        both.made("/v1/endpoints", {"id": f"e{number}", "node": "n1", "pools": ["p4", "p6"]})
    both.send("DELETE", "/v1/endpoints/e1")
    both.wait(100)
    (sparse,) = both.get("/v1/pools/p4/plan")["sparse"]
    assert (sparse["block"], sparse["endpoints"]) == ("10.0.0.8/29", ["e7"])
    happens(both)
    assert both.get("/v1/pools/p4/plan")["sparse"] == []


@pytest.fixture
def read_ids(both: Api, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whose records are read from now on."""
    read_of: list[str] = []
    store = both.parts.store
    ranges, gets = store.range, store.get_many

    def note(found: Sequence[KeyValue]) -> None:
        read_of.extend(parts[0] for each in found if (parts := keys.ENDPOINTS.parts(each.key)))

    def range_(prefix: str, **options: Any) -> Range:
        found = ranges(prefix, **options)
        note(found.items)
        return found

    def get_many(wanted: Sequence[str]) -> Mapping[str, KeyValue]:
        found = gets(wanted)
        note(list(found.values()))
        return found

    monkeypatch.setattr(store, "range", range_)
    monkeypatch.setattr(store, "get_many", get_many)
    return read_of


def test_only_endpoints_are_read_that_a_plan_may_be_about(both: Api, read_ids: list[str]) -> None:
    both.made("/v1/endpoints", {"id": "near", "node": "n2", "pools": ["p4"]})
    for number in range(8):  # n1 fills a block, and has one endpoint in the next
        both.made("/v1/endpoints", {"id": f"e{number}", "node": "n1", "pools": ["p4"]})
    both.made("/v1/endpoints", {"id": "alone", "node": "n1", "pools": ["p4", "p6"]})
    read_ids.clear()
    assert commands(both.get("/v1/pools/p4/plan")) == []
    assert commands(both.get("/v1/pools/p6/plan")) == []
    assert read_ids == [], "nobody is away, and there is no room"
    both.made("/v1/endpoints", {"id": "away", "node": "n2", "address": "10.0.0.20"})
    read_ids.clear()
    assert commands(both.get("/v1/pools/p4/plan")) == ["polder endpoint move away n1"]
    assert read_ids == ["away"]
    both.send("DELETE", "/v1/endpoints/away")
    both.send("DELETE", "/v1/endpoints/e3")
    both.wait(100)
    read_ids.clear()
    assert both.get("/v1/pools/p4/plan")["sparse"][0]["endpoints"] == ["alone"]
    assert read_ids == ["alone"]
