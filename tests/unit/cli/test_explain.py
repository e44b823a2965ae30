"""`polder trace`, `polder node diff` and `polder endpoint stats`: what they ask, print and exit with."""

from __future__ import annotations

import pytest

from tests.unit.cli.canned import Reply, problem, serving
from tests.unit.cli.conftest import Polder

STEP = {
    "at": "classify",
    "node": "node-1",
    "verdict": "stops",
    "what": "drop",
    "evidence": "priority=50 in_port=7",
    "purpose": "SPOOFED",
    "reason": "web-1 has other addresses",
}
WHY = "stops at classify of node node-1: drop: web-1 has other addresses"
STOPPED = {"packet": {}, "arrives": False, "verdict": "stops", "why": WHY, "steps": [STEP]}
ARRIVED = {**STOPPED, "arrives": True, "verdict": "arrives", "why": "arrives"}


def test_a_trace_that_stops_says_where_and_fails(polder: Polder) -> None:
    with serving(Reply(200, STOPPED)) as canned:
        ran = polder("trace", "web-1", "web-2", "--proto", "tcp", "--port", "80", "--server", canned.url)
    assert canned.asked[0].target == "/v1/trace?source=web-1&destination=web-2&protocol=tcp&port=80"
    assert ran.code == 1
    assert ran.out.splitlines()[0].split()[:4] == ["NODE", "AT", "VERDICT", "WHAT"]
    assert ran.out.splitlines()[1].split() == [
        "node-1",
        "classify",
        "stops",
        "drop",
        "SPOOFED",
        *["web-1", "has", "other", "addresses"],
    ]
    assert ran.out.splitlines()[-1] == WHY
    assert "priority=50" not in ran.out


def test_a_trace_that_arrives_succeeds_and_shows_evidence_when_asked(polder: Polder) -> None:
    with serving(Reply(200, ARRIVED)) as canned:
        ran = polder("trace", "web-1", "10.64.0.9", "-o", "wide", "--server", canned.url)
    assert (ran.code, "priority=50 in_port=7" in ran.out) == (0, True)
    assert canned.asked[0].target == "/v1/trace?source=web-1&destination=10.64.0.9&protocol=icmp"


@pytest.mark.parametrize("words", [("--proto", "tcp"), ("--port", "80")])
def test_a_port_goes_with_what_has_ports(polder: Polder, words: tuple[str, str]) -> None:
    ran = polder("trace", "web-1", "web-2", *words)
    assert ran.code == 2
    assert "--port goes with --proto tcp or udp" in ran.err


COUNTS = [{"held": "flows", "wanted": 3, "found": 2}]
UNLIKE = {
    "held": "flows",
    "kind": "missing",
    "key": "classify priority=100",
    "wanted": "goto forward (ACCEPT)",
    "found": "",
    "reason": "web-1 from 10.64.0.7",
}


@pytest.mark.parametrize(("unlike", "code"), [([], 0), ([UNLIKE], 1)])
def test_a_difference_is_shown_with_its_reason_and_fails(
    polder: Polder, unlike: list[dict[str, str]], code: int
) -> None:
    with serving(Reply(200, {"kind": "diff", "counts": COUNTS, "unlike": unlike, "more": 0})) as canned:
        ran = polder("node", "diff", "node-1", "--server", canned.url)
    assert ran.code == code
    assert ("web-1 from 10.64.0.7" in ran.out) is bool(unlike)
    assert ran.out.splitlines()[-1] == f"node node-1 holds 2 of 3 flows: {len(unlike)} differences"


def test_an_agent_that_is_away_is_unavailable(polder: Polder) -> None:
    with serving(problem(503, "The node does not answer", "the agent of node node-1 does not run")) as canned:
        ran = polder("node", "diff", "node-1", "--server", canned.url)
    assert ran.code == 5
    assert "does not run" in ran.err


def test_what_an_endpoint_sent_got_and_lost(polder: Polder) -> None:
    both = {"packets": 5, "bytes": 490}
    lost = {"purpose": "SPOOFED", "reason": "has other addresses", "packets": 3, "bytes": 294}
    port = {"sent": {"packets": 8, "bytes": 784}, "received": both, "sent_dropped": 0, "received_dropped": 1}
    said = {"kind": "stats", "sent": both, "received": both, "dropped": [lost], "port": port}
    with serving(Reply(200, said)) as canned:
        ran = polder("endpoint", "stats", "web-1", "--server", canned.url)
    assert canned.asked[0].target == "/v1/endpoints/web-1/stats"
    assert [line.split()[:3] for line in ran.out.splitlines()[1:4]] == [
        ["sent", "5", "490"],
        ["received", "5", "490"],
        ["dropped", "3", "294"],
    ]


def test_an_endpoint_that_is_not_attached_is_sought_among_those_that_are(polder: Polder) -> None:
    with serving(problem(404, "There is no such thing", "web-1 is not attached")) as canned:
        ran = polder("endpoint", "stats", "web-1", "--server", canned.url)
    assert ran.code == 3
    assert "next: see which there are, and which are attached: polder endpoint list" in ran.err


NODE = {"name": "node-1", "asn": 64511}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("ipfix,192.0.2.9", {"protocol": "ipfix", "collector": "192.0.2.9"}),
        (
            "sflow,2001:db8::9,6343,64",
            {"protocol": "sflow", "collector": "2001:db8::9", "port": 6343, "sampling": 64},
        ),
        ("", None),
    ],
)
def test_a_collector_is_set_and_taken_out(polder: Polder, given: str, sent: object) -> None:
    with serving(Reply(200, NODE)) as canned:
        ran = polder("node", "set", "node-1", "--export", given, "--server", canned.url)
    assert (ran.code, canned.asked[-1].body) == (0, {"export": sent})


@pytest.mark.parametrize(
    "given", ["netflow,192.0.2.9", "ipfix", "ipfix,192.0.2.9,x", "ipfix,192.0.2.9,1,2,3"]
)
def test_a_collector_of_another_shape_is_a_usage_error(polder: Polder, given: str) -> None:
    ran = polder("node", "set", "node-1", "--export", given)
    assert ran.code == 2
    assert "ipfix or sflow, an address" in ran.err


def test_drops_are_shown_with_their_reasons(polder: Polder) -> None:
    drop = {
        "at": "2024-01-01T00:00:00Z",
        "endpoint": "web-1",
        "purpose": "SPOOFED",
        "reason": "web-1 has other addresses",
        "match": "in_port=7",
        "packets": 3,
        "bytes": 294,
    }
    packet = {
        "at": "2024-01-01T00:00:00Z",
        "endpoint": "web-1",
        "way": "received",
        "purpose": "POLICY_INGRESS",
        "reason": "policy no-ssh",
        "source": "fd00::9",
        "source_port": 54321,
        "destination": "10.64.0.7",
        "protocol": "tcp",
    }
    said = {"since": "2024-01-01T00:00:00Z", "interval_s": 10, "drops": [drop], "packets": [packet]}
    with serving(Reply(200, said)) as canned:
        ran = polder("endpoint", "drops", "web-1", "--server", canned.url)
    assert canned.asked[0].target == "/v1/endpoints/web-1/drops"
    assert ran.out.splitlines()[1].split()[-8:] == [
        "web-1",
        "SPOOFED",
        "3",
        "294",
        *["web-1", "has", "other", "addresses"],
    ]
    assert ran.out.splitlines()[-2].split()[1:] == [
        *("web-1", "received", "POLICY_INGRESS", "[fd00::9]:54321", "10.64.0.7", "tcp", "policy", "no-ssh")
    ]
    assert ran.out.splitlines()[-1] == "1 drops and 1 sampled packets since 2024-01-01T00:00:00Z"
