"""Pools, nodes and peers: created, repeated, changed, listed and deleted."""

from __future__ import annotations

from typing import Any

import pytest

from controller import reading
from controller.reading import put
from store import keys
from store.model import Advertised, Alive, Amiss, Imported, ImportedPath, Peer, Program, Session, SessionState
from tests.support.ipam import check
from tests.unit.controller.conftest import NOW, Api

POOL = {"name": "p", "cidr": "10.1.0.0/16"}
NODE = {"name": "n", "asn": 64512}
PEER = {"name": "t", "address": "192.0.2.1", "asn": 64501}


@pytest.mark.parametrize(
    ("path", "body", "other"),
    [
        ("/v1/pools", POOL, {"cooldown_s": 1}),
        ("/v1/nodes", NODE, {"mtu_bytes": 9000}),
        ("/v1/peers", PEER, {"asn": 64502}),
    ],
)
def test_a_name_is_taken_once(api: Api, path: str, body: dict[str, Any], other: dict[str, Any]) -> None:
    made = api.send("POST", path, body)
    assert (made.status_code, made.headers["Location"]) == (201, f"{path}/{body['name']}")
    before = api.stored()
    again = api.send("POST", path, body)
    assert (again.status_code, again.json) == (200, made.json)
    different = api.send("POST", path, {**body, **other})
    assert (different.status_code, different.json["type"]) == (409, "/problems/conflict")
    assert [error["pointer"] for error in different.json["errors"]] == [f"/{next(iter(other))}"]
    assert api.stored() == before
    assert api.get(f"{path}/{body['name']}") == made.json
    assert api.get(path)["items"] == [made.json]
    assert api.send("DELETE", f"{path}/{body['name']}").status_code == 204
    assert api.stored() == ()


def test_defaults_are_shown(api: Api) -> None:
    assert api.made("/v1/pools", POOL) == {
        **POOL,
        "block_prefixlen": 26,
        "advertise": "block",
        "cooldown_s": 60,
        "reserved": [],
        "disabled": False,
        "priority": 100,
        "tenant": None,
        "node_selector": {},
        "borrow": False,
        "communities": [],
        "segment": None,
        "gateway": None,
    }
    assert api.made("/v1/nodes", NODE) == {
        **NODE,
        "router_id": None,
        "mtu_bytes": None,
        "labels": {},
        "reclaim_after_s": 86400,
        "next_hops": [],
        "edge": False,
        "direct": None,
        "uplinks": [],
        "export": None,
        "programs": {name: {"alive": False, "since": None, "amiss": []} for name in ("agent", "speaker")},
    }


def test_two_peers_of_one_address_meet_where_a_node_would_speak_with_both(api: Api) -> None:
    api.made("/v1/nodes", {**NODE, "labels": {"rack": "7"}})
    peer = {"name": "a", "address": "192.0.2.1", "asn": 64501, "node_selector": {"rack": "7"}}
    api.made("/v1/peers", peer)
    api.made("/v1/peers", {**peer, "name": "b", "node_selector": {"rack": "8"}})
    refused = api.send("POST", "/v1/peers", {**peer, "name": "c", "node_selector": {}})
    assert refused.status_code == 409
    assert "192.0.2.1 is peer a of node n already" in refused.json["detail"]


def test_a_patch_changes_what_can_change(api: Api) -> None:
    api.made("/v1/pools", POOL)
    changed = api.send("PATCH", "/v1/pools/p", {"advertise": "host", "cooldown_s": 7})
    assert (changed.status_code, changed.json["advertise"], changed.json["cooldown_s"]) == (200, "host", 7)
    assert api.send("PATCH", "/v1/pools/p", {"cooldown_s": None}).json["cooldown_s"] == 60
    api.made("/v1/nodes", NODE)
    assert api.send("PATCH", "/v1/nodes/n", {"router_id": "192.0.2.9"}).json["router_id"] == "192.0.2.9"
    assert api.send("PATCH", "/v1/nodes/n", {"router_id": None}).json["router_id"] is None
    api.made("/v1/peers", PEER)
    assert api.send("PATCH", "/v1/peers/t", {"hold_time_s": 3, "name": "t"}).json["hold_time_s"] == 3


def test_two_sessions_with_one_router_would_collide(api: Api) -> None:
    api.made("/v1/nodes", NODE)
    api.made("/v1/nodes", {**NODE, "name": "m"})
    api.made("/v1/peers", {**PEER, "node": "n"})
    api.made("/v1/peers", {**PEER, "name": "u", "node": "m"})
    before = api.stored()
    for node in ({"node": "n"}, {}):
        answer = api.send("POST", "/v1/peers", {**PEER, "name": "v", **node})
        assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (409, "/address")
    assert api.stored() == before
    api.made("/v1/peers", {**PEER, "name": "v", "node": "n", "address": "192.0.2.2"})
    answer = api.send("PATCH", "/v1/peers/v", {"address": "192.0.2.1"})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/conflict")


def test_an_address_collides_however_it_is_written(api: Api) -> None:
    api.made("/v1/peers", {**PEER, "address": "2001:db8::1"})
    answer = api.send("POST", "/v1/peers", {**PEER, "name": "u", "address": "2001:DB8:0::1"})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/conflict")


def test_of_a_new_peer_only_those_with_its_address_are_looked_into(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (2, 3, 4):
        api.made("/v1/peers", {**PEER, "name": f"t-{number}", "address": f"192.0.2.{number}"})
    read: list[str] = []
    decode = reading.decode

    def counted(model: type[Peer], data: bytes, *, key: str = "") -> Peer:
        read.append(key)
        return decode(model, data, key=key)

    monkeypatch.setattr(reading, "decode", counted)
    assert api.send("POST", "/v1/peers", {**PEER, "name": "u", "address": "192.0.2.3"}).status_code == 409
    assert read == [keys.PEERS.key("t-3")]


OPEN = {"name": "open", "ingress": [{"action": "allow"}]}


@pytest.mark.parametrize(("path", "body"), [("tenants", {"name": "red"}), ("policies", OPEN)])
def test_nodes_expect_to_be_told_of_endpoints_from_the_first_tenant_or_policy_on(
    api: Api, path: str, body: dict[str, Any]
) -> None:
    assert api.store.get(keys.TELLING.key()) is None
    api.made(f"/v1/{path}", body)
    api.made(f"/v1/{path}", {**body, "name": "second"})
    telling, made = api.store.get(keys.TELLING.key()), api.store.get(f"{keys.ROOT}{path}/{body['name']}")
    assert telling is not None
    assert made is not None
    assert telling.mod_revision == made.mod_revision, "in one transaction"


def test_a_deleted_node_leaves_nothing_of_its_own(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    plant.send("DELETE", "/v1/endpoints/a")
    said = Advertised(prefix="10.64.0.0/30", node="node-1", peers=("t",))
    plant.store.txn([], [put(keys.ADVERTISED, said, "node-1", said.prefix), _session("node-1")])
    assert plant.send("DELETE", "/v1/nodes/node-1").status_code == 204
    assert plant.get("/v1/blocks")["items"] == []
    assert plant.get("/v1/addresses/10.64.0.1")["state"] == "cooldown"
    assert not plant.store.range(keys.node_prefix("node-1")).items
    assert plant.get("/v1/bgp/sessions")["items"] == []
    given = {plant.made("/v1/endpoints", {"node": "node-2"})["addresses"][0] for _ in range(5)}
    assert given == {f"10.64.0.{last}" for last in (2, 3, 4, 5, 6)}
    check(plant.store)


def _session(node: str) -> Any:
    session = Session(
        node=node, peer="t", address="192.0.2.1", asn=64501, state=SessionState.ESTABLISHED, since=NOW
    )
    return put(keys.SESSIONS, session, node, "t")


def test_a_deleted_pool_takes_its_claims_along_in_any_number(api: Api) -> None:
    api.made("/v1/pools", {"name": "p", "cidr": "10.1.0.0/24", "block_prefixlen": 32, "cooldown_s": 0})
    api.made("/v1/nodes", NODE)
    for number in range(90):
        api.made("/v1/endpoints", {"node": "n", "id": f"e{number}"})
    for number in range(90):
        api.send("DELETE", f"/v1/endpoints/e{number}")
    assert len(api.get("/v1/blocks?pool=p")["items"]) == 90, "and not that of the network address"
    assert api.send("DELETE", "/v1/pools/p").status_code == 204
    assert [item.key for item in api.stored()] == ["/polder/v1/nodes/n"]


def test_programs_and_sessions_are_shown_with_their_life(plant: Api) -> None:
    found = {"reason": "uplink-mtu", "uplink": "eth0", "detail": "that; do this"}
    alive = Alive(node="node-1", program=Program.SPEAKER, boot_id="b", started=NOW, amiss=(Amiss(**found),))
    plant.store.txn([], [put(keys.ALIVE, alive, "node-1", "speaker"), _session("node-1"), _session("node-2")])
    sessions = plant.get("/v1/bgp/sessions")["items"]
    assert [(each["node"], each["state"], each["stale"]) for each in sessions] == [
        ("node-1", "ESTABLISHED", False),
        ("node-2", "ESTABLISHED", True),
    ]
    assert plant.get("/v1/bgp/sessions?node=node-2")["items"] == sessions[1:]
    programs = plant.get("/v1/nodes")["items"][0]["programs"]
    assert programs == plant.get("/v1/nodes/node-1")["programs"]
    assert programs["speaker"] == {
        "alive": True,
        "since": "2026-01-01T00:00:00Z",
        "amiss": [found],
    }
    assert programs["agent"] == {"alive": False, "since": None, "amiss": []}


def test_what_all_nodes_import_is_in_one_list(plant: Api) -> None:
    path = ImportedPath(peer="t", next_hop="10.0.1.0", as_path=(64501,), used=True)
    for node in ("node-1", "node-2"):
        made = Imported(prefix="0.0.0.0/0", node=node, paths=(path,))
        plant.store.txn([], [put(keys.IMPORTED, made, node, made.prefix)])
    shown = plant.get("/v1/bgp/imported")["items"]
    assert [(each["node"], each["prefix"], each["paths"][0]["next_hop"]) for each in shown] == [
        ("node-1", "0.0.0.0/0", "10.0.1.0"),
        ("node-2", "0.0.0.0/0", "10.0.1.0"),
    ]
    assert plant.get("/v1/bgp/imported?node=node-2")["items"] == shown[1:]


def test_routes_of_all_nodes_are_in_one_list(plant: Api) -> None:
    routes = [
        Advertised(prefix=prefix, node=node, peers=("t",))
        for prefix, node in (("10.64.0.0/30", "node-1"), ("10.64.0.1/32", "node-2"))
    ]
    routes[1] = routes[1].model_copy(update={"peers": ("t", "u")})
    plant.store.txn([], [put(keys.ADVERTISED, each, each.node, each.prefix) for each in routes])
    shown = plant.get("/v1/bgp/routes")["items"]
    assert [(each["node"], each["prefix"], each["peers"]) for each in shown] == [
        ("node-1", "10.64.0.0/30", ["t"]),
        ("node-2", "10.64.0.1/32", ["t", "u"]),
    ]
    assert plant.get("/v1/bgp/routes?node=node-2")["items"] == shown[1:]
    assert plant.get("/v1/bgp/routes?peer=u")["items"] == shown[1:]
    assert plant.get("/v1/bgp/routes?prefix=10.64.0.0/30")["items"] == shown
    assert plant.get("/v1/bgp/routes?prefix=10.64.0.1/32&peer=t")["items"] == shown[1:]
    assert plant.get("/v1/bgp/routes?prefix=2001:db8::/32")["items"] == []
    refused = plant.send("GET", "/v1/bgp/routes?prefix=10.64.0.1/30")
    assert (refused.status_code, refused.json["errors"][0]["parameter"]) == (422, "prefix")
    assert "the network is 10.64.0.0/30" in refused.json["detail"]
