"""What NetworkPolicy documents and lines of rules become, and what is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli.conftest import Polder, Ran

NETPOL = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
"""


def imported(polder: Polder, path: Path, text: str, *more: str) -> Ran:
    file = path / "netpol.yaml"
    file.write_text(text)
    return polder("policy", "import", str(file), *more)


def policies(ran: Ran) -> list[dict[str, Any]]:
    assert ran.code == 0, ran.err
    return list(yaml.safe_load_all(ran.out))


def test_allows_come_first_and_the_rest_is_denied_behind_all(polder: Polder, tmp_path: Path) -> None:
    spec = """
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - podSelector: {matchLabels: {app: probe}}
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: bank}}
      podSelector: {matchLabels: {app: till}}
    ports: [{port: 443}, {protocol: UDP, port: 8000, endPort: 8010}]
  egress:
  - {}
"""
    allows, rest = policies(imported(polder, tmp_path, NETPOL + spec))
    common = {"kind": "policy", "tenant": "shop", "selector": {"app": "web"}}
    assert allows == {
        **common,
        "name": "web",
        "ingress": [
            {
                "action": "allow",
                "ports": [
                    {"protocol": "tcp", "port": 443},
                    {"protocol": "udp", "port": 8000, "end_port": 8010},
                ],
                "peers": [
                    {"selector": {"app": "probe"}},
                    {"selector": {"app": "till"}, "tenant": "bank"},
                ],
            }
        ],
        "egress": [{"action": "allow"}],
    }
    deny = [{"action": "deny"}]
    assert rest == {**common, "name": "web-rest", "order": 600, "ingress": deny, "egress": deny}


def test_a_policy_without_rules_only_denies(polder: Polder, tmp_path: Path) -> None:
    (rest,) = policies(imported(polder, tmp_path, NETPOL + "  podSelector: {}\n"))
    assert rest == {
        "kind": "policy",
        "name": "web-rest",
        "tenant": "shop",
        "order": 600,
        "ingress": [{"action": "deny"}],
    }


def test_they_are_printed_as_asked_for(polder: Polder, tmp_path: Path) -> None:
    text = NETPOL + "  podSelector: {}\n  policyTypes: [Ingress]\n"
    as_yaml = policies(imported(polder, tmp_path, text))
    assert json.loads(imported(polder, tmp_path, text, "-o", "json").out) == as_yaml
    names = imported(polder, tmp_path, text, "-o", "name").out
    assert names == "".join(f"policy/{each['name']}\n" for each in as_yaml)


def test_rules_of_a_direction_that_is_not_isolated_do_not_count(polder: Polder, tmp_path: Path) -> None:
    spec = "  podSelector: {}\n  policyTypes: [Egress]\n  ingress: [{}]\n"
    (rest,) = policies(imported(polder, tmp_path, NETPOL + spec))
    assert rest.keys() == {"kind", "name", "tenant", "order", "egress"}


def test_a_range_loses_its_exceptions(polder: Polder, tmp_path: Path) -> None:
    block = "{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/9, 10.192.0.0/10]}}"
    allows, _ = policies(
        imported(polder, tmp_path, NETPOL + f"  podSelector: {{}}\n  ingress: [{{from: [{block}]}}]\n")
    )
    assert allows["ingress"][0]["peers"] == [{"cidr": "10.128.0.0/10"}]


def test_the_tenant_may_be_said(polder: Polder, tmp_path: Path) -> None:
    made = policies(imported(polder, tmp_path, NETPOL + "  podSelector: {}\n", "--tenant", "bank"))
    assert [each["tenant"] for each in made] == ["bank"]


def test_a_list_of_kubectl_is_read(polder: Polder, tmp_path: Path) -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, "
        "metadata: {name: a}, spec: {podSelector: {}}}\n"
    )
    (rest,) = policies(imported(polder, tmp_path, text))
    assert (rest["name"], rest["tenant"]) == ("a-rest", "default")


@pytest.mark.parametrize(
    ("spec", "where", "what"),
    [
        ("ingress: [{ports: [{port: http}]}]", "line 6, spec.ingress.0.ports.0.port", "named 'http'"),
        ("ingress: [{ports: [{protocol: ICMP}]}]", "spec.ingress.0.ports.0.protocol", "'ICMP' is none of"),
        ("ingress: [{ports: [{port: 9, endPort: 8}]}]", "spec.ingress.0.ports.0.endPort", "less than port"),
        ("ingress: [{from: [{}]}]", "spec.ingress.0.from.0", "has no podSelector"),
        ("ingress: [{from: [{namespaceSelector: {}}]}]", "namespaceSelector", "selects every namespace"),
        ("ingress: [{to: [{}]}, {ports: [{port: dns}]}]", "spec.ingress.1.ports.0.port", "named 'dns'"),
        ("ingress: [{to: [{}]}]", "spec.ingress.0.to", "has no translation"),
        (
            "podSelector: {matchExpressions: [{key: a, operator: Exists}]}",
            "matchExpressions.0",
            "only In has",
        ),
        ("egress: [{to: [{ipBlock: {cidr: 10.0.0.0/33}}]}]", "ipBlock.cidr", "is no CIDR"),
        ("egress: [{to: [{ipBlock: {cidr: 'fd00::%x/64'}}]}]", "ipBlock.cidr", "is no CIDR"),
        ("policyTypes: [Both]", "spec.policyTypes", "neither Ingress nor Egress"),
        ("podSelector: [a]", "spec.podSelector", "expected fields"),
    ],
)
def test_what_has_no_translation_is_told_where_it_stands(
    polder: Polder, tmp_path: Path, spec: str, where: str, what: str
) -> None:
    ran = imported(polder, tmp_path, NETPOL + "  " + spec + "\n")
    assert (ran.code, ran.out) == (2, "")
    assert where in ran.err
    assert what in ran.err
    assert "document 1" in ran.err


def test_all_that_is_wrong_with_one_is_told_at_once(polder: Polder, tmp_path: Path) -> None:
    spec = """
  podSelector: {matchExpressions: [{key: app, operator: In, values: [a, b]}]}
  ingress:
  - from: [{namespaceSelector: {}}, {ipBlock: {cidr: x}}]
    ports: [{port: http}, {port: 70000}]
"""
    ran = imported(polder, tmp_path, NETPOL + spec)
    assert (ran.code, ran.out) == (2, "")
    rule = "spec.ingress.0"
    for where in (
        "spec.podSelector",
        f"{rule}.from.0",
        f"{rule}.from.1",
        f"{rule}.ports.0",
        f"{rule}.ports.1",
    ):
        assert f", {where}" in ran.err


def test_nothing_is_denied_before_all_that_is_allowed(polder: Polder, tmp_path: Path) -> None:
    text = NETPOL + "  podSelector: {}\n---" + NETPOL.replace("web", "open") + "  ingress: [{}]\n"
    made = policies(imported(polder, tmp_path, text))
    assert [each["name"] for each in made] == ["open", "web-rest", "open-rest"]


def test_what_stands_twice_is_written_twice(polder: Polder, tmp_path: Path) -> None:
    within = "{key: kubernetes.io/metadata.name, operator: In, values: [bank, shop]}"
    peer = (
        f"{{namespaceSelector: {{matchExpressions: [{within}]}}, podSelector: {{matchLabels: {{app: x}}}}}}"
    )
    ran = imported(polder, tmp_path, NETPOL + f"  podSelector: {{}}\n  ingress: [{{from: [{peer}]}}]\n")
    assert policies(ran)[0]["ingress"][0]["peers"] == [
        {"selector": {"app": "x"}, "tenant": tenant} for tenant in ("bank", "shop")
    ]
    assert not {"&", "*"} & set(ran.out)


def test_namespaces_may_use_the_same_names(polder: Polder, tmp_path: Path) -> None:
    text = NETPOL + "  podSelector: {}\n---" + NETPOL.replace("shop", "bank") + "  podSelector: {}\n"
    ran = imported(polder, tmp_path, text)
    assert (ran.code, ran.out) == (2, "")
    assert "web-rest: is the name of two policies; give --tenant-in-name" in ran.err
    made = policies(imported(polder, tmp_path, text, "--tenant-in-name"))
    assert [(each["name"], each["tenant"]) for each in made] == [
        ("shop-web-rest", "shop"),
        ("bank-web-rest", "bank"),
    ]


def test_another_kind_is_refused_and_nothing_is_printed(polder: Polder, tmp_path: Path) -> None:
    text = NETPOL + "  podSelector: {}\n---\nkind: Pod\n"
    ran = imported(polder, tmp_path, text)
    assert (ran.code, ran.out) == (2, "")
    assert "document 2, line 8" in ran.err


def test_lines_are_one_policy(polder: Polder, tmp_path: Path) -> None:
    file = tmp_path / "Allowed hosts.txt"
    file.write_text(
        "# who may come\nallow ingress tcp/443 from 10.0.0.0/8\n\ndeny ingress\ndeny egress to 192.0.2.0/24\n"
    )
    (made,) = policies(polder("policy", "import", str(file), "--tenant", "shop", "--selector", "app=web"))
    assert made == {
        "kind": "policy",
        "name": "allowed-hosts",
        "tenant": "shop",
        "selector": {"app": "web"},
        "ingress": [
            {
                "action": "allow",
                "ports": [{"protocol": "tcp", "port": 443}],
                "peers": [{"cidr": "10.0.0.0/8"}],
            },
            {"action": "deny"},
        ],
        "egress": [{"action": "deny", "peers": [{"cidr": "192.0.2.0/24"}]}],
    }


def test_every_wrong_line_is_told(polder: Polder, tmp_path: Path) -> None:
    file = tmp_path / "rules.txt"
    file.write_text("allow ingress\nallow tcp/443\nallow egress from 10.0.0.0/8\n")
    ran = polder("policy", "import", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert "line 2: 'allow tcp/443' is no beginning of a rule" in ran.err
    assert "egress is to somebody, not from" in ran.err


def test_what_is_no_line_of_rules_at_all_is_told_why(polder: Polder, tmp_path: Path) -> None:
    file = tmp_path / "rules.txt"
    file.write_text("alow ingress tcp/443\ndeny ingress\n")
    ran = polder("policy", "import", str(file), "--selector", "app=web")
    assert (ran.code, ran.out) == (2, "")
    assert f"of which the first begins with allow or deny: not so {file}" in ran.err
