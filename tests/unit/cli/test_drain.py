"""`polder node drain`: what is sent, and what is told until it is done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.cli.canned import Reply, problem, serving
from tests.unit.cli.conftest import Polder

NODE = Reply(200, {"name": "node-1"})
SINCE = "2026-01-01T00:00:00Z"


def drain(stage: str, announced: int = 0, noun: str = "node") -> dict[str, Any]:
    return {"noun": noun, "name": "node-1", "stage": stage, "announced": announced, "since": SINCE}


def listed(*items: dict[str, Any]) -> Reply:
    return Reply(200, {"items": list(items), "revision": 7})


def ctrl_c(seconds: float) -> None:
    raise KeyboardInterrupt


def test_each_stage_is_told_once(polder: Polder) -> None:
    replies = [
        NODE,
        Reply(201, drain("graceful", 3)),
        listed(drain("graceful", 3), drain("drained", noun="peer")),
        listed(drain("withdrawing", 3)),
        listed(drain("withdrawing", 1)),
        listed(drain("drained")),
    ]
    with serving(*replies) as canned:
        ran = polder("node", "drain", "node-1", "--wait", "2m", "--for", "1h", "--server", canned.url)
    assert ran.code == 0
    assert canned.asked[1].target == "/v1/nodes/node-1:drain"
    assert canned.asked[1].body == {"wait_s": 120, "for_s": 3600}
    assert ran.out.splitlines() == [
        "node/node-1: routes carry GRACEFUL_SHUTDOWN",
        "node/node-1: routes are being withdrawn",
        "node/node-1: nothing is announced any more",
    ]


def test_ctrl_c_ends_the_command_and_not_the_drain(polder: Polder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.drain.time.sleep", ctrl_c)
    with serving(NODE, Reply(201, drain("graceful", 3)), listed(drain("graceful", 3))) as canned:
        ran = polder("node", "drain", "node-1", "--server", canned.url)
    assert ran.code == 1
    assert ran.err.splitlines() == [
        "polder: interrupted; the drain goes on without this command",
        "  next: end it: polder node undrain node-1",
    ]


def test_a_rack_is_all_nodes_with_its_label(polder: Polder) -> None:
    nodes = listed({"name": "node-1"}, {"name": "node-2"})
    with serving(nodes, Reply(201, drain("graceful"))) as canned:
        ran = polder("node", "drain", "-l", "rack=7", "--detach", "--server", canned.url)
    told = "node/node-1: routes carry GRACEFUL_SHUTDOWN\nnode/node-2: routes carry GRACEFUL_SHUTDOWN\n"
    assert (ran.code, ran.out) == (0, told)
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
    done = [each.target for each in canned.asked if each.method == "POST"]
    assert done == ["/v1/peers/tor-a:undrain", "/v1/peers/tor-b:undrain"]


@pytest.mark.parametrize("verb", ["drain", "undrain"])
def test_all_names_are_looked_up_before_anything_is_done(polder: Polder, verb: str) -> None:
    absent = problem(404, "There is no such thing")
    with serving(NODE, absent, absent) as canned:
        ran = polder("node", verb, "node-1", "nosuch", "no-2", "--server", canned.url)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines() == [
        "polder: there is no node nosuch, no-2",
        "  next: nothing was done; see which there are: polder node list",
    ]
    assert {each.method for each in canned.asked} == {"GET"}


def test_what_was_drained_is_said_when_another_is_refused(polder: Polder) -> None:
    with serving(NODE, NODE, Reply(201, drain("graceful")), problem(503, "etcd")) as canned:
        ran = polder("node", "drain", "node-1", "node-2", "--server", canned.url)
    assert (ran.code, ran.out) == (5, "node/node-1: routes carry GRACEFUL_SHUTDOWN\n")


@pytest.mark.parametrize(
    ("output", "out"),
    [
        ("json", json.dumps({"items": [drain("drained")]}, indent=2) + "\n"),
        ("name", "node/node-1\n"),
    ],
)
def test_for_programs_the_last_state_of_each_is_printed(polder: Polder, output: str, out: str) -> None:
    replies = (NODE, Reply(201, drain("graceful")), listed(drain("drained")))
    with serving(*replies) as canned:
        ran = polder("node", "drain", "node-1", "-o", output, "--server", canned.url)
    assert (ran.code, ran.out) == (0, out)
    assert ran.err.splitlines()[-1] == "node/node-1: nothing is announced any more"


@pytest.mark.parametrize(
    ("output", "out"),
    [
        (
            "json",
            json.dumps({"items": [{"undrained": {"peer": name}} for name in ("a", "b")]}, indent=2) + "\n",
        ),
        ("yaml", "undrained:\n  peer: a\n---\nundrained:\n  peer: b\n"),
        ("name", "peer/a\npeer/b\n"),
    ],
)
def test_several_are_one_document(polder: Polder, output: str, out: str) -> None:
    with serving(Reply(204)) as canned:
        assert polder("peer", "undrain", "a", "b", "-o", output, "--server", canned.url).out == out


def test_a_node_and_a_peer_of_one_name_are_two(polder: Polder) -> None:
    both = listed(drain("drained"), drain("drained", noun="peer"))
    with serving(both) as canned:
        named = polder("drain", "list", "-o", "name", "--server", canned.url)
    assert named.out == "node/node-1\npeer/node-1\n"
    with serving(both, problem(403, "Enough")) as canned:
        ran = polder("drain", "list", "--watch", "--server", canned.url)
    assert [line.split()[1] for line in ran.out.splitlines()] == ["WHAT", "node/node-1", "peer/node-1"]
