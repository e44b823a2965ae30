"""Lists in pages of one revision, filtered by what was asked for, and cursors that go nowhere else."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from controller.api.cursor import Cursor, parse
from controller.api.parameter import Number
from controller.app import NOUNS
from controller.problem import Problem
from controller.reading import put
from store import keys
from store.model import Address, AddressState, Advertised, Endpoint, EndpointState, Peer, Pool, Verified
from tests.unit.controller.conftest import NOW, Api


def names(api: Api, path: str) -> list[str]:
    """The names in a list, page after page."""
    found, following = [], path
    while following:
        page = api.get(following)
        found += [item.get("id") or item.get("name") or item.get("address") for item in page["items"]]
        sign = "&" if "?" in path else "?"
        following = f"{path}{sign}cursor={page['next']}" if "next" in page else ""
    return found


def store_endpoint(api: Api, number: int, **fields: Any) -> None:
    """An endpoint as it is stored, without the rest of the address plan."""
    endpoint = Endpoint(
        id=f"e{number}",
        uid=f"{number:032x}",
        node=f"node-{number % 2 + 1}",
        addresses=(f"10.64.0.{number + 1}",),
        mac="02:00:5e:10:00:01",
        **{"pools": ("default",), **fields},
    )
    record = put(keys.ENDPOINTS, endpoint, endpoint.id)
    copy = put(keys.NODE_ENDPOINTS, endpoint, endpoint.node, endpoint.id)
    api.store.txn([], [record, copy])


@pytest.fixture
def several(api: Api) -> Api:
    """Endpoints that differ in one thing each."""
    store_endpoint(api, 0, labels={"app": "web", "tier": "front"})
    store_endpoint(api, 1, labels={"app": "web"}, tenant="shop")
    store_endpoint(api, 2, labels={"app": "webber"}, state=EndpointState.RELEASING)
    store_endpoint(api, 3, labels={"web": "app"}, pools=("other",))
    store_endpoint(api, 4, labels={"app": ""})
    return api


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", "01234"),
        ("node=node-2", "13"),
        ("node=nobody", ""),
        ("pool=default", "0124"),
        ("tenant=shop", "1"),
        ("state=releasing", "2"),
        ("state=assigned", "0134"),
        ("label=app=web", "01"),
        ("label=app", "0124"),
        ("label=app=", "4"),
        ("label=app!=web", "234"),
        ("label=app=web&label=tier=front", "0"),
        ("label=app=web&label=tier!=front", "1"),
        ("label=app&node=node-1&state=assigned", "04"),
        ("label=none", ""),
    ],
)
@pytest.mark.parametrize("limit", ["", "limit=1", "limit=2"])
def test_what_is_asked_for_is_found_in_whole_pages(several: Api, query: str, ids: str, limit: str) -> None:
    asked = "&".join(filter(None, [limit, query]))
    assert names(several, f"/v1/endpoints?{asked}") == [f"e{number}" for number in ids]
    page = several.get(f"/v1/endpoints?{asked}")
    full = int(limit[6:]) if limit else 1000
    assert len(page["items"]) == min(full, len(ids))
    assert ("next" in page) == (len(ids) > full)


@pytest.mark.parametrize(
    ("path", "name", "right"),
    [
        ("/v1/endpoints?label=a%20b", "label", "app!=web"),
        ("/v1/endpoints?label=", "label", "app!=web"),
        ("/v1/endpoints?label=a=b=c", "label", "app!=web"),
        ("/v1/endpoints?state=gone", "state", "assigned or releasing"),
        ("/v1/endpoints?node=", "node", "lower-case"),
        ("/v1/endpoints?node=a/b", "node", "lower-case"),
        ("/v1/endpoints?node=a%0A", "node", "lower-case"),
        ("/v1/endpoints?node=a&node=b", "node", "twice"),
        ("/v1/endpoints?limit=1&limit=2", "limit", "twice"),
        ("/v1/endpoints?limit=1e3", "limit", "from 1 to 10000"),
        ("/v1/endpoints?after=e1", "after", "it takes limit, cursor, node, pool"),
        ("/v1/nodes/node-1?limit=1", "limit", "it takes none"),
        (f"/v1/endpoints?cursor={'x' * 2000}", "cursor", "too long"),
    ],
)
def test_a_wrong_parameter_is_named(api: Api, path: str, name: str, right: str) -> None:
    answer = api.client.get(path)
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/invalid")
    assert answer.json["errors"][0]["parameter"] == name
    assert right in answer.json["errors"][0]["detail"]


def test_all_pages_are_of_one_revision(several: Api) -> None:
    first = several.get("/v1/endpoints?limit=2")
    store_endpoint(several, 5)
    several.store.txn([], [put(keys.ENDPOINTS, _renamed(several, "e3"), "e3")])
    second = several.get(f"/v1/endpoints?limit=9&cursor={first['next']}")
    assert [item["id"] for item in second["items"]] == ["e2", "e3", "e4"]
    assert second["items"][1]["labels"] == {"web": "app"}
    assert second["revision"] == first["revision"]
    assert [item["id"] for item in several.get("/v1/endpoints")["items"]][-1] == "e5"


def _renamed(api: Api, endpoint_id: str) -> Endpoint:
    found = Endpoint.model_validate(
        {
            key: value
            for key, value in api.get(f"/v1/endpoints/{endpoint_id}").items()
            if key in Endpoint.model_fields
        }
    )
    return found.model_copy(update={"labels": {"new": "label"}})


def test_a_list_whose_revision_is_gone_has_to_begin_again(several: Api) -> None:
    page = several.get("/v1/endpoints?limit=2")
    store_endpoint(several, 5)
    several.store.compact(several.store.range("").revision)
    answer = several.client.get(f"/v1/endpoints?cursor={page['next']}")
    assert (answer.status_code, answer.json["type"]) == (410, "/problems/expired")
    assert "begin again" in answer.json["detail"]


def test_a_cursor_of_a_store_that_is_an_older_copy_is_gone_too(api: Api) -> None:
    store_endpoint(api, 0)
    cursor = Cursor(10**6, keys.ENDPOINTS.key("e0")).text('["/v1/endpoints", []]')
    assert api.client.get(f"/v1/endpoints?cursor={cursor}").status_code == 410


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nodes?limit=2&",
        "/v1/endpoints?limit=2&node=node-1&",
        "/v1/endpoints?limit=2&label=app=web&",
        "/v1/bgp/sessions?limit=2&",
    ],
)
def test_a_cursor_of_another_list_is_refused(several: Api, path: str) -> None:
    cursor = several.get("/v1/endpoints?limit=2&label=app")["next"]
    answer = several.client.get(f"{path}cursor={cursor}")
    assert (answer.status_code, answer.json["type"]) == (400, "/problems/cursor")
    assert answer.json["errors"][0]["parameter"] == "cursor"
    again = several.get(f"/v1/endpoints?label=app&cursor={cursor}&limit=9")
    assert [item["id"] for item in again["items"]] == ["e2", "e4"]


@pytest.mark.parametrize(
    "text",
    ["", "x", "e2", "%00", "ä", "W10", "e30", "bnVsbA", "WzEsMiwzXQ", "WzEsImEiLCJiIl0", "WzEsImEiXQ=="],
)
def test_what_is_no_cursor_is_refused(several: Api, text: str) -> None:
    answer = several.client.get(f"/v1/endpoints?cursor={quote(text, safe='%')}")
    assert (answer.status_code, answer.json["type"]) == (400, "/problems/cursor")


@pytest.mark.parametrize("revision", [0, -1, 2**63, True, 1.5, "1", None])
def test_a_forged_revision_is_refused(revision: Any) -> None:
    forged = Cursor(revision, "a").text("scope")
    with pytest.raises(Problem, match="another list"):
        parse(forged, "scope")
    assert parse(Cursor(7, "a").text("scope"), "scope") == Cursor(7, "a")


def test_routes_of_many_nodes_are_one_list_in_pages(api: Api) -> None:
    for node in ("a", "b", "c"):
        api.made("/v1/nodes", {"name": node, "asn": 64512})
        for number in range(3):
            route = Advertised(prefix=f"10.64.{number}.0/26", node=node, peers=("tor",))
            api.store.txn([], [put(keys.ADVERTISED, route, node, route.prefix)])
    seen, path = [], "/v1/bgp/routes?limit=2"
    while path:
        page = api.get(path)
        seen += [(item["node"], item["prefix"]) for item in page["items"]]
        if not seen[2:]:
            assert api.send("DELETE", "/v1/nodes/c").status_code == 204, "later pages are of the first's time"
        path = f"/v1/bgp/routes?limit=2&cursor={page['next']}" if "next" in page else ""
    assert seen == [(node, f"10.64.{number}.0/26") for node in "abc" for number in range(3)]
    assert len(api.get("/v1/bgp/routes?node=b")["items"]) == 3


def test_pools_peers_blocks_and_addresses_are_filtered_too(api: Api) -> None:
    for name, tenant in (("a", None), ("b", "shop"), ("c", "bank")):
        cidr = f"10.{65 + ord(name) - ord('a')}.0.0/24"
        pool = Pool(name=name, cidr=cidr, tenant=tenant)
        peer = Peer(name=name, address="192.0.2.1", asn=64501, node=tenant)
        held = Address(
            address=cidr.replace(".0/24", ".1"),
            pool=name,
            endpoint="x",
            node=name,
            tenant=tenant,
            since=NOW,
            state=AddressState.COOLDOWN if name == "c" else AddressState.ASSIGNED,
        )
        api.store.txn(
            [],
            [
                put(keys.POOLS, pool, name),
                put(keys.PEERS, peer, name),
                put(keys.ADDRESSES, held, name, cidr.replace("/24", "/26"), held.address),
            ],
        )
    assert names(api, "/v1/pools?tenant=shop") == ["b"]
    assert names(api, "/v1/peers?node=bank") == ["c"]
    assert names(api, "/v1/addresses?limit=1") == ["10.65.0.1", "10.66.0.1", "10.67.0.1"]
    assert names(api, "/v1/addresses?state=cooldown") == ["10.67.0.1"]
    assert names(api, "/v1/addresses?tenant=shop&pool=b&node=b") == ["10.66.0.1"]
    assert names(api, "/v1/addresses?tenant=shop&pool=a") == []


def test_what_routers_hold_is_listed_by_node_and_peer(api: Api) -> None:
    for node, peer in (("a", "tor-a"), ("a", "tor-b"), ("b", "tor-a")):
        made = Verified(node=node, peer=peer, router="10.9.0.0", controller="c", since=NOW, accepted=2)
        api.store.txn([], [put(keys.VERIFIED, made, node, peer)])

    def listed(query: str) -> list[tuple[str, str]]:
        return [(each["node"], each["peer"]) for each in api.get(f"/v1/bgp/differences{query}")["items"]]

    assert listed("") == [("a", "tor-a"), ("a", "tor-b"), ("b", "tor-a")]
    assert listed("?node=a") == [("a", "tor-a"), ("a", "tor-b")]
    assert listed("?peer=tor-a") == [("a", "tor-a"), ("b", "tor-a")]
    assert listed("?node=b&peer=tor-b") == []


NINES = "0" * 20 + "9" * 30
HUGE = "0" * 20 + "9" * 5000


@pytest.mark.parametrize("after", ["\ud800", f"{keys.ENDPOINTS.key('e0')}\udcff", "\u00e9"])
def test_a_forged_cursor_that_no_key_can_follow_is_refused(several: Api, after: str) -> None:
    cursor = Cursor(several.get("/v1/endpoints")["revision"], after).text('["/v1/endpoints", []]')
    answer = several.client.get(f"/v1/endpoints?cursor={cursor}")
    assert (answer.status_code, answer.json["type"]) == (400, "/problems/cursor")


@pytest.mark.parametrize("number", [NINES, HUGE, "0" * 5000 + "99999999999", "", "-1", "+1", "1_0", "\u0661"])
def test_a_number_is_checked_as_a_whole(plant: Api, number: str) -> None:
    plant.made("/v1/endpoints", {"id": "a", "node": "node-1"})
    before = plant.stored()
    for method, path in (
        ("GET", "/v1/pools?limit="),
        ("GET", "/v1/events?max_age_s="),
        ("GET", "/v1/pools?watch=poll&since=1&wait_s="),
        ("GET", "/v1/trace?source=a&destination=a&protocol=tcp&port="),
        ("GET", "/v1/bgp/router-config?vendor=frr&asn="),
        ("PATCH", "/v1/pools/default?max_withdraw="),
        ("PATCH", "/v1/endpoints/a?overlap_s="),
    ):
        answer = plant.send(method, path + quote(number), {} if method == "PATCH" else None)
        assert (answer.status_code, answer.json["type"]) == (422, "/problems/invalid"), path
        assert path.rpartition("?")[2].split("&")[-1].startswith(answer.json["errors"][0]["parameter"])
    assert plant.stored() == before


def test_zeros_before_a_number_mean_nothing(plant: Api) -> None:
    assert [each["name"] for each in plant.get(f"/v1/nodes?limit={'0' * 5000}2")["items"]] == [
        "node-1",
        "node-2",
    ]
    assert Number("n", "", {"minimum": 0, "maximum": 60}).value("0" * 5000) == 0


def test_every_whole_number_of_a_query_is_parsed_where_it_is_checked() -> None:
    declared = [each for noun in NOUNS for one in noun.operations for each in one.parameters]
    numbers = [each for each in declared if each.schema.get("type") == "integer"]
    assert numbers
    assert all(isinstance(each, Number) for each in numbers)
