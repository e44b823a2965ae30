"""apply and delete -f against a real controller: what is printed is taken back as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.polder_up import POLDER, Up, environment

pytestmark = pytest.mark.needs("etcd")

SITE = """
{kind: tenant, name: shop, max_ipv4: 10, labels: {team: a}}
---
{kind: pool, name: four, cidr: 10.64.0.0/16, cooldown_s: 0, reserved: [10.64.0.9, 10.64.1.0/28],
 communities: ["64500:10"]}
---
{kind: pool, name: six, cidr: "2001:DB8:0::/64", cooldown_s: 0, node_selector: {rack: "7"}, borrow: true}
---
{kind: node, name: node-1, asn: 64511, labels: {rack: "7"}}
---
{kind: peer, name: tor, address: "192.0.2.1", asn: 64501, node: node-1, hold_time_s: 9}
---
{kind: endpoint, id: web, node: node-1, tenant: shop, families: [ipv4, ipv6], labels: {app: web}}
"""
MADE = ("shop", "four", "six", "node-1", "tor", "web")
NOUNS = ("tenant", "pool", "node", "peer", "endpoint")


def test_a_site_goes_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    with Up(tmp_path / "up", "--no-agent") as up:
        assert up.polder("apply", "-f", str(path), "--dry-run", "--exit-code").returncode == 6
        assert up.polder("pool", "list", "-o", "name").stdout == ""
        made = up.polder("apply", "-f", str(path))
        assert made.stdout.split()[1::2] == ["created"] * 6, made.stderr
        again = up.polder("apply", "-f", str(path))
        assert again.stdout.split()[1::2] == ["unchanged"] * 6, again.stderr

        printed = "---\n".join(up.polder(noun, "list", "-o", "yaml").stdout for noun in NOUNS)
        back = apply(up, printed, "--dry-run", "--exit-code")
        assert (back.returncode, back.stderr) == (0, "")
        assert back.stdout.splitlines() == [
            f"{line.split()[0]} unchanged (dry run)" for line in made.stdout.splitlines()
        ]

        for words in (
            ("node", "set", "node-1", "--router-id", "192.0.2.9", "--next-hop", "192.0.2.9"),
            ("peer", "set", "tor", "--med", "5"),
            ("pool", "set", "six", "--community", "64500:1"),
            ("tenant", "set", "shop", "--max-ipv6", "9"),
        ):
            assert up.polder(*words).returncode == 0
        back = apply(up, printed)
        words = ["changed" if each in {"shop", "six", "node-1", "tor"} else "unchanged" for each in MADE]
        assert (back.stdout.split()[1::2], back.stderr) == (words, "")
        assert "---\n".join(up.polder(noun, "list", "-o", "yaml").stdout for noun in NOUNS) == printed

        wrong = apply(up, "{kind: node, name: node-1, asn: 7}\n---\n{kind: pool, name: four, cooldown_s: -1}")
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert "standard input, document 2, line 3: cooldown_s: expected at least 0" in wrong.stderr
        assert '"asn": 64511' in up.polder("node", "get", "node-1", "-o", "json").stdout

        bad = "{kind: pool, name: new, cidr: 10.70.0.0/24}\n---\n{kind: endpoint, id: web-2, node: "
        for node, why in (
            ("nobody", "there is no node 'nobody'"),
            ("node-1, mac: zz", "mac: "),
            ("node-1, pools: [no]", "there is no pool 'no'"),
        ):
            for more in ((), ("--dry-run",)):
                wrong = apply(up, f"{bad}{node}}}", *more)
                assert (wrong.returncode, wrong.stdout) == (2, "")
                assert "standard input, document 2, line 3, endpoint/web-2" in wrong.stderr
                assert why in wrong.stderr
        assert up.polder("pool", "get", "new").returncode == 3
        assert apply(up, f"{bad}node-1, pools: [new]}}", "--dry-run").returncode == 0

        changed = apply(up, "{kind: pool, name: four, reserved: [], disabled: true}")
        assert changed.stdout == "pool/four changed\n"
        nulls = (
            "{kind: tenant, name: shop, labels: null}\n---\n"
            "{kind: pool, name: four, cooldown_s: null, reserved: null, priority: null, advertise: null,"
            " borrow: null, communities: null, node_selector: null, disabled: null}\n---\n"
            "{kind: node, name: node-1, labels: null, edge: null, reclaim_after_s: null}\n---\n"
            "{kind: node, name: node-2, asn: 7, labels: null, reclaim_after_s: null}\n---\n"
            "{kind: peer, name: tor, hold_time_s: null}\n---\n"
            "{kind: policy, name: p, tenant: null, selector: null, order: null, mode: null, egress: null,"
            " ingress: [{action: allow}]}\n---\n"
            "{kind: endpoint, id: web, labels: null, qos: null}"
        )
        back = apply(up, nulls)
        words = ["changed"] * 3 + ["created", "changed", "created", "changed"]
        assert (back.stdout.split()[1::2], back.stderr) == (words, "")
        assert apply(up, nulls).stdout.split()[1::2] == ["unchanged"] * 7
        assert up.polder("node", "delete", "node-2").returncode == 0
        assert up.polder("policy", "delete", "p").returncode == 0
        assert up.polder("pool", "set", "four", "--cooldown-s", "0").returncode == 0
        gone = up.polder("delete", "-f", str(path))
        assert gone.stdout.split()[1::2] == ["deleted"] * 6, gone.stderr
        assert up.polder("delete", "-f", str(path)).stdout.split()[1::2] == ["absent"] * 6


def apply(up: Up, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`polder apply -f -` with this text."""
    return subprocess.run(
        [*POLDER, "apply", "-f", "-", *arguments],
        input=text,
        env=environment({"POLDER_SERVER": up.url}),
        capture_output=True,
        text=True,
        check=False,
    )
