"""Bad input is refused with the place and what would be right, and nothing is written."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from controller.reading import put
from store import keys
from store.model import Node, Pool
from tests.unit.controller.conftest import Api

POOL = {"name": "other", "cidr": "10.65.0.0/24"}
NODE = {"name": "node-9", "asn": 64599}
PEER = {"name": "tor-a", "address": "192.0.2.1", "asn": 64501, "node": "node-1"}
ENDPOINT = {"node": "node-1"}

BODIES = [
    # path, body, pointer, what the answer says would be right
    ("/v1/pools", {**POOL, "vlan": 3}, "/vlan", "the fields are name, cidr"),
    ("/v1/pools", {**POOL, "cooldown": 3}, "/cooldown", "did you mean cooldown_s?"),
    ("/v1/pools", {"cidr": "10.65.0.0/24"}, "/name", "is required"),
    ("/v1/pools", {**POOL, "name": "Other"}, "/name", "lower-case"),
    ("/v1/pools", {**POOL, "name": 7}, "/name", "expected text"),
    ("/v1/pools", {**POOL, "name": "a/b"}, "/name", "hyphens"),
    ("/v1/pools", {**POOL, "name": "x" * 64}, "/name", "1 to 63"),
    ("/v1/pools", {**POOL, "cidr": "10.65.0.1/24"}, "/cidr", "the network is 10.65.0.0/24"),
    ("/v1/pools", {**POOL, "cidr": "10.65.0.0"}, "/cidr", "such as 10.64.0.0/16"),
    ("/v1/pools", {**POOL, "cidr": 5}, "/cidr", "such as 10.64.0.0/16"),
    ("/v1/pools", {**POOL, "cidr": "0.0.0.0/0"}, "/cidr", "not a range"),
    ("/v1/pools", {**POOL, "cidr": "224.0.0.0/24"}, "/cidr", "not a range"),
    ("/v1/pools", {**POOL, "block_prefixlen": 20}, "/block_prefixlen", "use 24 to 32"),
    ("/v1/pools", {**POOL, "block_prefixlen": "26"}, "/block_prefixlen", "expected a whole number"),
    ("/v1/pools", {**POOL, "block_prefixlen": True}, "/block_prefixlen", "expected a whole number"),
    ("/v1/pools", {**POOL, "cooldown_s": -1}, "/cooldown_s", "at least 0"),
    ("/v1/pools", {**POOL, "cooldown_s": 10**30}, "/cooldown_s", "expected"),
    ("/v1/pools", {**POOL, "advertise": "both"}, "/advertise", "'block', 'host', 'summary' or 'none'"),
    ("/v1/nodes", {**NODE, "asn": 0}, "/asn", "at least 1"),
    ("/v1/nodes", {**NODE, "asn": 23456}, "/asn", "reserved"),
    ("/v1/nodes", {**NODE, "mtu_bytes": 576}, "/mtu_bytes", "at least 1280"),
    ("/v1/nodes", {**NODE, "router_id": "::1"}, "/router_id", "IPv4"),
    ("/v1/nodes", {**NODE, "router_id": 167772161}, "/router_id", "as text"),
    ("/v1/nodes", {**NODE, "labels": {"a b": "c"}}, "/labels/a b", "label key"),
    ("/v1/nodes", {**NODE, "labels": {"a/b": "?"}}, "/labels/a~1b", "label value"),
    (
        "/v1/nodes",
        {**NODE, "labels": {f"k{number}": "v" for number in range(65)}},
        "/labels",
        "at most 64 of them, not more",
    ),
    ("/v1/nodes", {**NODE, "next_hops": ["192.0.2.1"] * 3}, "/next_hops", "at most 2 of them, not 3"),
    ("/v1/nodes", {**NODE, "labels": []}, "/labels", "expected an object"),
    ("/v1/peers", {**PEER, "node": "node-7"}, "/node", "there are node-1, node-2, node-3"),
    ("/v1/peers", {**PEER, "hold_time_s": 2}, "/hold_time_s", "at least 3"),
    ("/v1/peers", {**PEER, "keepalive_s": 31}, "/keepalive_s", "a third of hold_time_s, 30"),
    (
        "/v1/peers",
        {**PEER, "node": "n", "node_selector": {"rack": "7"}},
        "/node_selector",
        "exclude each other",
    ),
    ("/v1/peers", {**PEER, "gtsm": True, "multihop_ttl": 3}, "/multihop_ttl", "exclude each other"),
    ("/v1/peers", {**PEER, "families": ["ipv4", "ipv4"]}, "/families", "names something twice"),
    ("/v1/peers", {**PEER, "imports": ["0.0.0.0/0"]}, "/imports/0", "called default-route"),
    ("/v1/peers", {**PEER, "imports": ["10.0.0.1/8"]}, "/imports/0", "host bits set"),
    ("/v1/peers", {**PEER, "imports": ["2001:db8::/32"]}, "/imports", "add it to families"),
    ("/v1/peers", {**PEER, "communities": ["7"]}, "/communities/0", "is not a community"),
    ("/v1/peers", {**PEER, "password_secret": "../x"}, "/password_secret", "lower-case letters"),
    ("/v1/nodes", {**NODE, "uplinks": [{"ifname": "eth0"}]}, "/uplinks/0/rate_mbps", "is required"),
    (
        "/v1/nodes",
        {**NODE, "uplinks": [{"ifname": "eth0", "rate_mbps": 1}, {"ifname": "eth0", "rate_mbps": 2}]},
        "/uplinks",
        "each interface once",
    ),
    ("/v1/endpoints", {**ENDPOINT, "qos": {"egress_rate": 5}}, "/qos/egress_rate", "did you mean"),
    ("/v1/endpoints", {**ENDPOINT, "qos": {"egress_rate_kbps": 64}}, "/qos/egress_rate_kbps", "at least 100"),
    ("/v1/endpoints", {**ENDPOINT, "qos": {"priority": 8}}, "/qos/priority", "at most 7"),
    (
        "/v1/endpoints",
        {**ENDPOINT, "qos": {"egress_rate_kbps": 1000, "egress_burst_kbit": 12}},
        "/qos/egress_burst_kbit",
        "at least 1000",
    ),
    (
        "/v1/endpoints",
        {**ENDPOINT, "qos": {"ingress_burst_kbit": 1000}},
        "/qos/ingress_burst_kbit",
        "is for ingress_rate_kbps",
    ),
    (
        "/v1/endpoints",
        {**ENDPOINT, "qos": {"egress_rate_kbps": 1000, "guaranteed_kbps": 2000}},
        "/qos/guaranteed_kbps",
        "at most egress_rate_kbps, which is 1000",
    ),
    ("/v1/nodes", {**NODE, "direct": "rack-7"}, "/direct", "direct needs next_hops"),
    ("/v1/nodes", {**NODE, "next_hops": ["10.0.0.1", "10.0.0.2"]}, "/next_hops", "at most one address"),
    ("/v1/peers", {**PEER, "address": "224.0.0.1"}, "/address", "unicast"),
    ("/v1/peers", {**PEER, "local_address": "2001:db8::1"}, "/local_address", "families"),
    *(
        ("/v1/pools", {**POOL, "cidr": cidr}, "/cidr", right)
        for cidr, right in (
            ("240.0.0.0/8", "240.0.0.0/4, which is reserved"),
            ("255.255.255.0/24", "such as one in 10.0.0.0/8"),
            ("192.0.0.0/2", "224.0.0.0/4"),
            ("0.1.0.0/16", "0.0.0.0/8"),
            ("126.0.0.0/7", "127.0.0.0/8"),
            ("169.254.0.0/15", "169.254.0.0/16"),
            ("::/96", "::/96"),
            ("::/8", "::ffff:0:0/96"),
            ("::ffff:10.80.0.0/120", "IPv4 to every host"),
            ("fe00::/8", "fe80::/10"),
            ("127.0.0.0/16", "not a range"),
            ("::1/128", "not a range"),
            ("fe80::/64", "not a range"),
            ("ff02::/64", "not a range"),
        )
    ),
    ("/v1/nodes", {**NODE, "router_id": "0.0.0.0"}, "/router_id", "leave it out"),
    ("/v1/nodes", {**NODE, "next_hops": ["255.255.255.255"]}, "/next_hops/0", "240.0.0.0/4"),
    (
        "/v1/nodes",
        {**NODE, "export": {"protocol": "sflow", "collector": "0.1.2.3"}},
        "/export/collector",
        "0.0.0.0/8",
    ),
    ("/v1/peers", {**PEER, "address": "255.255.255.255"}, "/address", "that a host can have"),
    ("/v1/peers", {**PEER, "address": "::ffff:192.0.2.1"}, "/address", "IPv4 to every host"),
    ("/v1/peers", {**PEER, "local_address": "0.0.0.1"}, "/local_address", "0.0.0.0/8"),
    ("/v1/peers", {**PEER, "address": "fe80::1"}, "/address", "is of one link"),
    ("/v1/nodes", {**NODE, "next_hops": ["192.0.2.1", "fe80::1"]}, "/next_hops/1", "is of one link"),
    ("/v1/endpoints", {**ENDPOINT, "mac": "00:00:00:00:00:00"}, "/mac", "leave mac out"),
    ("/v1/endpoints", {**ENDPOINT, "mac": "01:00:5e:00:00:01"}, "/mac", "unicast MAC"),
    ("/v1/endpoints", {**ENDPOINT, "mac": "ff:ff:ff:ff:ff:ff"}, "/mac", "unicast MAC"),
    ("/v1/endpoints", {}, "/node", "is required"),
    ("/v1/endpoints", {"node": "node-7"}, "/node", "there is no node 'node-7'"),
    ("/v1/endpoints", {**ENDPOINT, "pool": "defalt"}, "/pool", "there is default"),
    ("/v1/endpoints", {**ENDPOINT, "address": "10.99.0.1"}, "/address", "10.64.0.0/29"),
    ("/v1/endpoints", {**ENDPOINT, "pool": "default", "address": "10.99.0.1"}, "/address", "10.64.0.0/29"),
    ("/v1/endpoints", {**ENDPOINT, "address": "10.64.0.0"}, "/address", "first or last"),
    ("/v1/endpoints", {**ENDPOINT, "address": "10.64.0.1/32"}, "/address", "such as 10.64.0.7"),
    ("/v1/endpoints", {**ENDPOINT, "address": "fe80::1%eth0"}, "/address", "zone"),
    ("/v1/endpoints", {**ENDPOINT, "id": "-"}, "/id", "letter or digit"),
    ("/v1/endpoints", {**ENDPOINT, "ip": "10.64.0.1"}, "/ip", "unknown field"),
    (
        "/v1/pools",
        {**POOL, "segment": {"vlan": 1, "uplink": "eth1"}, "advertise": None},
        "/advertise",
        "expected 'block'",
    ),
]


@pytest.mark.parametrize(("path", "body", "pointer", "right"), BODIES)
def test_a_wrong_field_is_named_and_nothing_is_written(
    plant: Api, path: str, body: dict[str, Any], pointer: str, right: str
) -> None:
    before = plant.stored()
    answer = plant.send("POST", path, body)
    assert answer.status_code == 422, answer.text
    assert answer.content_type == "application/problem+json"
    problem = answer.json
    assert problem["type"] == "/problems/invalid"
    assert problem["status"] == 422
    details = {error["pointer"]: error["detail"] for error in problem["errors"]}
    assert right in details[pointer]
    assert plant.stored() == before


@pytest.mark.parametrize(
    "cidr",
    [
        "192.0.2.0/24",
        "198.18.0.0/15",
        "100.64.0.0/10",
        "192.168.0.0/16",
        "1.0.0.0/8",
        "223.255.255.0/24",
        "2001:db8::/48",
        "fd00::/48",
        "64:ff9b::/96",
    ],
)
def test_ranges_of_documentation_and_private_ones_are_pools(api: Api, cidr: str) -> None:
    assert api.made("/v1/pools", {"name": "p", "cidr": cidr})["cidr"] == cidr


def test_what_is_stored_and_can_never_work_is_read_and_changed_as_it_is(plant: Api) -> None:
    """It may be in use, where routers are told to take it."""
    pool = Pool(name="e", cidr="240.0.0.0/16")
    node = Node(name="node-0", asn=64510, router_id="0.0.0.0")
    plant.store.txn([], [put(keys.POOLS, pool, pool.name), put(keys.NODES, node, node.name)])
    assert plant.get("/v1/pools/e")["cidr"] == "240.0.0.0/16"
    assert plant.send("PATCH", "/v1/pools/e", {"priority": 7}).status_code == 200
    assert plant.send("PATCH", "/v1/pools/e", {"cidr": "240.0.0.0/15"}).status_code == 422
    assert plant.send("PATCH", "/v1/nodes/node-0", {"mtu_bytes": 1400}).status_code == 200
    assert plant.send("PATCH", "/v1/nodes/node-1", {"router_id": "0.0.0.0"}).status_code == 422
    assert plant.send("PATCH", "/v1/nodes/node-0", {"router_id": "10.0.0.1"}).status_code == 200
    assert plant.send("POST", "/v1/pools", {"name": "e2", "cidr": "240.0.1.0/24"}).status_code == 422


def test_every_fault_is_named_at_once(plant: Api) -> None:
    answer = plant.send("POST", "/v1/pools", {"cidr": "10.65.0.1/24", "cooldown_s": "x", "vlan": 1})
    assert {error["pointer"] for error in answer.json["errors"]} == {"/name", "/cidr", "/cooldown_s", "/vlan"}


@pytest.mark.parametrize(
    ("cidr", "other"),
    [("10.64.0.0/29", "same"), ("10.64.0.4/30", "part"), ("10.0.0.0/8", "whole"), ("10.64.0.0/28", "more")],
)
def test_overlapping_pools_are_refused(plant: Api, cidr: str, other: str) -> None:
    before = plant.stored()
    answer = plant.send("POST", "/v1/pools", {"name": other, "cidr": cidr})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/overlap")
    assert answer.json["errors"][0]["pointer"] == "/cidr"
    assert "10.64.0.0/29 of pool default" in answer.json["detail"]
    assert plant.stored() == before


def test_a_full_pool_is_a_conflict_with_its_figures(plant: Api) -> None:
    for number in range(3):
        plant.made("/v1/endpoints", {"node": "node-1", "id": f"a{number}"})
        plant.made("/v1/endpoints", {"node": "node-2", "id": f"b{number}"})
    plant.send("DELETE", "/v1/endpoints/a0")
    before = plant.stored()
    answer = plant.send("POST", "/v1/endpoints", {"node": "node-1"})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/pool-full")
    assert answer.json["pool"] == "default"
    assert answer.json["figures"] == {"blocks": 2, "blocks_of_node": 1, "assigned": 2, "cooling_down": 1}
    third = plant.send("POST", "/v1/endpoints", {"node": "node-3"})
    assert third.json["figures"] == {"blocks": 2, "blocks_of_node": 0, "assigned": 0, "cooling_down": 0}
    assert plant.stored() == before


def test_a_pool_in_use_is_not_deleted_until_its_addresses_have_cooled_down(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    before = plant.stored()
    answer = plant.send("DELETE", "/v1/pools/default")
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/in-use")
    assert "(endpoint a)" in answer.json["detail"]
    assert plant.stored() == before
    assert plant.send("DELETE", "/v1/endpoints/a").status_code == 204
    assert plant.send("DELETE", "/v1/pools/default").json["cooling_down"] == 1
    plant.wait(6)
    assert plant.send("DELETE", "/v1/pools/default").status_code == 204
    assert [item.key for item in plant.stored()] == [f"/polder/v1/nodes/node-{n}" for n in (1, 2, 3)]


def test_a_node_in_use_is_not_deleted(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    plant.made("/v1/peers", {**PEER, "node": "node-2"})
    before = plant.stored()
    by_endpoint = plant.send("DELETE", "/v1/nodes/node-1")
    by_peer = plant.send("DELETE", "/v1/nodes/node-2")
    assert (by_endpoint.status_code, by_endpoint.json["endpoints"]) == (409, ["a"])
    assert (by_peer.status_code, by_peer.json["peers"]) == (409, ["tor-a"])
    assert plant.stored() == before


def test_a_node_whose_block_serves_others_is_not_deleted(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    plant.send("PATCH", "/v1/endpoints/a", {"node": "node-2"})
    before = plant.stored()
    answer = plant.send("DELETE", "/v1/nodes/node-1")
    assert answer.status_code == 409
    assert "a on node-2" in answer.json["detail"]
    assert plant.stored() == before


RAW = [
    (b"", "application/json", 400, "empty"),
    (b"{", "application/json", 400, "not JSON"),
    (b'{"name": NaN}', "application/json", 400, "not JSON"),
    (b'{"name": "\xff"}', "application/json", 400, "not JSON"),
    (b'{"name": "\\ud800"}', "application/json", 400, "not JSON"),
    (b"[" * 100_000, "application/json", 400, "nested too deeply"),
    (b'{"labels": ' * 1000 + b"{}" + b"}" * 1000, "application/json", 400, "nested too deeply"),
    (b'{"name": "a", "name": "a"}', "application/json", 400, "'name' is given twice"),
    (b'{"labels": {"a": "1", "b": "2", "a": "3"}}', "application/json", 400, "'a' is given twice"),
    (b'{"asn": ' + b"9" * 10_000 + b"}", "application/json", 400, "not JSON"),
    (b"[]", "application/json", 422, "not an array"),
    (b"null", "application/json", 422, "not null"),
    (b'"x"', "application/json", 422, "not text"),
    (b"{}", "text/plain", 415, "application/json"),
    (b"{}", None, 415, "application/json"),
    (b'{"name":"' + b"x" * (1 << 20) + b'"}', "application/json", 413, "1048576"),
]


@pytest.mark.parametrize(("data", "content_type", "status", "words"), RAW)
def test_a_body_that_is_no_object_is_refused(
    plant: Api, data: bytes, content_type: str | None, status: int, words: str
) -> None:
    before = plant.stored()
    for method, path in [
        ("POST", "/v1/pools"),
        ("POST", "/v1/nodes"),
        ("POST", "/v1/peers"),
        ("POST", "/v1/endpoints"),
        ("PATCH", "/v1/nodes/node-1"),
    ]:
        answer = plant.client.open(path, method=method, data=data, content_type=content_type)
        assert answer.status_code == status, (path, answer.text)
        assert answer.content_type == "application/problem+json"
        assert words in answer.json["detail"]
    assert plant.stored() == before


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "\x09deflate"])
def test_a_compressed_body_is_called_that(plant: Api, coding: str) -> None:
    before = plant.stored()
    for data in (gzip.compress(b'{"name": "p"}'), b'{"name": "p"}'):
        headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
        answer = plant.client.post("/v1/tenants", data=data, headers=headers)
        assert (answer.status_code, answer.json["type"]) == (415, "/problems/media-type")
        assert "without Content-Encoding" in answer.json["detail"]
    assert plant.stored() == before


def test_a_body_may_be_called_what_it_is(plant: Api) -> None:
    answer = plant.client.post("/v1/tenants", json={"name": "p"}, headers={"Content-Encoding": "Identity"})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/", 404, "no-such-path"),
        ("GET", "/v1/pool", 404, "no-such-path"),
        ("GET", "/v1/pools/", 404, "no-such-path"),
        ("GET", "/%2Fv1/pools", 404, "no-such-path"),
        ("GET", "/%2F%2Fv1/pools?watch=sse", 404, "no-such-path"),
        ("GET", "/v1/pools/defalt", 404, "not-found"),
        ("GET", "/v1/pools/a%2Fb", 404, "no-such-path"),
        ("GET", "/v1/endpoints/nobody", 404, "not-found"),
        ("GET", "/v1/addresses/x", 404, "not-found"),
        ("GET", "/v1/addresses/192.0.2.1", 404, "not-found"),
        ("DELETE", "/v1/pools/nobody", 404, "not-found"),
        ("DELETE", "/v1/nodes/nobody", 404, "not-found"),
        ("DELETE", "/v1/peers/nobody", 404, "not-found"),
        ("DELETE", "/v1/endpoints/nobody", 404, "not-found"),
        ("POST", "/v1/nodes/a%0A:join-token", 404, "no-such-path"),
        ("PUT", "/v1/pools", 405, "method-not-allowed"),
        ("POST", "/v1/blocks", 405, "method-not-allowed"),
        ("DELETE", "/v1/pools", 405, "method-not-allowed"),
        ("BREW", "/v1/pools", 405, "method-not-allowed"),
        ("GET", "/v1/pools?limit=0", 422, "invalid"),
        ("GET", "/v1/pools?limit=-1", 422, "invalid"),
        ("GET", "/v1/pools?limit=%C2%B2", 422, "invalid"),
        ("GET", "/v1/pools?limit=99999999999999999999", 422, "invalid"),
        ("GET", "/v1/nodes?pool=default", 422, "invalid"),
    ],
)
def test_an_unknown_place_is_a_problem_too(
    plant: Api, method: str, path: str, status: int, kind: str
) -> None:
    before = plant.stored()
    answer = plant.client.open(path, method=method)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert answer.json["type"] == f"/problems/{kind}"
    assert plant.stored() == before


def test_what_is_near_is_named(plant: Api) -> None:
    assert "there is default" in plant.client.get("/v1/pools/defalt").json["detail"]
    assert "node-1" in plant.client.get("/v1/nodes/node1").json["detail"]
    assert plant.client.put("/v1/pools").headers["Allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize(
    ("path", "patch", "pointer", "right"),
    [
        ("/v1/pools/default", {"cidr": "10.64.0.0/30"}, "/cidr", "can only grow"),
        ("/v1/pools/default", {"cidr": "10.65.0.0/16"}, "/cidr", "can only grow"),
        ("/v1/pools/default", {"cidr": "2001:db8::/64", "reserved": []}, "/block_prefixlen", "does not fit"),
        ("/v1/pools/default", {"reserved": ["10.64.1.0"]}, "/reserved", "not inside 10.64.0.0/29"),
        ("/v1/pools/default", {"tenant": "red"}, "/tenant", "there is no tenant"),
        ("/v1/pools/default", {"priority": 1001}, "/priority", "at most 1000"),
        ("/v1/pools/default", {"name": "x"}, "/name", "cannot be changed"),
        ("/v1/pools/default", {"block_prefixlen": None}, "/block_prefixlen", "cannot be changed"),
        ("/v1/pools/default", {"vlan": 1}, "/vlan", "unknown field"),
        ("/v1/pools/default", {"cooldown": None}, "/cooldown", "did you mean cooldown_s"),
        ("/v1/endpoints/a", {"qos": {"dcsp": None}}, "/qos/dcsp", "did you mean dscp"),
        ("/v1/nodes/node-1", {"programs": {}}, "/programs", "is told by the server"),
        ("/v1/endpoints/a", {"ready": True}, "/ready", "is told by the server"),
        ("/v1/endpoints/a", {"pool": "default"}, "/pool", "unknown field"),
        ("/v1/pools/default", {"cooldown_s": "5"}, "/cooldown_s", "whole number"),
        ("/v1/nodes/node-1", {"name": "node-2"}, "/name", "cannot be changed"),
        ("/v1/nodes/node-1", {"asn": None}, "/asn", "is required"),
        ("/v1/endpoints/a", {"addresses": ["10.64.0.2"]}, "/addresses", "only node, labels, qos can"),
        ("/v1/endpoints/a", {"qos": {"dscp": 64}}, "/qos/dscp", "at most 63"),
        ("/v1/endpoints/a", {"qos": {"egress_burst_kbit": 2000}}, "/qos/egress_burst_kbit", "give both"),
        ("/v1/endpoints/a", {"node": "node-7"}, "/node", "there is no node"),
        ("/v1/endpoints/a", {"node": None}, "/node", "is required"),
        ("/v1/peers/tor-a", {"node": "node-2"}, "/node", "cannot be changed"),
        ("/v1/peers/tor-a", {"hold_time_s": 1}, "/hold_time_s", "at least 3"),
    ],
)
def test_a_wrong_patch_is_refused(
    plant: Api, path: str, patch: dict[str, Any], pointer: str, right: str
) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    plant.made("/v1/peers", PEER)
    before = plant.stored()
    answer = plant.send("PATCH", path, patch)
    assert answer.status_code == 422, answer.text
    details = {error["pointer"]: error["detail"] for error in answer.json["errors"]}
    assert right in details[pointer]
    assert plant.stored() == before


def test_without_a_pool_there_is_none(plant: Api) -> None:
    plant.send("DELETE", "/v1/pools/default")
    none = plant.send("POST", "/v1/endpoints", ENDPOINT)
    assert (none.status_code, none.json["errors"][0]["pointer"]) == (422, "/pool")


@pytest.mark.parametrize(
    ("path", "item"),
    [("/v1/endpoints:batch", {"id": "a"}), ("/v1/impact", {"method": "PUT", "path": "/v1/pools/default"})],
)
def test_an_array_is_not_called_too_short_for_what_is_wrong_in_it(
    plant: Api, path: str, item: dict[str, str]
) -> None:
    answer = plant.send("POST", path, {"items": [item]})
    assert [error["pointer"].rpartition("/")[0] for error in answer.json["errors"]] == ["/items/0"]
