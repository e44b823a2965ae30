"""ETag, If-Match and If-None-Match: nobody overwrites what he has not seen."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from controller.api.pools import MUTABLE
from controller.precondition import Match
from controller.problem import Problem
from controller.validation import replaced
from store import keys
from store.memory import MemoryStore
from store.model import Pool
from tests.support.ipam import Controller, FlakyStore
from tests.unit.controller.conftest import Api

POOL = {"name": "p", "cidr": "10.65.0.0/24"}
THINGS = [
    ("/v1/pools/spare", {"cooldown_s": 7}),
    ("/v1/nodes/node-3", {"mtu_bytes": 1400}),
    ("/v1/peers/tor", {"hold_time_s": 30}),
    ("/v1/services/web", {"selector": {"app": "x"}}),
    ("/v1/policies/rule", {"mode": "staged"}),
    ("/v1/endpoints/a", {"labels": {"app": "web"}}),
]


def send(api: Api, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
    """A request with these headers, `If_Match` for If-Match."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.client.open(path, method=method, headers=named, **({} if body is None else {"json": body}))


@pytest.fixture
def full(plant: Api) -> Api:
    """One of each thing."""
    plant.made("/v1/pools", {"name": "spare", "cidr": "10.66.0.0/24"})
    plant.made("/v1/pools", {"name": "services", "cidr": "10.67.0.0/24"})
    plant.made("/v1/peers", {"name": "tor", "address": "192.0.2.1", "asn": 64501})
    plant.made("/v1/endpoints", {"id": "a", "node": "node-1", "pool": "default"})
    plant.made("/v1/services", {"name": "web", "pool": "services", "selector": {"app": "web"}})
    plant.made("/v1/policies", {"name": "rule", "ingress": [{"action": "deny"}]})
    return plant


@pytest.mark.parametrize(("path", "patch"), THINGS)
def test_the_tag_is_the_revision_and_stays_while_nothing_is_written(
    full: Api, path: str, patch: dict[str, Any]
) -> None:
    first = full.client.get(path).headers["ETag"]
    assert first.strip('"').isdigit()
    assert full.client.get(path).headers["ETag"] == first
    changed = send(full, "PATCH", path, patch, If_Match=first)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first
    assert full.client.get(path).headers["ETag"] == changed.headers["ETag"]
    same = send(full, "PATCH", path, patch)
    assert same.headers["ETag"] == changed.headers["ETag"], "what changes nothing writes nothing"


@pytest.mark.parametrize(("path", "patch"), THINGS)
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_what_was_changed_since_is_left_alone(
    full: Api, method: str, path: str, patch: dict[str, Any]
) -> None:
    seen = full.client.get(path).headers["ETag"]
    now = send(full, "PATCH", path, patch).headers["ETag"]
    before = full.stored()
    body = patch if method == "PATCH" else None
    for stale in (
        {"If_Match": seen},
        {"If_Match": f"W/{now}"},
        {"If_None_Match": now},
        {"If_None_Match": f"W/{now}"},
    ):
        refused = send(full, method, path, body, **stale)
        assert (refused.status_code, refused.json["type"]) == (412, "/problems/stale"), stale
        assert refused.headers["ETag"] == now
        assert now in refused.json["detail"]
    assert full.stored() == before
    assert send(full, method, path, body, If_Match=f'"1", {now}').status_code in {200, 204}


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("given", ["", ",", "7", "W/7", "*, *", '"7', '7"', '"7" "8"', '*, "7"', '"é"'])
def test_what_is_no_tag_is_no_condition(plant: Api, name: str, given: str) -> None:
    """Not even one that never holds: whoever forgets the quotes would write over what he had seen."""
    before = plant.stored()
    tagless = {name: given.encode().decode("latin-1")}
    for method, body in (
        ("PUT", {**POOL, "name": "default"}),
        ("PATCH", {"cooldown_s": 9}),
        ("DELETE", None),
    ):
        answer = send(plant, method, "/v1/pools/default", body, **tagless)
        assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (422, name), method
    assert plant.stored() == before


def test_a_list_of_tags_may_have_gaps(plant: Api) -> None:
    tag = plant.client.get("/v1/pools/default").headers["ETag"]
    for given in (f',, "a,b" ,{tag}', f'"" , , {tag},'):
        assert send(plant, "PATCH", "/v1/pools/default", {}, If_Match=given).status_code == 200


@pytest.mark.parametrize("path", ["/v1/pools/default", "/v1/peers/tor"])
def test_what_the_caller_has_is_not_sent_again(full: Api, path: str) -> None:
    tag = full.client.get(path).headers["ETag"]
    for given in (tag, f"W/{tag}", f'"1", {tag}', "*"):
        answer = send(full, "GET", path, If_None_Match=given)
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", tag)
    assert send(full, "GET", path, If_None_Match='"1"').status_code == 200


@pytest.mark.parametrize("path", ["/v1/nodes/node-1", "/v1/endpoints/a"])
def test_what_programs_report_beside_a_thing_is_always_sent(full: Api, path: str) -> None:
    tag = full.client.get(path).headers["ETag"]
    assert send(full, "GET", path, If_None_Match=tag).status_code == 200


def test_a_whole_thing_is_put_only_in_a_state_that_is_named(plant: Api) -> None:
    before = plant.stored()
    refused = send(plant, "PUT", "/v1/pools/p", POOL)
    assert (refused.status_code, refused.json["type"]) == (428, "/problems/precondition-required")
    assert send(plant, "PUT", "/v1/pools/p", POOL, If_Match="*").status_code == 412
    assert plant.stored() == before
    made = send(plant, "PUT", "/v1/pools/p", POOL, If_None_Match="*")
    assert (made.status_code, made.headers["Location"]) == (201, "/v1/pools/p")
    tag = made.headers["ETag"]
    assert send(plant, "PUT", "/v1/pools/p", POOL, If_None_Match="*").status_code == 412
    changed = send(plant, "PUT", "/v1/pools/p", {**POOL, "cooldown_s": 5}, If_Match=tag)
    assert (changed.status_code, changed.json["cooldown_s"]) == (200, 5)
    assert send(plant, "PUT", "/v1/pools/p", POOL, If_Match=tag).status_code == 412
    back = send(plant, "PUT", "/v1/pools/p", POOL, If_Match="*")
    assert (back.status_code, back.json) == (200, made.json), "what is absent is the default again"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/nodes/node-1", {"name": "node-1", "asn": 64999, "labels": {"rack": "b"}}),
        ("/v1/nodes/new", {"name": "new", "asn": 64999}),
        ("/v1/peers/tor", {"name": "tor", "address": "192.0.2.9", "asn": 64501}),
        ("/v1/peers/new", {"name": "new", "address": "192.0.2.9", "asn": 64501}),
    ],
)
def test_nodes_and_peers_are_put_too(full: Api, path: str, body: dict[str, Any]) -> None:
    full.send("PATCH", "/v1/nodes/node-1", {"labels": {"row": "1"}})
    there = full.client.get(path).status_code == 200
    condition = {"If_Match": "*"} if there else {"If_None_Match": "*"}
    answer = send(full, "PUT", path, body, **condition)
    assert answer.status_code == (200 if there else 201), answer.text
    assert answer.json == full.get(path)
    assert body.items() <= answer.json.items()


@pytest.mark.parametrize("unset", [{}, {"block_prefixlen": None}])
def test_a_pool_that_grows_keeps_its_blocks(plant: Api, unset: dict[str, None]) -> None:
    small, grown = ({"name": "s", "cidr": cidr, **unset} for cidr in ("10.65.0.0/28", "10.65.0.0/24"))
    assert plant.made("/v1/pools", small)["block_prefixlen"] == 28
    for body in (grown, grown, {**grown, "block_prefixlen": 28}):
        put = send(plant, "PUT", "/v1/pools/s", body, If_Match="*")
        assert (put.status_code, put.json["block_prefixlen"]) == (200, 28), put.text
    assert send(plant, "POST", "/v1/pools", grown).status_code == 200, "an equal one is there"
    wrong = send(plant, "PUT", "/v1/pools/s", {**grown, "block_prefixlen": 26}, If_Match="*")
    assert (wrong.status_code, wrong.json["errors"][0]["pointer"]) == (422, "/block_prefixlen")
    less = send(plant, "PUT", "/v1/pools/s", {"name": "s", "cidr": "10.65.0.0/29", **unset}, If_Match="*")
    assert (less.status_code, less.json["errors"][0]["pointer"]) == (422, "/cidr")


def test_what_cannot_be_changed_cannot_be_replaced(plant: Api) -> None:
    before = plant.stored()
    other_name = send(plant, "PUT", "/v1/pools/default", POOL, If_Match="*")
    assert (other_name.status_code, other_name.json["errors"][0]["pointer"]) == (422, "/name")
    other_size = {**POOL, "name": "default", "block_prefixlen": 26}
    moved = send(plant, "PUT", "/v1/pools/default", other_size, If_Match="*")
    assert moved.status_code == 422
    assert {error["pointer"] for error in moved.json["errors"]} == {"/block_prefixlen"}
    assert plant.stored() == before


def test_somebody_changes_it_between_the_check_and_the_write() -> None:
    memory = MemoryStore()
    store = FlakyStore(memory)
    first, second = Controller.over(store), Controller.over(memory)
    made, _ = first.registry.create_pool(Pool(name="p", cidr="10.0.0.0/24"))
    seen = Match(wanted={f'"{made.mod_revision}"'})

    def cool(seconds: int) -> Pool:
        return made.value.model_copy(update={"cooldown_s": seconds})

    store.meets.append(lambda: second.registry.change(keys.POOLS, "p", lambda _: cool(5)))
    with pytest.raises(Problem, match="read it again"):
        first.registry.change(keys.POOLS, "p", lambda _: cool(9), seen)
    found, new = first.registry.replace(
        keys.POOLS,
        "p",
        lambda: first.registry.create_pool(cool(7)),
        lambda stored: replaced(stored, cool(7), MUTABLE),
        Match(wanted={"*"}),
    )
    assert (found.value.cooldown_s, new) == (7, False)
    for each in (first, second):
        each.committer.close()


def test_somebody_else_creates_another_one_in_that_moment() -> None:
    """It is what the precondition demands not to be there, as if he had come sooner."""
    memory = MemoryStore()
    store = FlakyStore(memory)
    first, second = Controller.over(store), Controller.over(memory)
    theirs, mine = (Pool(name="p", cidr="10.0.0.0/24", priority=number) for number in (1, 2))
    store.meets.append(lambda: second.registry.create_pool(theirs))
    with pytest.raises(Problem, match="read it again") as refused:
        first.registry.replace(
            keys.POOLS, "p", lambda: first.registry.create_pool(mine), lambda _: mine, Match(refused={"*"})
        )
    assert refused.value.kind == "stale"
    for each in (first, second):
        each.committer.close()


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("tag", ["*", '"1"', ""])
def test_a_write_that_looks_at_no_precondition_is_not_done_with_one(full: Api, name: str, tag: str) -> None:
    before = full.stored()
    for path, body in (
        ("/v1/pools", {"name": "new", "cidr": "10.67.0.0/24"}),
        ("/v1/nodes/node-3:drain", {}),
        ("/v1/endpoints", {"node": "node-1"}),
        ("/v1/endpoints:release", {"items": [{"id": "a"}]}),
    ):
        answer = send(full, "POST", path, body, **{name: tag})
        assert (answer.status_code, answer.json["type"]) == (422, "/problems/invalid"), path
        assert answer.json["errors"][0]["parameter"] == name
    assert full.stored() == before
