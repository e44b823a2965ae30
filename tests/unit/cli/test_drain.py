"""`polder node drain`: what is sent, and what is told until it is done."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.canned import Reply, serving
from tests.unit.cli.conftest import Polder

SINCE = "2026-01-01T00:00:00Z"


def drain(stage: str, announced: int = 0, noun: str = "node") -> dict[str, Any]:
    return {"noun": noun, "name": "node-1", "stage": stage, "announced": announced, "since": SINCE}


def listed(*items: dict[str, Any]) -> Reply:
    return Reply(200, {"items": list(items), "revision": 7})


def test_each_stage_is_told_once(polder: Polder) -> None:
    replies = [
        Reply(201, drain("graceful", 3)),
        listed(drain("graceful", 3), drain("drained", noun="peer")),
        listed(drain("withdrawing", 3)),
        listed(drain("withdrawing", 1)),
        listed(drain("drained")),
    ]
    with serving(*replies) as canned:
        ran = polder("node", "drain", "node-1", "--wait", "2m", "--for", "1h", "--server", canned.url)
    assert ran.code == 0
    assert canned.asked[0].target == "/v1/nodes/node-1:drain"
    assert canned.asked[0].body == {"wait_s": 120, "for_s": 3600}
    assert ran.out.splitlines() == [
        "node/node-1: routes carry GRACEFUL_SHUTDOWN",
        "node/node-1: routes are being withdrawn",
        "node/node-1: nothing is announced any more",
    ]


def test_a_rack_is_all_nodes_with_its_label(polder: Polder) -> None:
    nodes = listed({"name": "node-1"}, {"name": "node-2"})
    with serving(nodes, Reply(201, drain("graceful"))) as canned:
        ran = polder("node", "drain", "-l", "rack=7", "--detach", "--server", canned.url)
    assert (ran.code, ran.out) == (0, "")
    assert [each.target.partition("?")[0] for each in canned.asked] == [
        "/v1/nodes",
        "/v1/nodes/node-1:drain",
        "/v1/nodes/node-2:drain",
    ]
    assert "label=rack%3D7" in canned.asked[0].target


def test_a_label_that_nobody_has_is_a_failure(polder: Polder) -> None:
    with serving(listed()) as canned:
        ran = polder("node", "drain", "-l", "rack=9", "--server", canned.url)
    assert ran.code == 1
    assert "no node has rack=9" in ran.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["node", "drain"], "name a node, or a label with -l"),
        (["node", "drain", "a", "-l", "rack=7"], "name a node, or a label with -l"),
        (["peer", "drain"], "name a peer"),
        (["node", "drain", "a", "--wait", "soon"], "'soon' is not a time; expected one such as 90s"),
    ],
)
def test_usage(polder: Polder, arguments: list[str], says: str) -> None:
    ran = polder(*arguments)
    assert ran.code == 2
    assert says in ran.err


def test_undrain(polder: Polder) -> None:
    with serving(Reply(204)) as canned:
        ran = polder("peer", "undrain", "tor-a", "tor-b", "--server", canned.url)
    assert ran.code == 0
    assert [each.target for each in canned.asked] == ["/v1/peers/tor-a:undrain", "/v1/peers/tor-b:undrain"]
