"""`polder policy` as people see it: rules in words, order that counts, and what a dry run tells."""

from __future__ import annotations

import yaml

from cli.impact import lines
from tests.unit.cli.canned import Reply, serving
from tests.unit.cli.conftest import Polder

ALLOW = {"name": None, "action": "allow", "log": False, "peers": [], "ports": []}
DENY = {**ALLOW, "action": "deny", "log": True}
TOTALS = {
    **dict.fromkeys(("advertised", "appear", "change", "vanish", "withdrawn_percent"), 0),
    **dict.fromkeys(("opens", "closes", "resets", "refused", "endpoints", "unreachable"), 0),
}
POLICY = {
    "name": "web",
    "tenant": None,
    "selector": {},
    "order": 500,
    "mode": "enforced",
    "ingress": [ALLOW, DENY],
    "egress": [],
}


def test_rules_are_shown_in_words(polder: Polder) -> None:
    with serving(Reply(200, POLICY)) as canned:
        ran = polder("policy", "get", "web", "--server", canned.url)
    assert "ingress   allow; deny log\n" in ran.out


def test_a_document_says_what_is_not_so_by_itself(polder: Polder) -> None:
    with serving(Reply(200, POLICY)) as canned:
        ran = polder("policy", "get", "web", "-o", "yaml", "--server", canned.url)
    assert yaml.safe_load(ran.out)["ingress"] == [{"action": "allow"}, {"action": "deny", "log": True}]


def test_what_rules_have_matched_is_shown_by_rule_and_who_was_not_counted(polder: Polder) -> None:
    counted = {"direction": "ingress", "name": None, "packets": 0, "bytes": 0}
    allowed = {**counted, "rule": 1, "action": "allow"}
    denied = {**counted, "rule": 2, "action": "deny", "packets": 3, "bytes": 222}
    silent = [{"node": "node-2", "why": "the agent does not run"}]
    found = {"policy": "web", "mode": "staged", "nodes": ["node-1"], "silent": silent}
    with serving(Reply(200, {**found, "rules": [allowed, denied]}), Reply(200, POLICY)) as canned:
        ran = polder("policy", "stats", "web", "--server", canned.url)
    assert [each.target for each in canned.asked] == ["/v1/policies/web/stats", "/v1/policies/web"]
    assert ran.out.splitlines()[2].split() == ["ingress", "deny", "log", "3", "222"]
    assert ran.out.splitlines()[-1].endswith("it is staged: nothing was decided by it")
    assert "node node-2 is not counted: the agent does not run" in ran.err


def test_what_a_dry_run_tells_of_policies() -> None:
    shift = {
        "endpoints": {"count": 5, "some": ["a", "b", "c", "d", "e"]},
        "direction": "ingress",
        "peers": {"endpoints": None, "outside": "192.0.2.0", "ranges": ["192.0.2.0/24"]},
        "gains": ["tcp/80"],
        "loses": [],
    }
    lost = {
        "endpoints": {"count": 1, "some": ["a"]},
        "direction": "egress",
        "peers": {"endpoints": {"count": 1, "some": ["z"]}, "outside": None, "ranges": []},
        "gains": [],
        "loses": ["any"],
    }
    policies = {
        "endpoints": {"count": 6, "some": ["a"]},
        "shifts": [shift, lost],
        "more": False,
        "nodes": [{"node": "n", "values": 2}, {"node": "m", "values": 1}],
    }
    impact = {"peers": [], "endpoints": [], "totals": TOTALS, "policies": policies}
    assert list(lines(impact)) == [
        "+ ingress to a, b, c and 2 more: now tcp/80 from outside, 192.0.2.0/24",
        "- egress of a: no more anything to z",
        "endpoints concerned: 6; nodes told: 2, values: 3",
    ]
