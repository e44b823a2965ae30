"""`polder bgp summary`."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from cli.times import lasted
from tests.unit.cli.canned import Reply, serving
from tests.unit.cli.conftest import Polder, Ran

UP = {
    "node": "node-1",
    "peer": "tor-a",
    "address": "192.0.2.1",
    "asn": 64501,
    "state": "ESTABLISHED",
    "since": "2024-01-01T00:00:00Z",
    "reason": "",
    "advertised": 3,
    "flaps": 4,
    "restarts": 1,
    "stale": False,
}
DOWN = UP | {"peer": "tor-b", "state": "ACTIVE", "reason": "Connection refused", "advertised": 0}
STALE = UP | {"node": "node-2", "stale": True}
NOW = datetime(2024, 1, 1, tzinfo=UTC)
NONE = Reply(200, {"items": [], "revision": 9})


def test_summary_counts_what_is_really_up(polder: Polder) -> None:
    with serving(Reply(200, {"items": [UP, DOWN, STALE], "revision": 9}), NONE) as canned:
        ran = polder("bgp", "summary", "--server", canned.url)
    lines = ran.out.splitlines()
    assert canned.asked[0].target == "/v1/bgp/sessions?limit=500"
    assert "Connection refused" in lines[2]
    assert "ESTABLISHED (stale)" in lines[3]
    assert lines[-1] == "1 of 3 sessions established"


def test_summary_says_what_is_drained_for_that_announces_nothing(polder: Polder) -> None:
    node = {"noun": "node", "name": "node-1", "stage": "drained"}
    drains = {"items": [node, {"noun": "peer", "name": "tor-b", "stage": "graceful"}]}
    with serving(Reply(200, {"items": [UP], "revision": 9}), Reply(200, drains)) as canned:
        ran = polder("bgp", "summary", "--server", canned.url)
    assert canned.asked[1].target == "/v1/drains?limit=500"
    assert (
        ran.out.splitlines()[-1]
        == "drains: node/node-1 (drained), peer/tor-b (graceful); see polder drain list"
    )


def test_summary_of_some(polder: Polder) -> None:
    with serving(Reply(200, {"items": [DOWN], "revision": 9}), NONE) as canned:
        ran = polder(
            "bgp", "summary", "--peer", "tor-b", "--state", "IDLE", "-o", "wide", "--server", canned.url
        )
    assert canned.asked[0].target == "/v1/bgp/sessions?limit=500&peer=tor-b&state=IDLE"
    assert ran.out.splitlines()[0].split()[6:8] == ["FLAPS", "RESTARTS"]


IN_FULL = UP | {
    "local_address": "192.0.2.0",
    "families": ["ipv4", "ipv6"],
    "hold_time_s": 90,
    "transitions": [
        {"at": "2024-01-01T00:00:00.25Z", "state": "CONNECT", "reason": "no session yet", "replaced": False},
        {"at": "2024-01-01T01:00:01+01:00", "state": "ESTABLISHED", "reason": "", "replaced": False},
    ],
}


def test_one_session_with_its_history(polder: Polder) -> None:
    listed = Reply(200, {"items": [UP], "revision": 9})
    with serving(listed, Reply(200, IN_FULL)) as canned:
        ran = polder("bgp", "session", "tor-a", "--server", canned.url)
    assert [each.target for each in canned.asked] == [
        "/v1/bgp/sessions?limit=500&peer=tor-a",
        "/v1/bgp/sessions/node-1/tor-a",
    ]
    lines = [line.split(maxsplit=1) for line in ran.out.splitlines()]
    assert ["negotiated", "ipv4, ipv6, hold time 90 s"] in lines
    assert ["router", "192.0.2.1, AS 64501, from 192.0.2.0"] in lines
    assert ["flaps", "4"] in lines
    assert ran.out.splitlines()[-2:] == [
        "2024-01-01 00:00:00Z  CONNECT      no session yet",
        "2024-01-01 00:00:01Z  ESTABLISHED  -",
    ]


def test_nothing_is_advertised_by_a_session_that_is_down(polder: Polder) -> None:
    with serving(Reply(200, IN_FULL | {"state": "IDLE", "reason": "Bad Peer AS"})) as canned:
        ran = polder("bgp", "session", "tor-a", "--node", "node-1", "--server", canned.url)
    assert ["advertised", "-"] in [line.split() for line in ran.out.splitlines()]


def test_one_session_of_a_node_needs_no_list(polder: Polder) -> None:
    with serving(Reply(200, IN_FULL)) as canned:
        ran = polder("bgp", "session", "tor-a", "--node", "node-1", "-o", "json", "--server", canned.url)
    assert json.loads(ran.out) == IN_FULL


def test_a_session_of_several_nodes_has_to_be_named(polder: Polder) -> None:
    items = [UP | {"node": f"node-{number}"} for number in range(7)]
    with serving(Reply(200, {"items": items, "revision": 9})) as canned:
        ran = polder("bgp", "session", "tor-a", "--server", canned.url)
    assert ran.code == 2
    assert "7 nodes have a session with tor-a: node-0, node-1, node-2, node-3, node-4 and 2 more" in ran.err
    assert "--node" in ran.err


def test_a_session_that_nobody_has(polder: Polder) -> None:
    with serving(Reply(200, {"items": [], "revision": 9})) as canned:
        ran = polder("bgp", "session", "tor-x", "--server", canned.url)
    assert ran.code == 3
    assert "polder bgp summary" in ran.err


def test_a_session_that_is_down_advertises_nothing(polder: Polder) -> None:
    waiting = DOWN | {"advertised": 7, "reason": ""}
    with serving(Reply(200, {"items": [UP, waiting], "revision": 9}), NONE) as canned:
        ran = polder("bgp", "summary", "--node", "node-1", "--server", canned.url)
    up, down = ran.out.splitlines()[1:3]
    assert canned.asked[0].target == "/v1/bgp/sessions?limit=500&node=node-1"
    assert up.split()[-2:] == ["3", "-"]
    assert down.split()[-2:] == ["-", "-"]


def test_what_the_guard_keeps_back_is_counted_with_a_reason(polder: Polder) -> None:
    kept = UP | {"guarded": 2, "guarded_why": "10.0.0.0/8: shorter than pool default"}
    rows = Reply(200, {"items": [kept], "revision": 9})
    with serving(rows, NONE, rows, NONE) as canned:
        row = polder("bgp", "summary", "--server", canned.url).out.splitlines()[1]
        wide = polder("bgp", "summary", "-o", "wide", "--server", canned.url).out.splitlines()[1]
    assert "outbound guard keeps back 2, such as 10.0.0.0/8: shorter than pool default" in row
    assert row.split()[5:8] == ["4", "3", "outbound"]
    assert wide.split()[6:10] == ["4", "1", "3", "2"]


def test_routes_are_prefixes_with_the_peers_they_go_to(polder: Polder) -> None:
    route = {"prefix": "10.64.0.0/26", "node": "node-1", "peers": ["tor-a", "tor-b"]}
    with serving(Reply(200, {"items": [route], "revision": 9})) as canned:
        ran = polder("bgp", "routes", "--server", canned.url)
    assert canned.asked[0].target == "/v1/bgp/routes?limit=500"
    with serving(Reply(200, {"items": [], "revision": 9})) as canned:
        polder("bgp", "routes", "--peer", "tor-a", "--prefix", "10.64.0.0/24", "--server", canned.url)
    assert canned.asked[0].target == "/v1/bgp/routes?limit=500&peer=tor-a&prefix=10.64.0.0%2F24"
    assert [line.split() for line in ran.out.splitlines()] == [
        ["PREFIX", "NODE", "PEERS"],
        ["10.64.0.0/26", "node-1", "tor-a,tor-b"],
    ]


def test_imported_routes_say_by_which_ways_and_which_are_not_used(polder: Polder) -> None:
    used = {"peer": "tor-a", "next_hop": "10.1.1.0", "used": True, "stale": False}
    paths = [used, {"peer": "tor-b", "next_hop": "10.2.1.0", "used": False, "stale": True}]
    route = {"prefix": "0.0.0.0/0", "node": "node-1", "paths": paths, "reason": "why"}
    with serving(Reply(200, {"items": [route], "revision": 9})) as canned:
        ran = polder("bgp", "imported", "--server", canned.url)
    assert canned.asked[0].target == "/v1/bgp/imported?limit=500"
    head, row = ran.out.splitlines()
    assert head.split() == ["PREFIX", "NODE", "VIA", "REASON"]
    assert "tor-a 10.1.1.0, tor-b 10.2.1.0 (stale, unused)" in row
    assert row.endswith("why")


def test_summary_as_json(polder: Polder) -> None:
    listing = {"items": [UP], "revision": 9}
    with serving(Reply(200, listing)) as canned:
        ran = polder("bgp", "summary", "-o", "json", "--server", canned.url)
    assert json.loads(ran.out) == listing


@pytest.mark.parametrize(
    ("since", "text"),
    [
        ("2023-12-31T23:59:55Z", "5s"),
        ("2023-12-31T23:58:57+00:00", "1m03s"),
        ("2023-12-31T21:55:00Z", "2h05m"),
        ("2023-12-28T20:00:00Z", "3d04h"),
        ("2024-01-01T00:00:09Z", "0s"),
        ("2024-01-01T00:00:00", ""),
        ("yesterday", ""),
        (None, ""),
    ],
)
def test_how_long(since: str | None, text: str) -> None:
    assert lasted(since, NOW) == text


VERIFIED = {
    "node": "node-1",
    "peer": "tor-a",
    "router": "192.0.2.1",
    "controller": "c:1",
    "since": "2024-01-01T00:00:00Z",
    "accepted": 1,
    "missing": 0,
    "unexpected": 0,
    "differences": [],
    "unreadable": "",
}
MISSING = {
    "kind": "missing",
    "prefix": "10.64.0.64/26",
    "cause": "its inbound policy",
    "since": "2024-01-01T00:00:00Z",
}


def checked(polder: Polder, *items: object) -> Ran:
    with serving(Reply(200, {"items": list(items), "revision": 9})) as canned:
        return polder("bgp", "check", "--server", canned.url)


def test_check_shows_each_difference_and_fails(polder: Polder) -> None:
    ran = checked(polder, VERIFIED | {"missing": 3, "differences": [MISSING]}, VERIFIED | {"peer": "tor-b"})
    lines = ran.out.splitlines()
    assert lines[0].split() == ["NODE", "PEER", "PREFIX", "KIND", "FOR", "CAUSE"]
    assert lines[1].split()[:4] == ["node-1", "tor-a", "10.64.0.64/26", "missing"]
    assert lines[1].endswith("its inbound policy")
    assert lines[-1] == "3 differences in 2 sessions, 1 of them shown"
    assert ran.code == 1


def test_check_finds_nothing(polder: Polder) -> None:
    ran = checked(polder, VERIFIED, VERIFIED | {"peer": "tor-b", "unreadable": "more than is compared"})
    assert ran.out.splitlines() == [
        "tor-b of node-1 is not compared: more than is compared",
        "0 differences in 2 sessions",
    ]
    assert ran.code == 0


def test_check_says_where_nobody_tells(polder: Polder) -> None:
    ran = checked(polder)
    assert ran.out.splitlines() == ["no router tells what it holds: see BMP in docs/routers.md"]
    assert ran.code == 0


def test_check_as_json_is_what_the_api_says(polder: Polder) -> None:
    listed = VERIFIED | {"unexpected": 1, "differences": [MISSING | {"kind": "unexpected"}]}
    with serving(Reply(200, {"items": [listed], "revision": 9})) as canned:
        asked = ("--node", "node-1", "--peer", "tor-a", "-o", "json")
        ran = polder("bgp", "check", *asked, "--server", canned.url)
    assert canned.asked[0].target == "/v1/bgp/differences?limit=500&node=node-1&peer=tor-a"
    assert json.loads(ran.out)["items"] == [listed]
    assert ran.code == 1
