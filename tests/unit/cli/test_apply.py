"""apply and delete -f: what they refuse, in which order they ask, and what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.apply import NEVER
from cli.document import parse
from cli.failure import Failure
from cli.wanted import wanted
from tests.unit.cli.canned import Reply, problem, serving, told, withdrawing, write
from tests.unit.cli.conftest import Polder

POOL = {"name": "a", "cidr": "10.0.0.0/8", "cooldown_s": 60, "reserved": ["10.0.0.0/28", "10.9.9.9/32"]}
FINE = problem(412, "It is not what If-Match demands")
ABSENT = problem(404, "There is no such thing")
WEIGHED = told()
TOO_MUCH = Reply(
    409,
    {
        "type": "/problems/too-much-withdrawn",
        "title": "It would withdraw too much of what is announced",
        "status": 409,
        "detail": "it would withdraw 2 of 4 announced prefixes (50 %), more than max_withdraw 10",
    },
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A file for two objects, the second of which is needed by the first."""
    path = tmp_path / "site.yaml"
    path.write_text(
        "kind: peer\nname: tor\naddress: 192.0.2.1\nasn: 1\nnode: n\n---\nkind: Node\nname: n\nasn: 7\n"
    )
    return path


def test_all_is_read_and_checked_before_the_first_write(polder: Polder, site: Path) -> None:
    with serving(ABSENT, ABSENT, FINE, FINE, WEIGHED, Reply(201, {"name": "x"})) as canned:
        ran = polder("apply", "-f", str(site), "--server", canned.url)
    assert (ran.code, ran.out) == (0, "node/n created\npeer/tor created\n")
    assert [(asked.method, asked.target) for asked in canned.asked] == [
        ("GET", "/v1/nodes/n"),
        ("GET", "/v1/peers/tor"),
        ("PUT", "/v1/nodes/n"),
        ("PUT", "/v1/peers/tor"),
        ("POST", "/v1/impact?max_withdraw=10"),
        ("POST", "/v1/nodes"),
        ("POST", "/v1/peers"),
    ]
    assert canned.asked[2].headers["If-Match"] == NEVER
    assert canned.asked[5].body == {"name": "n", "asn": 7}


@pytest.mark.parametrize(
    ("refusal", "code", "said"),
    [
        (
            problem(422, "Not valid", **{"items/1/body/node": "there is no node 'n'"}),
            2,
            "document 1, line 5, peer/tor, node: there is no node 'n'",
        ),
        (
            problem(409, "The range overlaps", **{"items/0/body/cidr": "it overlaps"}),
            4,
            "document 2, line 7, node/n, cidr: it overlaps",
        ),
        (
            problem(404, "None", "item 1: there is no peer 'tor'"),
            3,
            "document 1, line 1, peer/tor: there is no",
        ),
    ],
)
def test_what_would_be_refused_on_the_way_is_refused_before(
    polder: Polder, site: Path, refusal: Reply, code: int, said: str
) -> None:
    for more in ((), ("--yes",), ("--dry-run",)):
        with serving(ABSENT, ABSENT, FINE, FINE, refusal) as canned:
            ran = polder("apply", "-f", str(site), *more, "--server", canned.url)
        assert (ran.code, ran.out) == (code, "")
        assert canned.asked[-1].target.startswith("/v1/impact")
        assert said in ran.err
        assert "nothing was changed" in ran.err


def test_null_goes_back_to_the_default(polder: Polder, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("kind: pool\nname: a\ncidr: 10.0.0.0/8\ncooldown_s: null\nreserved: null\n")
    least = {"name": "a", "cidr": "10.0.0.0/8"}
    with serving(ABSENT, FINE, WEIGHED, Reply(201, POOL)) as canned:
        assert polder("apply", "-f", str(path), "--server", canned.url).code == 0
    assert [asked.body for asked in canned.asked[1::2]] == [least, least]
    with serving(Reply(200, POOL), FINE, WEIGHED, Reply(200, POOL | {"reserved": []})) as canned:
        assert polder("apply", "-f", str(path), "--server", canned.url).out == "pool/a changed\n"
    assert canned.asked[1].body == least
    assert canned.asked[3].body == {"cooldown_s": None, "reserved": None}


def test_a_document_of_a_vm_is_one_of_an_endpoint(polder: Polder, tmp_path: Path) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text("kind: vm\nid: vm-1\nnode: node-1\n")
    made = {"id": "vm-1", "node": "node-1", "kind": "vm"}
    with serving(ABSENT, WEIGHED, Reply(201, made), Reply(200, made)) as canned:
        for word in ("created", "unchanged"):
            ran = polder("apply", "-f", str(path), "--server", canned.url)
            assert (ran.out, ran.err) == (f"endpoint/vm-1 {word}\n", "")
    assert canned.asked[2].body == {"id": "vm-1", "node": "node-1", "kind": "vm"}


def test_what_is_so_already_is_left_alone(polder: Polder, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"kind": "pool", "name": "a", "reserved": ["10.0.0.0/28", "10.9.9.9/32"]}')
    with serving(Reply(200, POOL)) as canned:
        ran = polder("apply", "-f", str(path), "--server", canned.url)
    assert ran.out == "pool/a unchanged\n"
    assert [asked.method for asked in canned.asked] == ["GET"]


def test_a_change_is_a_patch_of_what_differs(polder: Polder, tmp_path: Path) -> None:
    path = tmp_path / "n.yaml"
    path.write_text("kind: node\nname: n\nasn: 7\nlabels: {b: '2', c: '3'}\n")
    there = {"name": "n", "asn": 7, "labels": {"a": "1", "b": "2"}, "programs": {}}
    after = there | {"labels": {"b": "2", "c": "3"}}
    patch = {"labels": {"a": None, "b": "2", "c": "3"}}
    with serving(Reply(200, there), FINE, WEIGHED, Reply(200, after)) as canned:
        ran = polder("apply", "-f", str(path), "--server", canned.url)
    assert ran.out == "node/n changed\n"
    assert canned.asked[1].body == {"name": "n", "asn": 7, "labels": {"b": "2", "c": "3"}}
    assert canned.asked[2].target == "/v1/impact?max_withdraw=10"
    assert canned.asked[2].body == {"items": [{"method": "PATCH", "path": "/v1/nodes/n", "body": patch}]}
    assert (canned.asked[3].target, canned.asked[3].body) == ("/v1/nodes/n", patch)


@pytest.mark.parametrize(("options", "bound"), [((), 10), (("--max-withdraw", "49"), 49)])
def test_what_withdraws_too_much_is_not_applied(
    polder: Polder, tmp_path: Path, options: tuple[str, ...], bound: int
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("kind: pool\nname: a\nadvertise: none\n")
    there = POOL | {"advertise": "block"}
    with serving(Reply(200, there), FINE, TOO_MUCH) as canned:
        ran = polder("apply", "-f", str(path), *options, "--server", canned.url)
    assert (ran.code, ran.out) == (4, "")
    assert "it would withdraw 2 of 4 announced prefixes (50 %), more than max_withdraw" in ran.err
    advice = "next: nothing was changed; look at it with --dry-run; with --yes it is done all the same"
    assert advice in ran.err
    assert [asked.method for asked in canned.asked] == ["GET", "PUT", "POST"]
    assert canned.asked[2].target == f"/v1/impact?max_withdraw={bound}"
    with serving(Reply(200, there), FINE, WEIGHED, Reply(200, POOL | {"advertise": "none"})) as canned:
        ran = polder("apply", "-f", str(path), "--yes", *options, "--server", canned.url)
    assert ran.out == "pool/a changed\n"
    assert [asked.method for asked in canned.asked] == ["GET", "PUT", "POST", "PATCH"]
    assert canned.asked[2].target == "/v1/impact?max_withdraw=100"


def test_a_dry_run_shows_the_difference_and_writes_nothing(polder: Polder, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("kind: pool\nname: a\ncooldown_s: 0\n")
    after = POOL | {"cooldown_s": 0, "reserved": ["10.0.0.0/28"]}
    answers = (Reply(200, POOL), FINE, told(write("changed", POOL, after), impact=withdrawing(50)))
    with serving(*answers, *answers) as canned:
        ran = polder("apply", "-f", str(path), "--dry-run", "--server", canned.url)
        code = polder("apply", "-f", str(path), "--dry-run", "--exit-code", "--server", canned.url).code
    assert ran.out.splitlines() == [
        "--- pool/a (server)",
        f"+++ pool/a ({path}, document 1, line 1)",
        "@@ -1,7 +1,6 @@",
        " kind: pool",
        " name: a",
        " cidr: 10.0.0.0/8",
        "-cooldown_s: 60",
        "+cooldown_s: 0",
        " reserved:",
        " - 10.0.0.0/28",
        "-- 10.9.9.9/32",
        "pool/a changed (dry run)",
        (
            "0 prefixes appear, 0 change, 2 of 4 vanish (50 %); sessions: all stay; "
            "endpoints: 0 affected, 0 unreachable at some router"
        ),
    ]
    assert (ran.code, code) == (0, 6)
    assert {(asked.method, asked.target) for asked in canned.asked} == {
        ("GET", "/v1/pools/a"),
        ("PUT", "/v1/pools/a"),
        ("POST", "/v1/impact"),
    }


def test_a_dry_run_in_json_has_the_impact_of_all_documents(polder: Polder, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "kind: tenant\nname: shop\n---\nkind: pool\nname: a\ncidr: 10.0.0.0/8\ntenant: shop\n---\n"
        "kind: endpoint\nid: web\nnode: n\n"
    )
    answer = told(write("created"), write("unchanged"), write("created"), impact=withdrawing(0))
    with serving(ABSENT, ABSENT, ABSENT, FINE, FINE, answer) as canned:
        ran = polder("apply", "-f", str(path), "--dry-run", "-o", "json", "--server", canned.url)
    assert canned.asked[-1].body == {
        "items": [
            {"method": "POST", "path": "/v1/tenants", "body": {"name": "shop"}},
            {
                "method": "POST",
                "path": "/v1/pools",
                "body": {"name": "a", "cidr": "10.0.0.0/8", "tenant": "shop"},
            },
            {"method": "POST", "path": "/v1/endpoints", "body": {"id": "web", "node": "n"}},
        ]
    }
    shown = json.loads(ran.out)
    assert shown["items"] == [
        {"object": "tenant/shop", "result": "created (dry run)"},
        {"object": "pool/a", "result": "unchanged (dry run)"},
        {"object": "endpoint/web", "result": "created (dry run)"},
    ]
    assert shown["impact"]["totals"]["vanish"] == 0


def test_everything_that_is_wrong_is_said_at_once(polder: Polder, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "kind: pool\nname: a\ncoldown_s: 1\n---\nkind: pod\n---\nname: x\n---\nkind: node\n---\n"
        "kind: node\nname: 0\n---\nkind: pool\nname: a\n---\nkind: endpoint\nid: a/b\n"
    )
    with serving(Reply(200, POOL)) as canned:
        ran = polder("apply", "-f", str(path), "--server", canned.url)
    assert (ran.code, ran.out, canned.asked) == (2, "", [])
    kinds = "tenant, pool, node, peer, service, policy, endpoint, vm, host"
    assert [line.partition(f"{path}, ")[2] for line in ran.err.splitlines()[1:-1]] == [
        "document 1, line 3: unknown field coldown_s; did you mean cooldown_s?",
        "document 2, line 5: unknown kind; there are " + kinds,
        "document 3, line 7: there is no `kind`; it is one of " + kinds,
        "document 4, line 9: there is no `name`, which every node has",
        "document 5, line 12: is no text; write it in quotes",
        "document 7, line 18: 'a/b' is no id: it has a slash",
        "document 6, line 15: pool/a stands in " + f"{path}, document 1, line 1 already",
    ]


def test_what_to_do_about_an_address_that_is_taken_can_be_done_in_a_file(
    polder: Polder, tmp_path: Path
) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("kind: endpoint\nid: web\nnode: n\naddresses: [10.0.0.1]\n")
    taken = Reply(409, {"type": "/problems/address-in-use", "detail": "item 0: 10.0.0.1 is assigned to b"})
    with serving(ABSENT, taken) as canned:
        ran = polder("apply", "-f", str(path), "--server", canned.url)
    assert "next: nothing was changed; leave the address out to get a free one" in ran.err


def test_what_the_server_refuses_is_named_by_line(polder: Polder, site: Path) -> None:
    refused = problem(422, "The request is not valid", asn="expected 1 to 4294967295")
    with serving(ABSENT, ABSENT, FINE, refused) as canned:
        ran = polder("apply", "-f", str(site), "--server", canned.url)
    assert ran.code == 2
    assert f"  {site}, document 1, line 4: asn: expected 1 to 4294967295" in ran.err.splitlines()
    assert {asked.method for asked in canned.asked} == {"GET", "PUT"}


def test_a_failure_in_between_says_how_far_it_came(polder: Polder, site: Path) -> None:
    full = problem(409, "Taken", "another peer has the address")
    made = Reply(201, {"name": "n"})
    with serving(ABSENT, ABSENT, FINE, FINE, WEIGHED, made, full) as canned:
        ran = polder("apply", "-f", str(site), "--server", canned.url)
    assert (ran.code, ran.out) == (4, "node/n created\n")
    assert f"polder: {site}, document 1, line 1, peer/tor: another peer has the address" in ran.err
    assert "next: 1 of 2 are applied; the same command again goes on from there" in ran.err
    with serving(ABSENT, ABSENT, FINE, FINE, WEIGHED, made, full) as canned:
        ran = polder("apply", "-f", str(site), "-o", "json", "--server", canned.url)
    assert ran.code == 4
    assert json.loads(ran.out) == {"items": [{"object": "node/n", "result": "created"}]}


def test_a_fault_of_the_file_is_to_be_corrected_first(polder: Polder, site: Path) -> None:
    refused = problem(422, "The request is not valid", node="there is no node 'n'")
    with serving(ABSENT, ABSENT, FINE, FINE, WEIGHED, Reply(201, {"name": "n"}), refused) as canned:
        ran = polder("apply", "-f", str(site), "--server", canned.url)
    assert ran.code == 2
    assert "1 of 2 are applied; correct the file, then the same command again goes on from there" in ran.err


BAD = problem(422, "Not valid", **{"items/0/body/mac": "expected a MAC address"})


@pytest.mark.parametrize("more", [(), ("--yes",), ("--dry-run",)])
def test_an_endpoint_is_checked_before_the_first_write(
    polder: Polder, tmp_path: Path, more: tuple[str, ...]
) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("kind: endpoint\nid: web\nnode: n\nmac: zz\n")
    with serving(ABSENT, BAD) as canned:
        ran = polder("apply", "-f", str(path), *more, "--server", canned.url)
    assert (ran.code, ran.out) == (2, "")
    assert f"{path}, document 1, line 4, endpoint/web, mac: expected a MAC address" in ran.err
    assert "next: correct the file; nothing was changed" in ran.err
    write = {"method": "POST", "path": "/v1/endpoints", "body": {"id": "web", "node": "n", "mac": "zz"}}
    assert [asked.body for asked in canned.asked] == [None, {"items": [write]}]


def test_more_endpoints_than_can_be_tried_at_a_time_are_tried_in_parts(
    polder: Polder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.trial.MOST_FORETOLD", 10)
    path = tmp_path / "many.yaml"
    documents = ["{kind: pool, name: a, cooldown_s: 0}", "{kind: node, name: n, asn: 7}"]
    documents += [f"{{kind: endpoint, id: e{number}, node: n}}" for number in range(10)]
    path.write_text("\n---\n".join(documents))
    answers = [Reply(200, POOL), *[ABSENT] * 11, FINE, FINE]
    with serving(*answers, told(impact=withdrawing(0)), WEIGHED) as canned:
        ran = polder("apply", "-f", str(path), "--dry-run", "--server", canned.url)
    assert (ran.code, ran.err) == (0, "")
    first, second = ([each["path"] for each in asked.body["items"]] for asked in canned.asked[-2:])
    assert first == ["/v1/pools/a", "/v1/nodes"] + ["/v1/endpoints"] * 8
    assert second == ["/v1/pools/a", "/v1/nodes"] + ["/v1/endpoints"] * 2
    parts = (told(*[write("unchanged")] * count) for count in (10, 4))
    with serving(*answers, *parts) as canned:
        ran = polder("apply", "-f", str(path), "--dry-run", "--exit-code", "--server", canned.url)
    assert (ran.code, ran.out.count("unchanged")) == (0, 12)
    bad = problem(422, "Not valid", **{"items/3/body/node": "is wrong"})
    with serving(*answers, WEIGHED, bad) as canned:
        ran = polder("apply", "-f", str(path), "--server", canned.url)
    assert (ran.code, ran.out) == (2, "")
    assert "document 12, line 23, endpoint/e9, node: is wrong" in ran.err


@pytest.mark.parametrize(("endpoints", "parts", "said"), [(5, 2, ""), (6, 1, "4 endpoints are not tried")])
def test_no_more_parts_than_one_where_they_have_little_room(
    polder: Polder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    endpoints: int,
    parts: int,
    said: str,
) -> None:
    monkeypatch.setattr("cli.trial.MOST_FORETOLD", 10)
    monkeypatch.setattr("cli.trial.LEAST_ROOM", 4)
    path = tmp_path / "many.yaml"
    documents = [f"{{kind: node, name: n{number}, asn: 7}}" for number in range(7)]
    documents += [f"{{kind: endpoint, id: e{number}, node: n0}}" for number in range(endpoints + 1)]
    path.write_text("\n---\n".join(documents))
    answers = [*[ABSENT] * (8 + endpoints), *[FINE] * 7]
    with serving(*answers, told(impact=withdrawing(0)), WEIGHED) as canned:
        ran = polder("apply", "-f", str(path), "--dry-run", "--server", canned.url)
    assert (ran.code, said in ran.err, bool(ran.err)) == (0, True, bool(said))
    assert [asked.method for asked in canned.asked].count("POST") == parts


def test_more_objects_than_can_be_weighed_are_shown_and_need_yes(
    polder: Polder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.trial.MOST_FORETOLD", 10)
    path = tmp_path / "many.yaml"
    path.write_text("\n---\n".join(f"{{kind: node, name: n{each}, asn: 7}}" for each in range(11)))
    there = [Reply(200, {"name": "n0", "asn": 8}), *[ABSENT] * 10, *[FINE] * 11]
    with serving(*there) as canned:
        ran = polder("apply", "-f", str(path), "--dry-run", "--server", canned.url)
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "node/n10 created (dry run)")
    assert "more than 10 objects cannot be tried together" in ran.err
    assert "what they do at routers is not told" in ran.err
    with serving(*there) as canned:
        ran = polder("apply", "-f", str(path), "--server", canned.url)
    assert (ran.code, ran.out) == (2, "")
    assert "next: nothing was changed; name fewer at a time, or" in ran.err
    with serving(*there, Reply(200, {"name": "n", "asn": 7})) as canned:
        ran = polder("apply", "-f", str(path), "--yes", "--server", canned.url)
    assert (ran.code, len(ran.out.splitlines())) == (0, 11)
    assert ran.err == "polder: more than 10 objects cannot be tried together, so none is tried\n"


def test_delete_goes_the_other_way_round(polder: Polder, site: Path) -> None:
    listing = Reply(200, {"items": [{"name": "tor"}], "revision": 1})
    with serving(listing, WEIGHED, Reply(204), ABSENT) as canned:
        ran = polder("delete", "-f", str(site), "--server", canned.url)
    assert (ran.code, ran.out) == (0, "peer/tor deleted\nnode/n absent\n")
    assert canned.asked[1].body == {"items": [{"method": "DELETE", "path": "/v1/peers/tor"}]}
    with serving(listing, TOO_MUCH) as canned:
        ran = polder("delete", "-f", str(site), "--server", canned.url)
    assert (ran.code, ran.out, len(canned.asked)) == (4, "", 2)
    assert ran.err.splitlines()[-1] == "  next: nothing was deleted; with --yes all of it is"
    with serving(Reply(204), ABSENT) as canned:
        assert polder("delete", "-f", str(site), "--yes", "--server", canned.url).code == 0


WEB = {"name": "web", "pool": "a", "selector": {"app": "web"}, "communities": ["64500:1"]}


def test_services_are_weighed_with_the_rest(polder: Polder, tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("kind: service\nname: web\ncommunities: []\n")
    with serving(Reply(200, WEB), FINE, TOO_MUCH) as canned:
        assert polder("apply", "-f", str(path), "--server", canned.url).code == 4
    patch = {"method": "PATCH", "path": "/v1/services/web", "body": {"communities": []}}
    assert canned.asked[2].body == {"items": [patch]}
    listing = Reply(200, {"items": [WEB], "revision": 1})
    with serving(listing, TOO_MUCH) as canned:
        ran = polder("delete", "-f", str(path), "--server", canned.url)
    assert (ran.code, ran.out, len(canned.asked)) == (4, "", 2)


def test_to_whom_the_routers_are_not_shown_the_difference_is(polder: Polder, tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("kind: service\nname: web\ncommunities: []\n")
    changed = told(write("changed", WEB, WEB | {"communities": []}))
    with serving(Reply(200, WEB), FINE, changed) as canned:
        ran = polder("apply", "-f", str(path), "--dry-run", "--server", canned.url)
    assert (ran.code, ran.err, ran.out.splitlines()[-1]) == (0, "", "service/web changed (dry run)")


def test_who_may_not_write_is_told_of_the_difference(polder: Polder, tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("kind: service\nname: web\ncommunities: null\n")
    forbidden = problem(403, "Not allowed", "role read-only may not PUT /v1/services/{name}")
    with serving(Reply(200, WEB), forbidden, told(write("unchanged"), impact=withdrawing(0))) as canned:
        ran = polder("apply", "-f", str(path), "--dry-run", "--exit-code", "--server", canned.url)
    assert (ran.code, ran.err, ran.out) == (0, "", "service/web unchanged (dry run)\n")


def test_what_is_gone_already_needs_no_weighing(polder: Polder, site: Path) -> None:
    with serving(Reply(200, {"items": [], "revision": 1}), ABSENT) as canned:
        ran = polder("delete", "-f", str(site), "--server", canned.url)
    assert (ran.code, ran.out) == (0, "peer/tor absent\nnode/n absent\n")
    assert [asked.method for asked in canned.asked] == ["GET", "DELETE", "DELETE"]


def test_an_empty_file_is_said(polder: Polder, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# nothing yet\n")
    with serving(ABSENT) as canned:
        ran = polder("apply", "-f", str(tmp_path), "--server", canned.url)
    assert (ran.code, ran.err) == (0, "polder: the files hold no document\n")


def test_an_order_in_which_each_comes_after_what_it_names() -> None:
    texts = (
        "endpoint\nid: a",
        "tenant\nname: z",
        "peer\nname: a",
        "pool\nname: b",
        "node\nname: a",
        "pool\nname: a",
    )
    found = wanted(parse("\n---\n".join(f"kind: {each}" for each in texts), "x"))
    assert [each.title for each in found] == [
        "tenant/z",
        "pool/b",
        "pool/a",
        "node/a",
        "peer/a",
        "endpoint/a",
    ]


def test_a_document_that_is_no_mapping() -> None:
    with pytest.raises(Failure, match="expected fields such as"):
        parse("- 1", "x")
