"""`dry_run`, `max_withdraw` and /v1/impact: what a write would do is told or bounded, and nothing is done."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from werkzeug.test import TestResponse

from controller import foresight
from controller.api.examples import EXAMPLES
from controller.app import NOUNS
from controller.impact import KINDS, PASSED_BY
from controller.reading import put
from controller.rehearsal import Rehearsal
from store import keys
from store.client import Range
from store.errors import LeaseExpired
from store.model import Alive, Attachment, Block, Program, Ready, Role
from tests.unit.controller.conftest import NOW, Api
from tests.unit.controller.guarded import guarded

ONE, TWO = "10.64.0.0/26", "10.64.1.0/26"
PEER = {"name": "tor-a", "address": "10.0.1.0", "asn": 64501}


@pytest.fixture
def site(api: Api) -> Api:
    """Two nodes with a block each that is ready, two routers, and an endpoint in the first block."""
    api.made("/v1/pools", {"name": "default", "cidr": "10.64.0.0/16"})
    for number in (1, 2):
        api.made("/v1/nodes", {"name": f"node-{number}", "asn": 64510 + number})
    for name, address in (("tor-a", "10.0.1.0"), ("tor-b", "10.0.2.0")):
        api.made("/v1/peers", PEER | {"name": name, "address": address})
    api.made("/v1/endpoints", {"id": "web", "node": "node-1"})
    plant_ready(api, ONE, "node-1")
    cidr = ip_network(TWO)
    block = Block(cidr=cidr, pool="default", node="node-2")
    api.store.txn(
        (),
        (put(keys.BLOCKS, block, "default", cidr), put(keys.NODE_BLOCKS, block, "node-2", cidr)),
    )
    plant_ready(api, TWO, "node-2")
    return api


def plant_ready(api: Api, prefix: str, node: str, boot_id: str = "b") -> None:
    """As the node's agent does."""
    ready = Ready(prefix=ip_network(prefix), node=node, boot_id=boot_id)
    api.store.txn((), (put(keys.READY, ready, node, ready.prefix),))


def foretold(api: Api, method: str, path: str, body: Any = None) -> Any:
    """What a write would do; nothing is done."""
    before = api.stored()
    answer = api.send(method, f"{path}?dry_run=true", body)
    assert answer.status_code == 200, answer.text
    assert api.stored() == before
    assert "ETag" not in answer.headers
    assert "Location" not in answer.headers
    return answer.json


def prefixes(impact: Any, what: str) -> dict[tuple[str, str], list[str]]:
    return {(at["node"], at["peer"]): [each["prefix"] for each in at[what]] for at in impact["peers"]}


ALL = {(f"node-{n}", peer): [cidr] for n, cidr in ((1, ONE), (2, TWO)) for peer in ("tor-a", "tor-b")}


def test_a_pool_that_is_not_announced_any_more(site: Api) -> None:
    impact = foretold(site, "PATCH", "/v1/pools/default", {"advertise": "none"})
    assert prefixes(impact, "vanish") == ALL
    assert impact["endpoints"] == [
        {"id": "web", "node": "node-1", "addresses": ["10.64.0.1"], "unreachable_at": ["tor-a", "tor-b"]}
    ]
    assert impact["totals"] == {
        "advertised": 4,
        "appear": 0,
        "change": 0,
        "vanish": 4,
        "withdrawn_percent": 100.0,
        "opens": 0,
        "closes": 0,
        "resets": 0,
        "refused": 0,
        "endpoints": 1,
        "unreachable": 1,
    }


def test_no_write_that_can_be_foretold_is_done_for_that(api: Api) -> None:
    """A handler may write by such parts only as `foresight` replaces; the others are the real ones."""
    foretold = {(each.method, each.path) for noun in NOUNS for each in noun.operations if each.foreseen}
    for place, example in EXAMPLES.items():
        given: dict[str, Any] = {"headers": dict(example.headers), "query_string": dict(example.query)}
        if example.body is not None:
            given["json"] = example.body
        path, before = place[1].format(**example.path), api.stored()
        if place in foretold:
            query = {**example.query, "dry_run": "true"}
            answer = api.client.open(path, method=place[0], **{**given, "query_string": query})
            assert answer.status_code == 200, answer.text
            assert api.stored() == before, place
        api.client.open(path, method=place[0], **given)


def test_prefixes_come_with_their_attributes(site: Api) -> None:
    patch = {"communities": ["64500:1", "64500:1:2"], "med": 7, "as_path_prepend": 1, "hold_time_s": 30}
    [first, _] = foretold(site, "PATCH", "/v1/peers/tor-a", patch)["peers"]
    assert (first["session"], first["because"]) == ("resets", ["hold_time_s 90 -> 30"])
    [change] = first["change"]
    assert change["before"]["communities"] == []
    assert change["after"] == {
        "prefix": ONE,
        "next_hop": "self",
        "communities": ["64500:1", "64500:1:2"],
        "med": 7,
        "local_pref": None,
        "as_path": [64511, 64511],
        "reason": "block of pool default",
    }


def test_what_is_made_and_deleted_is_foretold_too(site: Api) -> None:
    new = foretold(site, "POST", "/v1/peers", PEER | {"name": "tor-c", "address": "10.0.3.0"})
    assert prefixes(new, "appear") == {("node-1", "tor-c"): [ONE], ("node-2", "tor-c"): [TWO]}
    assert {at["session"] for at in new["peers"]} == {"opens"}
    gone = foretold(site, "DELETE", "/v1/peers/tor-b")
    assert prefixes(gone, "vanish") == {("node-1", "tor-b"): [ONE], ("node-2", "tor-b"): [TWO]}
    assert {at["session"] for at in gone["peers"]} == {"closes"}
    node = foretold(site, "DELETE", "/v1/nodes/node-2")
    assert prefixes(node, "vanish") == {("node-2", "tor-a"): [TWO], ("node-2", "tor-b"): [TWO]}
    assert foretold(site, "POST", "/v1/peers", PEER)["peers"] == [], "an equal one is there"


def test_a_deleted_pool_takes_its_empty_blocks_along(site: Api) -> None:
    site.send("DELETE", "/v1/endpoints/web")
    site.wait(120)
    assert prefixes(foretold(site, "DELETE", "/v1/pools/default"), "vanish") == ALL


def test_put_is_foretold_with_its_precondition(site: Api) -> None:
    before = site.stored()
    body = PEER | {"med": 3}
    for headers, status in (({}, 428), ({"If-Match": '"1"'}, 412), ({"If-Match": "*"}, 200)):
        answer = site.client.put("/v1/peers/tor-a?dry_run=true", json=body, headers=headers)
        assert answer.status_code == status
    assert [len(at["change"]) for at in answer.json["peers"]] == [1, 1]
    assert site.stored() == before


def test_readiness_of_another_boot_is_none(site: Api) -> None:
    alive = Alive(node="node-2", program=Program.AGENT, boot_id="another", started=NOW)
    site.store.txn((), (put(keys.ALIVE, alive, "node-2", "agent"),))
    impact = foretold(site, "PATCH", "/v1/pools/default", {"advertise": "none"})
    assert impact["totals"]["advertised"] == 2


def plant_web(api: Api) -> None:
    """Two endpoints, one on each node, that a service can select, and which their agents hold."""
    for number in (1, 2):
        name, node = f"web-{number}", f"node-{number}"
        made = api.made("/v1/endpoints", {"id": name, "node": node, "labels": {"app": "www", "at": node}})
        held = Attachment(
            endpoint=name,
            node=node,
            addresses=made["addresses"],
            netns="/run/netns/x",
            ifname="eth0",
            boot_id="b",
        )
        api.store.txn((), (put(keys.ATTACHMENTS, held, node, name),))


WWW: dict[str, Any] = {
    "name": "www",
    "pool": "default",
    "selector": {"app": "www"},
    "communities": ["64500:7"],
}


def test_a_new_service_appears_where_it_has_endpoints(site: Api) -> None:
    plant_web(site)
    impact = foretold(site, "POST", "/v1/services", WWW)
    made = site.made("/v1/services", WWW)
    host = made["address"] + "/32"
    assert prefixes(impact, "appear") == {place: [host] for place in ALL}
    route = impact["peers"][0]["appear"][0]
    assert route["communities"] == ["64500:7"]
    assert route["reason"] == "service www: once an endpoint here is healthy"
    assert foretold(site, "POST", "/v1/services", WWW)["peers"] == [], "an equal one is there"
    one = {**WWW, "name": "one", "selector": {"at": "node-1"}}
    new = site.client.put("/v1/services/one?dry_run=true", json=one, headers={"If-None-Match": "*"})
    assert new.json["totals"]["appear"] == 2
    [later] = site.send(
        "POST",
        "/v1/impact",
        writes(("POST", "/v1/services", one), ("PATCH", "/v1/peers/tor-a", {"node_selector": {"rack": "x"}})),
    ).json["impact"]["peers"][1:2]
    assert (later["peer"], len(later["appear"])) == ("tor-b", 1)


def test_a_service_changes_and_vanishes(site: Api) -> None:
    plant_web(site)
    host = site.made("/v1/services", WWW)["address"] + "/32"
    for node in ("node-1", "node-2"):
        plant_ready(site, host, node)
    again = foretold(site, "PATCH", "/v1/services/www", {"communities": ["64500:8"]})
    assert [each["after"]["communities"] for at in again["peers"] for each in at["change"]] == [
        ["64500:8"]
    ] * 4
    fewer = foretold(site, "PATCH", "/v1/services/www", {"selector": {"at": "node-1"}})
    assert prefixes(fewer, "vanish") == {("node-2", "tor-a"): [host], ("node-2", "tor-b"): [host]}
    gone = foretold(site, "DELETE", "/v1/services/www")
    assert prefixes(gone, "vanish") == {place: [host] for place in ALL}
    assert gone["endpoints"] == [], "each has its own address still"
    with pytest.raises(LeaseExpired):
        site.store.keep_alive(1)  # for a cooldown that did not begin


def test_services_are_bounded(site: Api) -> None:
    plant_web(site)
    made = site.send("POST", "/v1/services?max_withdraw=0", WWW)
    assert made.status_code == 201
    for node in ("node-1", "node-2"):
        plant_ready(site, made.json["address"] + "/32", node)
    before = site.stored()
    refused = site.send("DELETE", "/v1/services/www?max_withdraw=49")
    assert (refused.status_code, refused.json["totals"]["vanish"]) == (409, 4)
    assert "4 of 8 announced prefixes (50 %)" in refused.json["detail"]
    assert site.stored() == before
    assert site.send("DELETE", "/v1/services/www?max_withdraw=50").status_code == 204
    assert site.get(f"/v1/addresses/{made.json['address']}")["state"] == "cooldown"


def test_a_quota_counts_in_a_dry_run(site: Api) -> None:
    site.made("/v1/tenants", {"name": "shop", "max_ipv4": 1})
    mine = WWW | {"tenant": "shop"}
    assert foretold(site, "POST", "/v1/services", mine)["peers"] == []
    both = writes(*(("POST", "/v1/services", mine | {"name": name}) for name in "ab"))
    answer = site.send("POST", "/v1/impact", both)
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/over-quota")
    site.made("/v1/services", mine)
    answers = [
        site.send("POST", "/v1/services" + query, mine | {"name": "more"})
        for query in ("", "?dry_run=true", "?max_withdraw=5")
    ]
    assert [each.json["type"] for each in answers] == ["/problems/over-quota"] * 3
    assert answers[0].json == answers[1].json == answers[2].json


def test_a_tenant_is_not_shown_the_routers() -> None:
    with guarded() as closed:
        closed.give("shop", Role.TENANT, tenant="shop")
        closed.made("/v1/pools", {"name": "default", "cidr": "10.64.0.0/16"})
        closed.made("/v1/nodes", {"name": "node-1", "asn": 64511})
        closed.made("/v1/peers", PEER)
        made = closed.made("/v1/services", WWW | {"communities": []}, who="shop")
        ready = Ready(prefix=ip_network(made["address"]), node="node-1", boot_id="b")
        closed.store.txn((), (put(keys.READY, ready, "node-1", ready.prefix),))
        asked = closed.send("shop", "DELETE", "/v1/services/www?dry_run=true")
        assert (asked.status_code, asked.json["type"]) == (403, "/problems/forbidden")
        refused = closed.send("shop", "DELETE", "/v1/services/www?max_withdraw=10")
        assert (refused.status_code, refused.json["type"]) == (409, "/problems/too-much-withdrawn")
        assert "totals" not in refused.json
        drop = writes(("DELETE", "/v1/services/www", None))
        refused = closed.send("shop", "POST", "/v1/impact?max_withdraw=10", drop)
        assert (refused.status_code, refused.json["type"]) == (409, "/problems/too-much-withdrawn")
        assert "totals" not in refused.json
        assert closed.send("shop", "DELETE", "/v1/services/www?max_withdraw=100").status_code == 204


WRONG = [
    ("POST", "/v1/services", WWW | {"pool": "no"}, 422, "invalid"),
    ("POST", "/v1/services", WWW | {"address": "10.64.0.1"}, 409, "address-in-use"),
    ("PATCH", "/v1/services/no", {"communities": []}, 404, "not-found"),
    ("DELETE", "/v1/services/no", None, 404, "not-found"),
    ("POST", "/v1/peers", PEER | {"asn": 64502}, 409, "conflict"),
    ("POST", "/v1/pools", {"name": "p", "cidr": "10.64.0.0/17"}, 409, "overlap"),
    ("POST", "/v1/peers", PEER | {"name": "x", "node": "no"}, 409, "conflict"),
    ("POST", "/v1/peers", PEER | {"name": "x", "address": "10.0.9.0", "node": "no"}, 422, "invalid"),
    ("PATCH", "/v1/pools/default", {"cidr": "10.64.0.0/17"}, 422, "invalid"),
    ("PATCH", "/v1/pools/no", {"advertise": "none"}, 404, "not-found"),
    ("PATCH", "/v1/peers/tor-a", {"hold_time_s": 1}, 422, "invalid"),
    ("PATCH", "/v1/nodes/node-1", {"name": "x"}, 422, "invalid"),
    ("DELETE", "/v1/pools/default", None, 409, "in-use"),
    ("DELETE", "/v1/nodes/node-1", None, 409, "in-use"),
    ("DELETE", "/v1/nodes/no", None, 404, "not-found"),
    ("DELETE", "/v1/peers/no", None, 404, "not-found"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "kind"), WRONG)
def test_what_is_refused_in_earnest_is_refused_in_a_dry_run(
    site: Api, method: str, path: str, body: Any, status: int, kind: str
) -> None:
    before = site.stored()
    answers = [site.send(method, path + query, body) for query in ("?dry_run=true", "?max_withdraw=0", "")]
    assert [(each.status_code, each.json["type"]) for each in answers] == [(status, f"/problems/{kind}")] * 3
    assert answers[0].json == answers[2].json == answers[1].json
    assert site.stored() == before


@pytest.mark.parametrize(
    ("query", "place", "says"),
    [
        ("dry_run=yes", "dry_run", "expected true or false"),
        ("dry_run=", "dry_run", "expected true or false"),
        ("dry_run=true&dry_run=true", "dry_run", "given twice"),
        ("max_withdraw=101", "max_withdraw", "from 0 to 100"),
        ("max_withdraw=-1", "max_withdraw", "from 0 to 100"),
        ("max_withdraw=10.5", "max_withdraw", "from 0 to 100"),
    ],
)
def test_bad_parameters_are_refused(site: Api, query: str, place: str, says: str) -> None:
    before = site.stored()
    answer = site.send("PATCH", f"/v1/pools/default?{query}", {"advertise": "none"})
    assert answer.status_code == 422
    [error] = answer.json["errors"]
    assert error["parameter"] == place
    assert says in error["detail"]
    assert site.stored() == before


def test_reads_and_other_nouns_know_no_dry_run(site: Api) -> None:
    assert site.client.get("/v1/pools?dry_run=true").status_code == 422
    assert site.send("DELETE", "/v1/endpoints/web?dry_run=true").status_code == 422
    assert site.get("/v1/endpoints/web")["state"] == "assigned"


def test_too_much_is_not_withdrawn(site: Api) -> None:
    before = site.stored()
    refused = site.send("DELETE", "/v1/peers/tor-b?max_withdraw=49")
    assert (refused.status_code, refused.json["type"]) == (409, "/problems/too-much-withdrawn")
    assert refused.json["totals"]["vanish"] == 2
    assert "2 of 4 announced prefixes (50 %)" in refused.json["detail"]
    assert site.stored() == before
    assert site.send("DELETE", "/v1/peers/tor-b?max_withdraw=50").status_code == 204
    assert site.client.get("/v1/peers/tor-b").status_code == 404


def test_what_is_bounded_is_answered_as_what_is_not(site: Api) -> None:
    made = site.send("POST", "/v1/pools?max_withdraw=0", {"name": "p", "cidr": "10.70.0.0/16"})
    assert (made.status_code, made.headers["Location"]) == (201, "/v1/pools/p")
    assert made.headers["ETag"] == site.client.get("/v1/pools/p").headers["ETag"]
    changed = site.send("PATCH", "/v1/pools/p?max_withdraw=0&dry_run=false", {"cooldown_s": 5})
    assert (changed.status_code, changed.json["cooldown_s"]) == (200, 5)
    assert site.send("PATCH", "/v1/pools/default?max_withdraw=99", {"advertise": "none"}).status_code == 409
    assert site.send("PATCH", "/v1/pools/default", {"advertise": "none"}).status_code == 200


def interrupted(
    site: Api, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], TestResponse]
) -> list[str]:
    """Let somebody else do something whenever a change has been weighed, before it is done: once."""
    weighed = []
    refuse = foresight.refuse_too_much

    def weigh(*arguments: Any) -> None:
        refuse(*arguments)
        weighed.append("weighed")
        if len(weighed) == 1:
            assert meanwhile().status_code < 300

    monkeypatch.setattr(foresight, "refuse_too_much", weigh)
    return weighed


def test_what_was_changed_meanwhile_is_weighed_again(site: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer was of no node when it was weighed, and then it is: to delete it is something else."""
    site.send("PATCH", "/v1/peers/tor-a", {"node_selector": {"rack": "none"}})
    weighed = interrupted(
        site, monkeypatch, lambda: site.send("PATCH", "/v1/peers/tor-a", {"node_selector": {"rack": None}})
    )
    answer = site.send("DELETE", "/v1/peers/tor-a?max_withdraw=10")
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/too-much-withdrawn")
    assert weighed == ["weighed"]
    assert site.client.get("/v1/peers/tor-a").status_code == 200


def test_what_others_do_meanwhile_is_no_hindrance(site: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    weighed = interrupted(
        site, monkeypatch, lambda: site.send("PATCH", "/v1/peers/tor-b", {"hold_time_s": 9})
    )
    assert site.send("PATCH", "/v1/peers/tor-a?max_withdraw=10", {"hold_time_s": 9}).status_code == 200
    assert weighed == ["weighed"]


def test_a_thing_that_keeps_changing_is_left_alone(site: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse, count = foresight.refuse_too_much, iter(range(100))

    def weigh(*arguments: Any) -> None:
        refuse(*arguments)
        site.send("PATCH", "/v1/peers/tor-a", {"med": next(count)})

    monkeypatch.setattr(foresight, "refuse_too_much", weigh)
    answer = site.send("PATCH", "/v1/peers/tor-a?max_withdraw=10", {"hold_time_s": 9})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert site.get("/v1/peers/tor-a")["hold_time_s"] == 90


def writes(*items: tuple[str, str, Any]) -> Any:
    return {
        "items": [
            {"method": method, "path": path, **({} if body is None else {"body": body})}
            for method, path, body in items
        ]
    }


def test_several_writes_are_foretold_together(site: Api) -> None:
    before = site.stored()
    answer = site.send(
        "POST",
        "/v1/impact",
        writes(
            ("POST", "/v1/tenants", {"name": "shop"}),
            ("POST", "/v1/pools", {"name": "p", "cidr": "10.70.0.0/16", "tenant": "shop"}),
            ("POST", "/v1/nodes", {"name": "node-3", "asn": 64513}),
            ("POST", "/v1/peers", PEER | {"name": "three", "address": "10.0.3.0", "node": "node-3"}),
            ("PATCH", "/v1/peers/three", {"med": 1}),
            ("DELETE", "/v1/peers/tor-b", None),
            ("POST", "/v1/peers", PEER | {"name": "tor-b", "address": "10.0.2.0", "node": "node-1"}),
        ),
    )
    assert answer.status_code == 200, answer.text
    assert [each["result"] for each in answer.json["writes"]] == [
        *["created"] * 4,
        "changed",
        "deleted",
        "created",
    ]
    assert {(at["node"], at["peer"], at["session"]) for at in answer.json["impact"]["peers"]} == {
        ("node-2", "tor-b", "closes"),
        ("node-3", "tor-a", "opens"),
        ("node-3", "three", "opens"),
    }
    assert site.stored() == before


@pytest.mark.parametrize(
    ("item", "status", "pointer", "says"),
    [
        (("PATCH", "/v1/peers/tor-a", {"hold_time_s": 1}), 422, "/items/1/body/hold_time_s", "item 1: "),
        (("PATCH", "/v1/peers/tor-a", {"nmae": "x"}), 422, "/items/1/body/nmae", "unknown field"),
        (("POST", "/v1/peers", None), 422, "/items/1/body/name", "is required"),
        (("PATCH", "/v1/peers/no", {}), 404, None, "item 1: there is no peer 'no'"),
        (("DELETE", "/v1/pools/default", None), 409, None, "item 1: pool default is in use"),
        (("DELETE", "/v1/endpoints/web", None), 422, "/items/1/path", "expected one of POST /v1/pools"),
        (
            ("DELETE", "/v1/peers", None),
            422,
            "/items/1/path",
            "POST /v1/pools, PATCH /v1/pools/{name}, DELETE",
        ),
        (("DELETE", "/v1/peers/a/b", None), 422, "/items/1/path", "expected"),
        (("PUT", "/v1/peers/tor-a", PEER), 422, "/items/1/method", "expected"),
    ],
)
def test_a_write_that_would_be_refused_is_named(
    site: Api, item: tuple[str, str, Any], status: int, pointer: str | None, says: str
) -> None:
    answer = site.send("POST", "/v1/impact", writes(("PATCH", "/v1/peers/tor-b", {"med": 1}), item))
    assert answer.status_code == status
    assert says in answer.json["detail"]
    assert [each["pointer"] for each in answer.json.get("errors", ())][:1] == ([pointer] if pointer else [])


def test_writes_may_only_be_weighed(site: Api) -> None:
    """What would happen at the routers is not worked out then."""
    drop = writes(("DELETE", "/v1/peers/tor-b", None))
    fine = site.send("POST", "/v1/impact?max_withdraw=100", drop)
    assert (fine.status_code, fine.json["impact"]) == (200, None)
    assert [each["result"] for each in fine.json["writes"]] == ["deleted"]
    much = site.send("POST", "/v1/impact?max_withdraw=0", drop)
    assert (much.status_code, much.json["type"]) == (409, "/problems/too-much-withdrawn")
    wrong = site.send("POST", "/v1/impact?max_withdraw=100", writes(("DELETE", "/v1/peers/no", None)))
    assert (wrong.status_code, wrong.json["detail"]) == (
        404,
        "item 0: there is no peer 'no'; there are tor-a, tor-b",
    )


@pytest.mark.parametrize("body", [{}, {"items": []}, {"items": [{"method": "DELETE"}]}, {"items": [1]}])
def test_writes_have_to_be_there(site: Api, body: Any) -> None:
    assert site.send("POST", "/v1/impact", body).status_code == 422


def test_who_may_not_write_has_nothing_foretold() -> None:
    with guarded() as closed:
        for role in (Role.NETWORK, Role.PLATFORM):
            closed.give(role.value, role)
        closed.made("/v1/nodes", {"name": "node-1", "asn": 64511})
        change = writes(("PATCH", "/v1/nodes/node-1", {"asn": 64600}))
        for who, status in (("platform", 200), ("network", 403)):
            answer = closed.send(who, "POST", "/v1/impact", change)
            assert answer.status_code == status, answer.text
        assert "item 0: role network may not PATCH /v1/nodes/{name}" in answer.json["detail"]


def test_no_two_kinds_that_count_are_taken_for_one() -> None:
    assert len(KINDS) == len(keys.KINDS) - len(PASSED_BY)


WEB_2 = {"id": "web-2", "node": "node-1"}


@pytest.mark.parametrize(
    ("item", "status", "pointer"),
    [
        (("POST", "/v1/endpoints", WEB_2 | {"id": "BAD_EP!"}), 422, "/items/0/body/id"),
        (("POST", "/v1/endpoints", WEB_2 | {"mac": "zz"}), 422, "/items/0/body/mac"),
        (("POST", "/v1/endpoints", WEB_2 | {"node": "node-9"}), 422, "/items/0/body/node"),
        (("POST", "/v1/endpoints", WEB_2 | {"tenant": "no"}), 422, "/items/0/body/tenant"),
        (("POST", "/v1/endpoints", WEB_2 | {"pools": ["no"]}), 422, "/items/0/body/pools/0"),
        (("POST", "/v1/endpoints", WEB_2 | {"addresses": ["10.9.0.1"]}), 422, "/items/0/body/addresses/0"),
        (("POST", "/v1/endpoints", WEB_2 | {"addresses": ["10.64.0.1"]}), 409, "/items/0/body/addresses/0"),
        (("PATCH", "/v1/endpoints/web", {"qos": {"dscp": -1}}), 422, "/items/0/body/qos/dscp"),
        (("PATCH", "/v1/endpoints/web", {"mac": "02:00:00:00:00:01"}), 422, "/items/0/body/mac"),
        (("PATCH", "/v1/endpoints/web", {"node": "node-9"}), 422, "/items/0/body/node"),
        (("PATCH", "/v1/endpoints/nobody", {"node": "node-2"}), 404, None),
    ],
)
def test_a_write_of_an_endpoint_is_checked(
    site: Api, item: tuple[str, str, Any], status: int, pointer: str | None
) -> None:
    before = site.stored()
    answer = site.send("POST", "/v1/impact", writes(item))
    assert answer.status_code == status, answer.text
    assert [each["pointer"] for each in answer.json.get("errors", ())] == ([pointer] if pointer else [])
    assert site.stored() == before


def test_an_endpoint_may_name_what_the_writes_before_it_make(site: Api) -> None:
    before = site.stored()
    new = {"id": "new", "node": "node-3", "tenant": "shop", "pools": ["p"], "addresses": ["10.70.0.9"]}
    asked = writes(
        ("POST", "/v1/tenants", {"name": "shop"}),
        ("POST", "/v1/pools", {"name": "p", "cidr": "10.70.0.0/16", "tenant": "shop"}),
        ("POST", "/v1/nodes", {"name": "node-3", "asn": 64513}),
        ("POST", "/v1/endpoints", new),
        ("PATCH", "/v1/endpoints/web", {"node": "node-3", "labels": {"a": "b"}}),
    )
    assert site.send("POST", "/v1/impact", asked).status_code == 200
    assert site.send("POST", "/v1/impact?max_withdraw=0", asked).status_code == 200
    assert site.stored() == before


def test_endpoints_that_follow_each_other_are_checked_on_the_same_reading(
    site: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    scan = Rehearsal.range

    def counted(rehearsal: Rehearsal, prefix: str, **given: Any) -> Range:
        read.append(prefix)
        return scan(rehearsal, prefix, **given)

    monkeypatch.setattr(Rehearsal, "range", counted)

    def reads(count: int) -> int:
        read.clear()
        new = [("POST", "/v1/endpoints", {"id": f"new-{each}", "node": "node-1"}) for each in range(count)]
        assert site.send("POST", "/v1/impact", writes(*new)).status_code == 200
        return read.count(keys.POOLS.prefix())

    assert reads(1) == reads(20) > 0


def test_what_many_writes_look_at_is_read_once(site: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    scan = site.parts.store.range

    def counted(prefix: str, **given: Any) -> Range:
        read.append(prefix)
        return scan(prefix, **given)

    monkeypatch.setattr(site.parts.store, "range", counted)

    def reads(count: int) -> int:
        read.clear()
        new = [("POST", "/v1/peers", PEER | named(number)) for number in range(count)]
        changed = [("PATCH", "/v1/peers/tor-a", {"med": number}) for number in range(count)]
        assert site.send("POST", "/v1/impact", writes(*new, *changed)).status_code == 200
        return read.count(keys.PEERS.prefix())

    assert reads(1) == reads(20) > 0


def named(number: int) -> dict[str, str]:
    return {"name": f"tor-{number}", "address": f"10.0.9.{number}"}


def test_an_endpoint_is_checked_on_what_all_writes_before_it_make(site: Api) -> None:
    endpoint = ("POST", "/v1/endpoints", {"id": "new", "node": "node-1"})
    off = ("PATCH", "/v1/pools/default", {"disabled": True})
    on = ("PATCH", "/v1/pools/default", {"disabled": False})
    assert site.send("POST", "/v1/impact", writes(off, on, endpoint)).status_code == 200
    answer = site.send("POST", "/v1/impact", writes(on, off, endpoint))
    assert answer.json["detail"].startswith("item 2: no pool has an address for node node-1: default is dis")


def test_what_would_not_find_an_endpoint_is_not_told_of(site: Api) -> None:
    site.made("/v1/nodes", {"name": "node-3", "asn": 64513})
    endpoint = ("POST", "/v1/endpoints", {"id": "new", "node": "node-3"})
    move = ("PATCH", "/v1/endpoints/web", {"node": "node-3"})
    gone = ("DELETE", "/v1/nodes/node-3", None)
    answer = site.send("POST", "/v1/impact", writes(move, endpoint, gone))
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json["errors"]] == ["/items/2/path"]
    answer = site.send("POST", "/v1/impact", writes(gone, endpoint))
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/items/1/body/node")
