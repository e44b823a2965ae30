"""`polder restore`: what a restored backup waits for, and how it was completed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.cli.canned import Reply, serving
from tests.unit.cli.conftest import Polder

WAITS = {
    "restoring": True,
    "cluster": "1c45a069",
    "heard": ["node-1"],
    "waiting_for": [],
    "no_pool": [],
    "waits_for_finish": False,
    "report": None,
}
REPORT = {
    "cluster": "1c45a069",
    "at": "2026-12-01T18:19:10Z",
    "heard": ["node-1"],
    "unheard": [],
    "confirmed": 7,
    "adopted": ["endpoint web-1 (10.64.0.1) on node node-1"],
    "ended": [],
    "refused": ["endpoint db-1 (10.65.0.1) on node node-1: no pool"],
    "idle": 2,
}


def said(polder: Polder, word: str, view: dict[str, Any]) -> dict[str, str]:
    """The record that is printed."""
    with serving(Reply(200, view)) as canned:
        ran = polder("restore", word, "--server", canned.url)
    assert (ran.code, ran.err) == (0, "")
    return dict(line.split(maxsplit=1) for line in ran.out.splitlines() if line)


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ({}, "it goes on by itself"),
        ({"waiting_for": ["node-2"]}, "these nodes are waited for, 120 s at most"),
        ({"no_pool": ["endpoint web-1 (10.64.0.1) on node node-1"]}, "create what is missing, pools"),
        (
            {"waits_for_finish": True},
            "create what is missing, pools, nodes and peers, and then: polder restore",
        ),
    ],
)
def test_status_says_what_is_waited_for(polder: Polder, told: dict[str, Any], what: str) -> None:
    shown = said(polder, "status", WAITS | told)
    assert shown["restoring"] == "yes"
    assert what in shown["next"]


def test_who_ends_the_wait_is_told_where_the_report_is(polder: Polder) -> None:
    assert said(polder, "finish", WAITS)["next"] == "polder restore status has the report soon"


def test_the_report_names_what_became_of_what_one_a_line(polder: Polder) -> None:
    shown = said(polder, "status", WAITS | {"restoring": False, "report": REPORT})
    assert {name: shown[name] for name in ("restoring", "confirmed", "idle", "unheard")} == {
        "restoring": "no",
        "confirmed": "7",
        "idle": "2",
        "unheard": "-",
    }
    assert shown["adopted"] == "endpoint web-1 (10.64.0.1) on node node-1", "the row below its count"
    assert shown["refused"] == "endpoint db-1 (10.65.0.1) on node node-1: no pool"


def test_programs_get_all_of_it(polder: Polder) -> None:
    view = WAITS | {"restoring": False, "report": REPORT}
    with serving(Reply(200, view)) as canned:
        ran = polder("restore", "status", "-o", "json", "--server", canned.url)
    assert json.loads(ran.out) == view


def test_a_write_meanwhile_points_to_the_status_and_not_to_a_second_later(polder: Polder) -> None:
    body = {
        "type": "/problems/restoring",
        "title": "A backup was restored",
        "status": 503,
        "detail": "it was",
    }
    headers = {"Content-Type": "application/problem+json", "Retry-After": "1"}
    with serving(Reply(503, body, headers)) as canned:
        ran = polder("pool", "delete", "default", "--server", canned.url)
    assert ran.code == 5
    assert ran.err.endswith("  next: see what it waits for, a node or you: polder restore status\n")
