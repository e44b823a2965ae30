"""Endpoints: assigned, repeated, wanted, moved, deleted; what the address plan and the nodes then say."""

from __future__ import annotations

import re

import pytest

from controller.api.endpoint_view import EndpointView
from controller.reading import put, read, scan
from store import keys
from store.client import Delete
from store.model import Alive, Attachment, Displaced, Endpoint, EndpointState, Program, Ready, host_prefix
from tests.support.ipam import check
from tests.unit.controller.conftest import NOW, Api


def attach(api: Api, endpoint_id: str, *, ready: bool = False) -> Attachment:
    """What a node's agent writes when it takes an endpoint up."""
    found = read(api.store, keys.ENDPOINTS, endpoint_id)
    assert found is not None
    endpoint = found.value
    attachment = Attachment(
        endpoint=endpoint.id,
        node=endpoint.node,
        addresses=endpoint.addresses,
        netns="/run/netns/c1",
        ifname="eth0",
        boot_id="boot-1",
    )
    writes = [put(keys.ATTACHMENTS, attachment, endpoint.node, endpoint.id)]
    if ready:
        prefix = host_prefix(endpoint.addresses[0])
        said = Ready(prefix=prefix, node=endpoint.node, boot_id="boot-1")
        writes.append(put(keys.READY, said, endpoint.node, prefix))
    api.store.txn([], writes)
    return attachment


def test_the_answer_is_what_a_workload_needs(plant: Api) -> None:
    answer = plant.send("POST", "/v1/endpoints", {"id": "a", "node": "node-3", "labels": {"app": "web"}})
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/v1/endpoints/a"
    assert re.fullmatch("[0-9a-f]{32}", answer.json["uid"])
    assert answer.json == {
        "id": "a",
        "uid": answer.json["uid"],
        "node": "node-3",
        "tenant": None,
        "pools": ["default"],
        "addresses": ["10.64.0.1"],
        "prefixes": ["10.64.0.1/32"],
        "gateways": ["169.254.1.1"],
        "mac": "02:70:0a:40:00:01",
        "mtu_bytes": 9000,
        "labels": {"app": "web"},
        "qos": None,
        "state": "assigned",
        "kind": "container",
        "membership": None,
        "attached": False,
        "ready": False,
    }
    assert plant.get("/v1/endpoints/a") == answer.json
    check(plant.store)


def test_ipv6_goes_through_the_link_local_gateway(plant: Api) -> None:
    plant.made("/v1/pools", {"name": "six", "cidr": "2001:db8::/64"})
    made = plant.made("/v1/endpoints", {"node": "node-1", "pool": "six"})
    assert made["prefixes"] == ["2001:db8::1/128"]
    assert made["gateways"] == ["fe80::1"]
    assert made["mac"].startswith("02:70:")


def test_a_machine_may_have_a_mac_of_its_own(plant: Api) -> None:
    body = {"id": "vm", "node": "node-1", "kind": "vm", "mac": "52:54:00:AB:CD:EF"}
    made = plant.made("/v1/endpoints", body)
    assert (made["kind"], made["mac"]) == ("vm", "52:54:00:ab:cd:ef")
    assert plant.send("POST", "/v1/endpoints", body).status_code == 200, "the same request again"
    for change in ({"kind": "host"}, {"mac": "52:54:00:00:00:01"}):
        assert plant.send("POST", "/v1/endpoints", {**body, **change}).status_code == 409
    for wrong in ({"kind": "ship"}, {"mac": "01:00:5e:00:00:01"}, {"mac": "02:70:6f:6c:64:01"}):
        answer = plant.send("POST", "/v1/endpoints", {"node": "node-1", **wrong})
        assert (answer.status_code, [one["pointer"] for one in answer.json["errors"]]) == (
            422,
            [f"/{next(iter(wrong))}"],
        )


def test_a_list_shows_each_as_it_is_shown_alone(plant: Api) -> None:
    plant.made("/v1/pools", {"name": "six", "cidr": "2001:db8::/64"})
    for number, pools in enumerate((["default", "six"], ["six"], ["default"], ["default"])):
        plant.made("/v1/endpoints", {"id": f"e{number}", "node": f"node-{number % 2 + 1}", "pools": pools})
    attach(plant, "e2", ready=True)
    attach(plant, "e3")
    shown = plant.get("/v1/endpoints")["items"]
    assert shown == [plant.get(f"/v1/endpoints/e{number}") for number in range(4)]
    assert [(each["attached"], each["ready"]) for each in shown[1:]] == [
        (False, False),
        (True, True),
        (True, False),
    ]
    assert [list(each) for each in shown] == [list(EndpointView.model_fields)] * 4
    assert [EndpointView.model_validate(each).model_dump(mode="json") for each in shown] == shown


def test_an_id_is_made_up_when_none_is_given(plant: Api) -> None:
    first, second = (plant.made("/v1/endpoints", {"node": "node-1"}) for _ in range(2))
    assert first["id"] != second["id"]
    assert (first["addresses"], second["addresses"]) == (["10.64.0.1"], ["10.64.0.2"])


def test_the_same_request_is_answered_with_the_same(plant: Api) -> None:
    request = {"id": "a", "node": "node-1", "address": "10.64.0.2", "labels": {"x": "y"}}
    made = plant.made("/v1/endpoints", request)
    before = plant.stored()
    again = plant.send("POST", "/v1/endpoints", request)
    assert (again.status_code, again.json) == (200, made)
    assert plant.stored() == before


@pytest.mark.parametrize(
    "other",
    [{"node": "node-2"}, {"labels": {"x": "z"}}, {"address": "10.64.0.1"}, {"pool": "elsewhere"}],
)
def test_another_request_under_the_same_id_is_a_conflict(plant: Api, other: dict[str, str]) -> None:
    request = {"id": "a", "node": "node-1", "address": "10.64.0.2", "labels": {"x": "y"}}
    plant.made("/v1/endpoints", request)
    before = plant.stored()
    answer = plant.send("POST", "/v1/endpoints", {**request, **other})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/conflict")
    assert plant.stored() == before


def test_a_node_fills_its_block_before_it_claims_the_next(plant: Api) -> None:
    given = [plant.made("/v1/endpoints", {"node": "node-1"})["addresses"][0] for _ in range(6)]
    assert given == [f"10.64.0.{last}" for last in (1, 2, 3, 4, 5, 6)]
    assert plant.get("/v1/blocks?node=node-1")["items"] == [
        {"cidr": cidr, "pool": "default", "node": "node-1"} for cidr in ("10.64.0.0/30", "10.64.0.4/30")
    ]


def test_a_wanted_address_of_an_unclaimed_block_claims_it(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-2", "id": "a", "address": "10.64.0.5"})
    assert [block["node"] for block in plant.get("/v1/blocks")["items"]] == ["node-2"]
    assert not scan(plant.store, keys.DISPLACED).items
    check(plant.store)


def test_a_wanted_address_of_another_nodes_block_is_an_exception(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    plant.made("/v1/endpoints", {"node": "node-2", "id": "b", "address": "10.64.0.2"})
    found = read(plant.store, keys.DISPLACED, "node-1", "10.64.0.2")
    assert found is not None
    assert found.value == Displaced(address="10.64.0.2", endpoint="b", node="node-2")
    plant.send("DELETE", "/v1/endpoints/b")
    assert not scan(plant.store, keys.DISPLACED).items
    check(plant.store)


def test_a_wanted_address_that_is_not_free_is_a_conflict(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a", "address": "10.64.0.1"})
    before = plant.stored()
    taken = plant.send("POST", "/v1/endpoints", {"node": "node-1", "address": "10.64.0.1"})
    assert (taken.status_code, taken.json["type"]) == (409, "/problems/address-in-use")
    assert "endpoint a" in taken.json["detail"]
    assert plant.stored() == before
    plant.send("DELETE", "/v1/endpoints/a")
    cooling = plant.send("POST", "/v1/endpoints", {"node": "node-1", "address": "10.64.0.1"})
    assert (cooling.status_code, cooling.json["type"]) == (409, "/problems/address-in-use")
    assert "cools down" in cooling.json["detail"]
    plant.wait(6)
    plant.made("/v1/endpoints", {"node": "node-1", "address": "10.64.0.1"})


def test_a_released_address_cools_down_before_it_is_used_again(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    assert plant.send("DELETE", "/v1/endpoints/a").status_code == 204
    assert plant.send("GET", "/v1/endpoints/a").status_code == 404
    state = plant.get("/v1/addresses/10.64.0.1")
    assert (state["state"], state["endpoint"], state["owner"]) == ("cooldown", "a", "node-1")
    given = [plant.made("/v1/endpoints", {"node": "node-1"})["addresses"][0] for _ in range(5)]
    assert "10.64.0.1" not in given
    plant.wait(4.9)
    assert plant.get("/v1/addresses/10.64.0.1")["state"] == "cooldown"
    plant.wait(1.2)
    assert plant.get("/v1/addresses/10.64.0.1")["state"] == "free"
    assert plant.made("/v1/endpoints", {"node": "node-1"})["addresses"] == ["10.64.0.1"]


def test_without_a_cooldown_an_address_is_free_at_once(plant: Api) -> None:
    plant.send("PATCH", "/v1/pools/default", {"cooldown_s": 0})
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    plant.send("DELETE", "/v1/endpoints/a")
    found = plant.get("/v1/addresses/10.64.0.1")
    assert (found["state"], found["available"], found["owner"]) == ("free", True, "node-1")
    assert (found["endpoint"], found["since"], found["why"]) == (None, None, "")


def test_an_attached_endpoint_is_released_in_two_steps(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    attach(plant, "a")
    for _ in range(2):
        answer = plant.send("DELETE", "/v1/endpoints/a")
        assert (answer.status_code, answer.json["state"], answer.json["attached"]) == (202, "releasing", True)
    copy = read(plant.store, keys.NODE_ENDPOINTS, "node-1", "a")
    assert copy is not None
    assert copy.value.state is EndpointState.RELEASING
    again = plant.send("POST", "/v1/endpoints", {"node": "node-1", "id": "a"})
    assert (again.status_code, again.json["type"]) == (409, "/problems/releasing")
    moved = plant.send("PATCH", "/v1/endpoints/a", {"node": "node-2"})
    assert (moved.status_code, moved.json["type"]) == (409, "/problems/releasing")
    plant.store.txn([], [Delete(keys.ATTACHMENTS.key("node-1", "a"))])
    assert plant.send("DELETE", "/v1/endpoints/a").status_code == 204
    check(plant.store)


def test_a_move_keeps_the_address_and_tells_the_owner_of_the_block(plant: Api) -> None:
    made = plant.made("/v1/endpoints", {"node": "node-1", "id": "a", "labels": {"x": "y"}})
    moved = plant.send("PATCH", "/v1/endpoints/a", {"node": "node-3"})
    assert moved.status_code == 200
    assert moved.json == {**made, "node": "node-3", "mtu_bytes": 9000}
    found = read(plant.store, keys.DISPLACED, "node-1", "10.64.0.1")
    assert found is not None
    assert found.value.node == "node-3"
    assert plant.get("/v1/addresses/10.64.0.1")["node"] == "node-3"
    check(plant.store)
    plant.send("PATCH", "/v1/endpoints/a", {"node": "node-2"})
    check(plant.store)
    back = plant.send("PATCH", "/v1/endpoints/a", {"node": "node-1"})
    assert back.json == made
    assert not scan(plant.store, keys.DISPLACED).items
    check(plant.store)


def test_a_patch_that_changes_nothing_writes_nothing(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    before = plant.stored()
    assert plant.send("PATCH", "/v1/endpoints/a", {"node": "node-1", "id": "a"}).status_code == 200
    assert plant.stored() == before


def test_what_cannot_change_may_be_written_otherwise(plant: Api) -> None:
    plant.made("/v1/pools", {"name": "six", "cidr": "2001:db8::/64"})
    both = {"addresses": ["10.64.0.2", "2001:db8::9"], "pools": ["default", "six"]}
    made = plant.made("/v1/endpoints", {"node": "node-1", "id": "a", "mac": "02:00:00:00:00:0a", **both})
    assert {name: made[name] for name in both} == both
    before = plant.stored()
    for patch in (
        {"mac": "02:00:00:00:00:0A", "tenant": None, "kind": None},
        {"addresses": ["2001:DB8:0::9", "10.64.0.2"]},
        {name: value[::-1] for name, value in both.items()},
    ):
        answer = plant.send("PATCH", "/v1/endpoints/a", patch)
        assert (answer.status_code, answer.json["mac"]) == (200, made["mac"]), answer.text
        assert {name: answer.json[name] for name in both} == both
    assert plant.stored() == before
    for patch in ({"addresses": ["10.64.0.2"]}, {"addresses": None}, {"mac": "02:00:00:00:00:0b"}):
        answer = plant.send("PATCH", "/v1/endpoints/a", patch)
        assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, f"/{next(iter(patch))}")
        assert "cannot be changed" in answer.json["detail"]


def test_labels_are_merged(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a", "labels": {"x": "1", "y": "2"}})
    answer = plant.client.patch(
        "/v1/endpoints/a",
        data='{"labels": {"x": null, "z": "3"}, "node": "node-2"}',
        content_type="application/merge-patch+json",
    )
    assert answer.json["labels"] == {"y": "2", "z": "3"}
    assert answer.json["node"] == "node-2"
    check(plant.store)


def test_ready_counts_only_for_the_boot_that_said_it(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    attach(plant, "a", ready=True)
    shown = plant.get("/v1/endpoints/a")
    assert (shown["attached"], shown["ready"]) == (True, True)
    for boot_id, ready in (("boot-1", True), ("boot-2", False)):
        alive = Alive(node="node-1", program=Program.AGENT, boot_id=boot_id, started=NOW)
        plant.store.txn([], [put(keys.ALIVE, alive, "node-1", "agent")])
        assert plant.get("/v1/endpoints")["items"][0]["ready"] is ready


def test_lists_are_filtered_and_paged(plant: Api) -> None:
    plant.made("/v1/pools", {"name": "other", "cidr": "10.70.0.0/24"})
    for number in range(5):
        pool = "other" if number == 2 else "default"
        plant.made("/v1/endpoints", {"node": f"node-{number % 2 + 1}", "id": f"e{number}", "pool": pool})
    for query, ids in {
        "": ["e0", "e1", "e2", "e3", "e4"],
        "?node=node-2": ["e1", "e3"],
        "?pool=other": ["e2"],
        "?node=node-1&pool=default": ["e0", "e4"],
    }.items():
        assert [item["id"] for item in plant.get(f"/v1/endpoints{query}")["items"]] == ids
    seen, path = [], "/v1/endpoints?limit=2"
    while path:
        page = plant.get(path)
        seen.append([item["id"] for item in page["items"]])
        path = f"/v1/endpoints?limit=2&cursor={page['next']}" if "next" in page else ""
    assert seen == [["e0", "e1"], ["e2", "e3"], ["e4"]]


def test_a_record_and_its_copy_are_the_same_bytes(plant: Api) -> None:
    plant.made("/v1/endpoints", {"node": "node-1", "id": "a"})
    record = plant.store.get(keys.ENDPOINTS.key("a"))
    copy = plant.store.get(keys.NODE_ENDPOINTS.key("node-1", "a"))
    assert record is not None
    assert copy is not None
    assert record.value == copy.value
    assert record.mod_revision == copy.mod_revision
    found = read(plant.store, keys.ENDPOINTS, "a")
    assert found is not None
    assert isinstance(found.value, Endpoint)


def test_the_quality_of_service_is_set_changed_and_taken_out(plant: Api) -> None:
    wanted = {"egress_rate_kbps": 50_000, "dscp": 46}
    made = plant.made("/v1/endpoints", {"node": "node-1", "id": "a", "qos": wanted})
    assert made["qos"] == wanted
    assert (
        plant.send("POST", "/v1/endpoints", {"node": "node-1", "id": "a", "qos": wanted}).status_code == 200
    )
    assert plant.send("POST", "/v1/endpoints", {"node": "node-1", "id": "a"}).status_code == 200
    other = {"node": "node-1", "id": "a", "qos": {"dscp": 8}}
    assert plant.send("POST", "/v1/endpoints", other).status_code == 409
    patched = plant.send("PATCH", "/v1/endpoints/a", {"qos": {"dscp": None, "priority": 5}})
    assert patched.json["qos"] == {"egress_rate_kbps": 50_000, "priority": 5}
    emptied = plant.send("PATCH", "/v1/endpoints/a", {"qos": {"egress_rate_kbps": None, "priority": 0}})
    assert emptied.json["qos"] is None
    assert emptied.json["uid"] == made["uid"]


def test_the_counters_of_what_is_attached_nowhere_are_not_there(plant: Api) -> None:
    plant.made("/v1/endpoints", {"id": "a", "node": "node-1"})
    answer = plant.client.get("/v1/endpoints/a/stats")
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/not-found")
    attach(plant, "a")
    answer = plant.client.get("/v1/endpoints/a/stats")
    assert (answer.status_code, answer.json["type"]) == (503, "/problems/no-answer"), "no agent runs"
