"""What the nouns send, and what they print of the answer."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from cli.session import PAGE
from tests.unit.cli.canned import Reply, problem, serving
from tests.unit.cli.conftest import Polder

POOL = {
    "name": "default",
    "cidr": "10.64.0.0/16",
    "block_prefixlen": 26,
    "advertise": "block",
    "cooldown_s": 60,
}
ENDPOINT = {
    "id": "web-1",
    "node": "node-1",
    "pools": ["default"],
    "addresses": ["10.64.0.1"],
    "mac": "02:00:0a:40:00:01",
    "labels": {"app": "web"},
    "state": "assigned",
    "attached": False,
    "ready": False,
}


@pytest.mark.parametrize(
    ("arguments", "place", "body"),
    [
        (["pool", "create", "a", "--cidr", "10.0.0.0/8"], "/v1/pools", {"name": "a", "cidr": "10.0.0.0/8"}),
        (
            ["pool", "create", "a", "--cidr", "x", "--advertise", "host", "--cooldown-s", "0"],
            "/v1/pools",
            {"name": "a", "cidr": "x", "advertise": "host", "cooldown_s": 0},
        ),
        (
            ["node", "create", "n", "--asn", "64512", "--mtu-bytes", "9000", "--label", "rack=7"],
            "/v1/nodes",
            {"name": "n", "asn": 64512, "mtu_bytes": 9000, "labels": {"rack": "7"}},
        ),
        (
            ["peer", "create", "t", "--address", "192.0.2.1", "--asn", "64501", "--node", "n"],
            "/v1/peers",
            {"name": "t", "address": "192.0.2.1", "asn": 64501, "node": "n"},
        ),
        (
            [
                "service",
                "create",
                "s",
                "--pool",
                "p",
                "--selector",
                "a=b",
                "--check",
                "http:80/x,interval_s=9",
            ],
            "/v1/services",
            {
                "name": "s",
                "pool": "p",
                "selector": {"a": "b"},
                "check": {"kind": "http", "port": 80, "path": "/x", "interval_s": 9},
            },
        ),
        (
            [
                "policy",
                "create",
                "p",
                "--order",
                "50",
                "--ingress",
                "deny log tcp/23 from app=x@shop fd00::/8",
            ],
            "/v1/policies",
            {
                "name": "p",
                "order": 50,
                "ingress": [
                    {
                        "action": "deny",
                        "log": True,
                        "ports": [{"protocol": "tcp", "port": 23}],
                        "peers": [{"selector": {"app": "x"}, "tenant": "shop"}, {"cidr": "fd00::/8"}],
                    }
                ],
            },
        ),
        (
            ["endpoint", "create", "web-1", "--node", "n", "--address", "10.0.0.9", "--label", "a=b=c"],
            "/v1/endpoints",
            {"id": "web-1", "node": "n", "address": "10.0.0.9", "labels": {"a": "b=c"}},
        ),
        (
            ["pool", "create", "a", "--cidr", "x", "--reserved", "y", "--reserved", "z", "--no-borrow"],
            "/v1/pools",
            {"name": "a", "cidr": "x", "reserved": ["y", "z"], "borrow": False},
        ),
        (
            [
                "pool",
                "create",
                "a",
                "--cidr",
                "x",
                "--disabled",
                "--node-selector",
                "rack=7",
                "--priority",
                "9",
            ],
            "/v1/pools",
            {"name": "a", "cidr": "x", "disabled": True, "node_selector": {"rack": "7"}, "priority": 9},
        ),
        (
            ["endpoint", "create", "e", "--node", "n", "--family", "dual", "--pool", "a", "--pool", "b"],
            "/v1/endpoints",
            {"id": "e", "node": "n", "families": ["ipv4", "ipv6"], "pools": ["a", "b"]},
        ),
    ],
)
def test_create_sends_only_what_was_given(
    polder: Polder, arguments: list[str], place: str, body: dict[str, object]
) -> None:
    with serving(Reply(201, POOL)) as canned:
        ran = polder("--server", canned.url, *arguments)
    assert (ran.code, ran.err) == (0, "")
    asked = canned.asked[0]
    assert (asked.method, asked.target, asked.body) == ("POST", place, body)
    assert asked.headers["Content-Type"] == "application/json"


def test_get_prints_a_field_a_line(polder: Polder) -> None:
    nested = {"programs": {"agent": {"alive": True}}, "blocks": [{"cidr": "10.64.0.0/26"}]}
    with serving(Reply(200, ENDPOINT | nested)) as canned:
        ran = polder("endpoint", "get", "web-1", "--server", canned.url)
    lines = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert canned.asked[0].target == "/v1/endpoints/web-1"
    assert lines["addresses"] == "10.64.0.1"
    assert lines["labels"] == "app=web"
    assert lines["ready"] == "no"
    assert lines["programs.agent"] == "alive=yes"
    assert lines["blocks"] == "(cidr=10.64.0.0/26)"


def test_json_is_what_the_server_said(polder: Polder) -> None:
    with serving(Reply(200, ENDPOINT)) as canned:
        ran = polder("-o", "json", "--server", canned.url, "endpoint", "get", "web-1")
    assert json.loads(ran.out) == ENDPOINT


def test_a_name_cannot_leave_its_place_in_the_path(polder: Polder) -> None:
    with serving(Reply(404)) as canned:
        polder("--server", canned.url + "/polder/", "pool", "get", "..a?b#c")
        refused = polder("--server", canned.url + "/polder/", "pool", "get", "../nodes/a")
    assert [asked.target for asked in canned.asked] == ["/polder/v1/pools/..a%3Fb%23c"]
    assert (refused.code, refused.out) == (2, "")


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("pool get pool/a", "/v1/pools/a"),
        ("endpoint delete endpoint/a", "/v1/endpoints/a"),
        ("address explain address/10.64.0.1", "/v1/addresses/10.64.0.1"),
        ("bgp session peer/a --node n", "/v1/bgp/sessions/n/a"),
        ("node undrain node/a", "/v1/nodes/a"),
    ],
)
def test_a_name_is_taken_as_it_is_printed(polder: Polder, words: str, target: str) -> None:
    with serving(Reply(204)) as canned:
        polder(*words.split(), "--server", canned.url)
    assert canned.asked[0].target == target


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("pool get node/a", "'node/a' is no name: expected NAME or pool/NAME"),
        ("pool get pool/", "is empty"),
        ("pool get \udcff", "is not UTF-8"),
        ("node list -l a=\udcff", "is not UTF-8"),
        ("address explain foo", "'foo' is no address; expected one such as 10.64.0.1"),
        ("address explain 10.0.0.1/32", "'10.0.0.1/32' is no address"),
        ("address explain fe80::1%eth0", "'fe80::1%eth0' is no address"),
    ],
)
def test_what_is_no_name_is_not_asked_for(polder: Polder, words: str, why: str) -> None:
    with serving(Reply(200, {})) as canned:
        ran = polder(*words.split(), "--server", canned.url)
    assert (ran.code, ran.out, canned.asked) == (2, "", [])
    assert why in ran.err


@pytest.mark.parametrize("command", ["get", "delete"])
def test_an_empty_name_is_not_the_list(polder: Polder, command: str) -> None:
    ran = polder("pool", command, "")
    assert ran.code == 2
    assert "is empty" in ran.err


def test_list_is_a_table(polder: Polder) -> None:
    with serving(Reply(200, {"items": [ENDPOINT], "revision": 7})) as canned:
        ran = polder("endpoint", "list", "--server", canned.url)
    heading, row = ran.out.splitlines()
    assert heading.split() == ["ID", "NODE", "ADDRESSES", "STATE", "ATTACHED", "READY", "LABELS"]
    assert row.split() == ["web-1", "node-1", "10.64.0.1", "assigned", "no", "no", "app=web"]


def test_an_empty_list_is_its_heading(polder: Polder) -> None:
    with serving(Reply(200, {"items": [], "revision": 7})) as canned:
        ran = polder("pool", "list", "--server", canned.url)
    assert ran.out.split() == ["NAME", "CIDR", "BLOCK", "ADVERTISE", "TENANT", "DISABLED"]


def test_a_table_that_is_not_on_a_terminal_is_never_folded(polder: Polder) -> None:
    long = ENDPOINT | {"labels": {f"key-{n}": "v" * 60 for n in range(20)}}
    with serving(Reply(200, {"items": [long], "revision": 7})) as canned:
        ran = polder("endpoint", "list", "--server", canned.url)
    assert len(ran.out.splitlines()) == 2


def test_no_line_of_a_table_ends_in_blanks(polder: Polder) -> None:
    short = ENDPOINT | {"id": "b", "labels": {}}
    with serving(Reply(200, {"items": [ENDPOINT, short], "revision": 7})) as canned:
        ran = polder("endpoint", "list", "--server", canned.url)
    assert [line.rstrip() for line in ran.out.splitlines()] == ran.out.splitlines()


def test_endpoints_of_one_node_and_pool(polder: Polder) -> None:
    first = {"items": [ENDPOINT], "revision": 7, "next": "web-1"}
    with serving(Reply(200, first), Reply(200, {"items": [], "revision": 7})) as canned:
        ran = polder("endpoint", "list", "--node", "node-1", "--pool", "default", "--server", canned.url)
    assert ran.code == 0
    assert [asked.target for asked in canned.asked] == [
        f"/v1/endpoints?limit={PAGE}&node=node-1&pool=default",
        f"/v1/endpoints?limit={PAGE}&cursor=web-1&node=node-1&pool=default",
    ]


@pytest.mark.parametrize(
    ("typed", "meant"), [(["endpont", "list"], "endpoint"), (["endpoint", "lis"], "list"), (["bpg"], "bgp")]
)
def test_a_misspelt_command_is_answered_with_the_right_one(
    polder: Polder, typed: list[str], meant: str
) -> None:
    ran = polder(*typed)
    assert ran.code == 2
    assert "Did you mean" in ran.err
    assert f"'{meant}'" in ran.err


def test_list_reads_every_page(polder: Polder) -> None:
    names = [["a", "b"], ["c"], ["d"]]
    pages = [{"items": [POOL | {"name": name} for name in page], "revision": 7} for page in names]
    replies = [Reply(200, page | {"next": page["items"][-1]["name"]}) for page in pages[:-1]]
    with serving(*replies, Reply(200, pages[-1])) as canned:
        ran = polder("pool", "list", "-o", "json", "--server", canned.url)
    listing = json.loads(ran.out)
    assert [item["name"] for item in listing["items"]] == ["a", "b", "c", "d"]
    assert set(listing) == {"items", "revision"}
    assert [asked.target for asked in canned.asked] == [
        f"/v1/pools?limit={PAGE}",
        f"/v1/pools?limit={PAGE}&cursor=b",
        f"/v1/pools?limit={PAGE}&cursor=c",
    ]


def test_a_server_that_repeats_its_page_is_not_asked_for_ever(polder: Polder) -> None:
    with serving(Reply(200, {"items": [POOL], "revision": 7, "next": "default"})) as canned:
        ran = polder("pool", "list", "--server", canned.url)
    assert ran.code == 0
    assert len(canned.asked) == 2


@pytest.mark.parametrize("no_color", [False, True])
def test_colour_on_a_terminal_unless_no_color(no_color: bool) -> None:
    """On a pseudo-terminal. Only colours are meant (https://no-color.org): bold headings stay."""
    master, slave = pty.openpty()
    with serving(Reply(200, {"items": [ENDPOINT], "revision": 7})) as canned:
        code = f"from cli.main import main; main(['endpoint', 'list', '--server', '{canned.url}'])"
        env = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        env |= {"TERM": "xterm", "COLUMNS": "200"} | ({"NO_COLOR": "1"} if no_color else {})
        subprocess.run([sys.executable, "-c", code], stdout=slave, env=env, check=True)
    os.close(slave)
    text = os.read(master, 65536).decode()
    os.close(master)
    assert "\x1b[" in text
    assert ("\x1b[32m" in text) is not no_color


def test_node_list_shows_which_programs_are_up(polder: Polder) -> None:
    node = {"name": "n", "asn": 64512, "programs": {"agent": {"alive": True}, "speaker": {"alive": False}}}
    with serving(Reply(200, {"items": [node], "revision": 7})) as canned:
        ran = polder("node", "list", "--server", canned.url)
    assert ran.out.splitlines()[1].split() == ["n", "64512", "up", "down", "-"]


def test_move_patches_the_node(polder: Polder) -> None:
    with serving(Reply(200, ENDPOINT | {"node": "node-2"})) as canned:
        ran = polder("endpoint", "move", "web-1", "node-2", "--server", canned.url)
    asked = canned.asked[0]
    assert (asked.method, asked.target, asked.body) == ("PATCH", "/v1/endpoints/web-1", {"node": "node-2"})
    assert asked.headers["Content-Type"] == "application/merge-patch+json"
    assert "node-2" in ran.out


MOVED = {"node": "node-2"}


def test_move_reports_how_far_it_is(polder: Polder) -> None:
    way = {"source": "node-1", "target": "node-2", "endpoint": "web-1", "overlap_s": 9}
    stages = [Reply(200, {**way, "stage": stage}) for stage in ("waiting", "waiting", "announced")]
    over, there = problem(404, "There is no such thing"), Reply(200, ENDPOINT | MOVED | {"ready": True})
    with serving(Reply(200, ENDPOINT | MOVED), *stages, over, there) as canned:
        ran = polder(
            "endpoint", "move", "web-1", "node-2", "--overlap-s", "9", "--wait", "--server", canned.url
        )
    assert [each.target for each in canned.asked[:2]] == [
        "/v1/endpoints/web-1?overlap_s=9",
        "/v1/endpoints/web-1/move",
    ]
    first, second, last = ran.err.splitlines()
    assert first == "endpoint/web-1: node-2 waits for it to be attached; node-1 goes on"
    assert second == "endpoint/web-1: node-2 announces it; node-1 is about to go"
    assert last.startswith("endpoint/web-1: moved after ")
    assert re.search(r"ready +yes", ran.out), "as it is now, not as it was when the move began"


def test_a_move_that_leaves_an_endpoint_undelivered_fails(polder: Polder) -> None:
    way = {"source": "node-1", "target": "node-2", "endpoint": "web-1", "overlap_s": 9, "stage": "waiting"}
    over, there = problem(404, "There is no such thing"), Reply(200, ENDPOINT | MOVED | {"ready": False})
    with serving(Reply(200, ENDPOINT | MOVED), Reply(200, way), over, there) as canned:
        ran = polder("endpoint", "move", "web-1", "node-2", "--wait", "--server", canned.url)
    assert (ran.code, ran.out) == (1, "")
    assert "endpoint web-1: node-2 does not deliver it, and its former node went after " in ran.err
    assert ran.err.endswith("  next: attach it there: polder attach web-1\n")


def test_a_move_that_waits_for_nobody_does_not_fail_for_what_is_attached_later(polder: Polder) -> None:
    way = {"source": "node-1", "target": "node-2", "endpoint": "web-1", "overlap_s": 0, "stage": "waiting"}
    over, there = problem(404, "There is no such thing"), Reply(200, ENDPOINT | MOVED | {"ready": False})
    with serving(Reply(200, ENDPOINT | MOVED), Reply(200, way), over, there) as canned:
        ran = polder(
            "endpoint", "move", "web-1", "node-2", "--overlap-s", "0", "--wait", "--server", canned.url
        )
    assert ran.code == 0
    assert re.search(r"ready +no", ran.out)


def test_delete_says_what_it_did(polder: Polder) -> None:
    with serving(Reply(204)) as canned:
        ran = polder("pool", "delete", "default", "--server", canned.url)
    assert (ran.code, ran.out) == (0, "pool default deleted\n")


def test_delete_of_an_endpoint_waits_until_it_is_gone(polder: Polder) -> None:
    releasing = Reply(200, ENDPOINT | {"state": "releasing"})
    with serving(
        Reply(202, {"id": "web-1", "state": "releasing"}),
        releasing,
        Reply(503),
        releasing,
        problem(404, "There is no such thing"),
    ) as canned:
        ran = polder("endpoint", "delete", "web-1", "--server", canned.url)
    assert (ran.code, ran.out) == (0, "endpoint web-1 deleted\n")
    assert [asked.method for asked in canned.asked] == ["DELETE", "GET", "GET", "GET", "GET"]


def test_a_new_endpoint_of_the_same_id_ends_the_wait(polder: Polder) -> None:
    with serving(Reply(202, {"id": "web-1", "state": "releasing"}), Reply(200, ENDPOINT)) as canned:
        assert polder("endpoint", "delete", "web-1", "--server", canned.url).code == 0
    assert len(canned.asked) == 2


def test_delete_of_an_endpoint_need_not_wait(polder: Polder) -> None:
    with serving(Reply(202, {"id": "web-1", "state": "releasing"})) as canned:
        ran = polder("endpoint", "delete", "web-1", "--no-wait", "-o", "json", "--server", canned.url)
    assert json.loads(ran.out) == {"releasing": {"endpoint": "web-1"}}
    assert len(canned.asked) == 1


def test_several_endpoints_are_deleted_in_one_request(polder: Polder) -> None:
    outcomes = [
        {"status": 204},
        {"status": 202, "endpoint": ENDPOINT | {"state": "releasing"}},
        {"status": 404, "problem": {"status": 404, "detail": "there is no endpoint 'c'"}},
    ]
    with serving(
        Reply(200, {"items": outcomes, "refused": 1}), problem(404, "There is no such thing")
    ) as canned:
        ran = polder("endpoint", "delete", "a", "b", "a", "c", "--server", canned.url)
    assert (ran.code, ran.out) == (3, "endpoint a deleted\nendpoint b deleted\n")
    assert "1 of 3 were not deleted; c: there is no endpoint 'c'" in ran.err
    assert [(asked.method, asked.target) for asked in canned.asked] == [
        ("POST", "/v1/endpoints:release"),
        ("GET", "/v1/endpoints/b"),
    ]
    assert canned.asked[0].body == {"items": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}
    with serving(Reply(200, {"items": outcomes, "refused": 1})) as canned:
        ran = polder(
            *("endpoint", "delete", "a", "b", "c", "--no-wait", "-o", "json", "--server", canned.url)
        )
    assert json.loads(ran.out) == {
        "items": [{"deleted": {"endpoint": "a"}}, {"releasing": {"endpoint": "b"}}]
    }


def test_several_endpoints_need_not_be_waited_for(polder: Polder) -> None:
    with serving(Reply(200, {"items": [{"status": 202}, {"status": 204}], "refused": 0})) as canned:
        ran = polder("endpoint", "delete", "a", "b", "--no-wait", "--server", canned.url)
    assert (ran.code, ran.out) == (0, "endpoint a releasing\nendpoint b deleted\n")
    assert len(canned.asked) == 1


def test_no_name_of_several_may_be_empty(polder: Polder) -> None:
    assert polder("endpoint", "delete", "a", "").code == 2


def test_a_release_that_takes_too_long_says_where_to_look(polder: Polder) -> None:
    with serving(
        Reply(202, {"id": "web-1", "state": "releasing"}), Reply(200, ENDPOINT | {"state": "releasing"})
    ) as canned:
        ran = polder("endpoint", "delete", "web-1", "--timeout-s", "0", "--server", canned.url)
    assert ran.code == 1
    assert "still being released" in ran.err
    assert "polder node list" in ran.err
