"""`list --watch`: what is told, in which format, and how it goes on after trouble."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.rest import place
from cli.watch import WAIT_S
from tests.unit.cli.canned import Reply, problem, serving
from tests.unit.cli.conftest import Polder


def node(name: str, **labels: str) -> dict[str, Any]:
    return {"name": name, "asn": 1, "labels": labels}


def listing(revision: int, *items: dict[str, Any]) -> Reply:
    return Reply(200, {"items": list(items), "revision": revision})


def told(revision: int, *changes: tuple[str, dict[str, Any]]) -> Reply:
    items = [{"type": kind, "revision": revision, "item": item} for kind, item in changes]
    return Reply(200, {"items": items, "revision": revision})


END = problem(403, "Enough")
"""Ends a watch that would go on for ever."""


def test_rows_as_they_come(polder: Polder) -> None:
    replies = (
        listing(5, node("a", rack="7")),
        told(6),
        told(8, ("put", node("a")), ("put", node("longer-name"))),
        told(9, ("delete", {"name": "a"})),
    )
    with serving(*replies, END) as canned:
        ran = polder("node", "list", "--watch", "-l", "x=y", "-L", "rack", "--server", canned.url)
    assert [line.split() for line in ran.out.splitlines()] == [
        ["CHANGE", "NAME", "ASN", "AGENT", "SPEAKER", "LABELS", "RACK"],
        ["there", "a", "1", "-", "-", "rack=7", "7"],
        ["changed", "a", "1", "-", "-", "-", "-"],
        ["added", "longer-name", "1", "-", "-", "-", "-"],
        ["deleted", "a", "1", "-", "-", "-", "-"],
    ]
    heading, first = ran.out.splitlines()[:2]
    assert heading.index("RACK") == first.rindex("7"), "the list is printed as one table"
    polls = [asked.target.partition("?")[2] for asked in canned.asked[1:]]
    assert polls == [f"label=x%3Dy&watch=poll&since={since}&wait_s={WAIT_S}" for since in (5, 6, 8, 9)]


def test_a_line_of_json_for_each(polder: Polder) -> None:
    with serving(listing(5, node("a")), told(6, ("put", node("b"))), END) as canned:
        ran = polder("node", "list", "-w", "-o", "json", "--server", canned.url)
    assert [json.loads(line) for line in ran.out.splitlines()] == [
        {"change": "there", "node": node("a")},
        {"change": "added", "node": node("b")},
    ]


def test_names(polder: Polder) -> None:
    with serving(listing(5, node("a")), told(6, ("delete", node("a"))), END) as canned:
        ran = polder("node", "list", "-w", "-o", "name", "--server", canned.url)
    assert ran.out == "node/a there\nnode/a deleted\n"


def test_what_the_store_has_forgotten_is_read_again(polder: Polder) -> None:
    replies = (
        listing(5, node("a"), node("b"), node("c")),
        problem(410, "It is forgotten"),
        listing(9, node("a"), node("c", x="y"), node("d")),
        told(10, ("put", node("e"))),
    )
    with serving(*replies, END) as canned:
        ran = polder("node", "list", "-w", "-o", "name", "--server", canned.url)
    assert ran.out.splitlines()[3:] == ["node/b deleted", "node/c changed", "node/d added", "node/e added"]
    assert "since=9" in canned.asked[3].target


def test_it_goes_on_when_a_controller_answers_again(polder: Polder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.watch.RETRY_S", 0.0)
    down = problem(503, "etcd does not answer")
    with serving(listing(5), down, down, told(6, ("put", node("a"))), END) as canned:
        ran = polder("node", "list", "-w", "-o", "name", "--server", canned.url)
    assert ran.out == "node/a added\n"
    assert ran.err.splitlines()[0] == "polder: etcd does not answer; trying again"
    assert ran.err.count("trying again") == 1
    assert [asked.target for asked in canned.asked[1:4]] == [
        f"{place('nodes')}?watch=poll&since=5&wait_s={WAIT_S}"
    ] * 3


def test_what_cannot_be_watched_says_so(polder: Polder) -> None:
    with serving(listing(5), problem(422, "The request is not valid")) as canned:
        ran = polder("node", "list", "-w", "--server", canned.url)
    assert ran.code == 2


def test_it_survives_an_answer_that_is_cut_short(polder: Polder) -> None:
    half = Reply(200, {"items": [{"type": "put", "item": node("b")}], "revision": 6}, cut=True)
    with serving(listing(5, node("a")), half, told(6, ("put", node("b"))), END) as canned:
        ran = polder("node", "list", "-w", "-o", "name", "--server", canned.url)
    assert ran.out == "node/a there\nnode/b added\n"
    assert "trying again" in ran.err
