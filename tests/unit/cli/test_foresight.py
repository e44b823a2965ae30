"""`--dry-run`, `--max-withdraw` and `--yes` of pools, peers, nodes and services."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.unit.cli.canned import Reply, problem, serving, withdrawing
from tests.unit.cli.conftest import Polder

ROUTE: dict[str, Any] = {
    "prefix": "10.64.0.0/26",
    "next_hop": "self",
    "communities": [],
    "med": None,
    "local_pref": None,
    "as_path": [],
    "reason": "block of pool default",
}
PEER: dict[str, Any] = {
    "node": "node-1",
    "peer": "tor-a",
    "address": "10.0.1.0",
    "session": "resets",
    "because": ["hold_time_s 90 -> 30", "gtsm no -> yes"],
    "appear": [ROUTE | {"communities": ["64500:1", "64500:1:2"], "med": 0, "as_path": [64511, 64511]}],
    "change": [
        {"before": ROUTE, "after": ROUTE | {"communities": ["64500:1"], "next_hop": "192.0.2.1"}},
        {"before": ROUTE | {"local_pref": 5}, "after": ROUTE},
    ],
    "vanish": [ROUTE | {"prefix": "10.64.1.0/26"}],
    "kept_back": [{"prefix": "10.64.2.0/26", "reason": "beyond max_prefixes 1 of peer tor-a"}],
}
OTHER = PEER | {
    "peer": "tor-b\x1b[2J",
    "session": "stays",
    "because": [],
    "appear": [],
    "change": [],
    "kept_back": [],
}
ENDPOINTS = [
    {"id": "web", "node": "node-1", "addresses": ["10.64.1.1"], "unreachable_at": ["tor-a", "tor-b"]},
    {"id": "db", "node": "node-2", "addresses": ["10.64.1.2", "2001:db8::2"], "unreachable_at": []},
]
LINES = """\
node node-1, peer tor-a at 10.0.1.0
  ! session node-1 tor-a resets: hold_time_s 90 -> 30, gtsm no -> yes
  + 10.64.0.0/26 next_hop self communities 64500:1,64500:1:2 med 0 as_path 64511,64511
  ~ 10.64.0.0/26 next_hop self -> 192.0.2.1, communities none -> 64500:1
  ~ 10.64.0.0/26 local_pref 5 -> none
  - 10.64.1.0/26 next_hop self
  ! 10.64.2.0/26 is kept back: beyond max_prefixes 1 of peer tor-a
node node-1, peer tor-b\\x1b[2J at 10.0.1.0
  - 10.64.1.0/26 next_hop self
endpoint web on node-1 (10.64.1.1): unreachable at tor-a, tor-b
endpoint db on node-2 (10.64.1.2, 2001:db8::2): reached by another prefix
0 prefixes appear, 0 change, 2 of 4 vanish (50 %); sessions: all stay; \
endpoints: 0 affected, 0 unreachable at some router
"""
IMPACT = withdrawing(50, peers=[PEER, OTHER], endpoints=ENDPOINTS)


@pytest.mark.parametrize(
    ("arguments", "method", "place", "body"),
    [
        (["pool", "set", "a", "--advertise", "none"], "PATCH", "/v1/pools/a", {"advertise": "none"}),
        (["pool", "delete", "a"], "DELETE", "/v1/pools/a", None),
        (["peer", "set", "t", "--med", "5"], "PATCH", "/v1/peers/t", {"med": 5}),
        (["peer", "delete", "t"], "DELETE", "/v1/peers/t", None),
        (["node", "set", "n", "--label", "a=1"], "PATCH", "/v1/nodes/n", {"labels": {"a": "1"}}),
        (["node", "delete", "n"], "DELETE", "/v1/nodes/n", None),
        (
            ["service", "set", "s", "--community", "64500:1"],
            "PATCH",
            "/v1/services/s",
            {"communities": ["64500:1"]},
        ),
        (["service", "delete", "s"], "DELETE", "/v1/services/s", None),
        (
            ["service", "create", "s", "--pool", "a", "--selector", "app=s"],
            "POST",
            "/v1/services",
            {"name": "s", "pool": "a", "selector": {"app": "s"}},
        ),
        (
            ["peer", "create", "t", "--address", "10.0.1.0", "--asn", "64501"],
            "POST",
            "/v1/peers",
            {"name": "t", "address": "10.0.1.0", "asn": 64501},
        ),
    ],
)
def test_a_dry_run_shows_what_would_happen(
    polder: Polder, arguments: list[str], method: str, place: str, body: Any
) -> None:
    with serving(IMPACT) as canned:
        ran = polder(*arguments, "--dry-run", "--server", canned.url)
    assert (ran.code, ran.err, ran.out) == (0, "", LINES)
    [asked] = canned.asked
    assert (asked.method, asked.target, asked.body) == (method, f"{place}?dry_run=true", body)


def test_a_dry_run_as_a_document(polder: Polder) -> None:
    for output, load in (("json", json.loads), ("yaml", yaml.safe_load)):
        with serving(IMPACT) as canned:
            ran = polder("peer", "delete", "t", "--dry-run", "-o", output, "--server", canned.url)
        assert load(ran.out) == IMPACT.body


def test_many_endpoints_are_cut(polder: Polder) -> None:
    many = [ENDPOINTS[0] | {"id": f"web-{number}"} for number in range(25)]
    with serving(withdrawing(50, endpoints=many)) as canned:
        ran = polder("peer", "delete", "t", "--dry-run", "--server", canned.url)
    assert ran.out.count("unreachable at tor-a") == 20
    assert "... and 5 more endpoints: see -o json\n" in ran.out


@pytest.mark.parametrize(
    ("options", "query"),
    [([], "?max_withdraw=10"), (["--max-withdraw", "50"], "?max_withdraw=50"), (["--yes"], "")],
)
@pytest.mark.parametrize("verb", ["set", "delete"])
def test_a_change_is_bounded_unless_yes_is_said(
    polder: Polder, verb: str, options: list[str], query: str
) -> None:
    given = ["--med", "5"] if verb == "set" else []
    with serving(Reply(200, {"name": "t"})) as canned:
        ran = polder("peer", verb, "t", *given, *options, "--server", canned.url)
    assert ran.code == 0
    assert canned.asked[0].target == f"/v1/peers/t{query}"


def test_what_is_too_much_says_how_to_go_on(polder: Polder) -> None:
    refused = problem(409, "It would withdraw too much of what is announced", "it would withdraw 2 of 4")
    refused = Reply(409, refused.body | {"type": "/problems/too-much-withdrawn"})
    with serving(refused) as canned:
        ran = polder("peer", "delete", "t", "--server", canned.url)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.splitlines() == [
        "polder: it would withdraw 2 of 4",
        "  next: look at it with --dry-run; with --yes it is done all the same",
    ]


@pytest.mark.parametrize("percent", ["-1", "101", "ten"])
def test_a_bound_is_a_percentage(polder: Polder, percent: str) -> None:
    ran = polder("peer", "delete", "t", "--max-withdraw", percent)
    assert (ran.code, ran.out) == (2, "")
    assert "--max-withdraw" in ran.err
