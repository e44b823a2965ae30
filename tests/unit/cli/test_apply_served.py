"""`polder apply` to a controller's own application, which says what changes, however it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from store.model import Role
from tests.unit.cli.canned import Asked, Canned, Reply, answering
from tests.unit.cli.conftest import Polder, Ran
from tests.unit.controller.guarded import ROOT, Guarded, guarded

PASSED_ON = ("Authorization", "Content-Type", "If-Match")


class Passing(Canned):
    """Passes requests on to an application."""

    def __init__(self, application: Guarded) -> None:
        super().__init__()
        self._client = application.client

    def answer(self, asked: Asked) -> Reply:
        """See `Canned`."""
        self.asked.append(asked)
        headers = {name: asked.headers[name] for name in PASSED_ON if name in asked.headers}
        data = None if asked.body is None else json.dumps(asked.body)
        got = self._client.open(asked.target, method=asked.method, data=data, headers=headers)
        return Reply(got.status_code, got.text or None, {"Content-Type": got.headers.get("Content-Type", "")})


@dataclass(frozen=True)
class Site:
    """A controller, and `polder` in front of it."""

    application: Guarded
    canned: Canned
    polder: Polder
    file: Path
    monkeypatch: pytest.MonkeyPatch

    def run(self, documents: str | list[Any], *options: str, by: str = ROOT) -> Ran:
        """`polder apply` of these documents by the bearer of a token."""
        self.monkeypatch.setenv("POLDER_TOKEN", self.application.texts.get(by, by))
        text = documents if isinstance(documents, str) else yaml.safe_dump_all(documents)
        self.file.write_text(text)
        return self.polder("apply", "-f", str(self.file), *options, "--server", self.canned.url)

    def dry(self, documents: str | list[Any], by: str = ROOT) -> Ran:
        """Likewise a dry run; nothing is written."""
        before = self.application.stored()
        ran = self.run(documents, "--dry-run", "--exit-code", by=by)
        assert self.application.stored() == before
        return ran


@pytest.fixture
def site(polder: Polder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A controller that demands tokens, with all that `SITE` names."""
    with guarded() as application, answering(Passing(application)) as canned:
        application.give("reader", Role.READ_ONLY)
        application.give("network", Role.NETWORK)
        application.give("shop", Role.TENANT, tenant="shop")
        made = Site(application, canned, polder, tmp_path / "site.yaml", monkeypatch)
        ran = made.run(SITE)
        assert (ran.code, ran.err) == (0, "")
        yield made


SITE = """
{kind: pool, name: a, cidr: 10.64.0.0/16, reserved: [10.64.9.9, 10.64.9.8], communities: ["64500:01"]}
---
{kind: pool, name: six, cidr: "2001:db8::/64"}
---
{kind: node, name: n, asn: 64511, labels: {rack: "7"}, export: {protocol: sflow, collector: 192.0.2.9}}
---
{kind: peer, name: tor, address: 10.0.1.0, asn: 64501}
---
{kind: service, name: web, pool: a, address: 10.64.0.80, selector: {app: web}, check: {kind: tcp, port: 80}}
---
{kind: policy, name: web, ingress: [{action: allow, ports: [{protocol: 6, port: 80}]}, {action: deny}]}
---
{kind: vm, id: vm, node: n, mac: "02:AA:00:00:00:01", addresses: ["2001:DB8:0::9", 10.64.0.9]}
"""
SAME = [
    {"kind": "service", "name": "web", "check": {"kind": "tcp", "port": 80}},
    {"kind": "service", "name": "web", "check": {"kind": "tcp", "port": 80, "path": None, "interval_s": 2}},
    {"kind": "node", "name": "n", "export": {"protocol": "sflow", "collector": "192.0.2.9"}},
    {"kind": "node", "name": "n", "reclaim_after_s": None, "router_id": None, "next_hops": None},
    {"kind": "policy", "name": "web", "ingress": [
        {"action": "allow", "ports": [{"protocol": 6, "port": 80}]}, {"action": "deny", "log": False}]},
    {"kind": "policy", "name": "web", "order": None, "mode": None, "tenant": None, "egress": None},
    {"kind": "pool", "name": "a", "communities": ["64500:01"], "reserved": ["10.64.9.9", "10.64.9.8/32"]},
    {"kind": "pool", "name": "a", "cooldown_s": None, "block_prefixlen": None, "node_selector": None},
    {"kind": "pool", "name": "six", "cidr": "2001:DB8:0::/64"},
    {"kind": "peer", "name": "tor", "hold_time_s": None, "families": None, "med": None, "gtsm": None},
    {"kind": "vm", "id": "vm", "mac": "02:AA:00:00:00:01", "labels": None, "qos": {}, "tenant": None},
    {"kind": "vm", "id": "vm", "addresses": ["2001:DB8:0::9", "10.64.0.9"], "pools": ["six", "a"]},
]  # fmt: skip


@pytest.mark.parametrize("document", SAME, ids=lambda each: f"{each['kind']}-{'-'.join(list(each)[2:])}")
@pytest.mark.parametrize("by", [ROOT, "reader"], ids=["admin", "read-only"])
def test_what_means_the_same_is_unchanged(site: Site, document: Any, by: str) -> None:
    title = f"{document['kind'].replace('vm', 'endpoint')}/{document.get('name', 'vm')}"
    ran = site.dry([document], by)
    assert (ran.code, ran.out, ran.err) == (0, f"{title} unchanged (dry run)\n", "")
    before = site.application.stored()
    if by == ROOT:
        assert site.run([document]).out == f"{title} unchanged\n"
        assert site.application.stored() == before


def test_a_whole_site_that_is_applied_is_unchanged_after_that(site: Site) -> None:
    ran = site.dry(SITE)
    assert (ran.code, ran.err) == (0, "")
    assert [line.split()[1:] for line in ran.out.splitlines()] == [["unchanged", "(dry", "run)"]] * 7


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        (
            {"kind": "service", "name": "web", "check": {"kind": "http", "port": 80}},
            ["-  kind: tcp", "+  kind: http"],
        ),
        (
            {"kind": "pool", "name": "a", "communities": ["64500:02"], "cooldown_s": None},
            ["-- '64500:1'", "+- '64500:2'"],
        ),
        ({"kind": "node", "name": "n", "labels": None}, ["-labels:", "-  rack: '7'", "+labels: {}"]),
        (
            {"kind": "policy", "name": "web", "ingress": [{"action": "deny"}]},
            ["-- action: allow", "-  ports:", "-  - protocol: tcp", "-    port: 80"],
        ),
        ({"kind": "vm", "id": "vm", "labels": {"a": "b"}}, ["-labels: {}", "+labels:", "+  a: b"]),
    ],
)
@pytest.mark.parametrize("by", [ROOT, "reader"], ids=["admin", "read-only"])
def test_a_difference_is_of_what_would_be_stored(
    site: Site, document: Any, lines: list[str], by: str
) -> None:
    ran = site.dry([document], by)
    assert (ran.code, ran.err) == (6, "")
    difference = ran.out[: ran.out.index(" changed (dry run)")].splitlines()[2:]
    assert [line for line in difference if line[:1] in "+-"] == lines
    assert site.run([document]).out.endswith(" changed\n")
    assert site.dry([document]).code == 0


def test_the_order_of_rules_counts(site: Site) -> None:
    turned = [{"action": "deny"}, {"action": "allow", "ports": [{"protocol": "tcp", "port": 80}]}]
    ran = site.dry([{"kind": "policy", "name": "web", "ingress": turned}])
    assert (ran.code, "policy/web changed (dry run)" in ran.out) == (6, True)


def test_what_is_made_is_shown_as_it_would_be_read(site: Site) -> None:
    ran = site.dry([{"kind": "tenant", "name": "shop-2", "max_ipv4": 5}])
    assert ran.code == 6
    shown = [line[1:] for line in ran.out.splitlines() if line.startswith("+") and line[:3] != "+++"]
    read = {"kind": "tenant", "name": "shop-2", "max_ipv4": 5, "max_ipv6": None, "default": "allow"}
    assert yaml.safe_load("\n".join(shown)) == {**read, "labels": {}, "segment": None}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"kind": "host", "id": "vm"}, "kind: cannot be changed (it is 'vm')"),
        ({"kind": "vm", "id": "vm", "mac": "02:AA:00:00:00:02"}, "mac: cannot be changed"),
        ({"kind": "vm", "id": "vm", "addresses": ["10.64.0.9"]}, "addresses: cannot be changed"),
        (
            {"kind": "pool", "name": "a", "block_prefixlen": 28},
            "block_prefixlen: cannot be changed (it is 26)",
        ),
        ({"kind": "service", "name": "web", "address": None}, "address: cannot be changed"),
    ],
)
def test_what_cannot_change_is_refused(site: Site, document: Any, says: str) -> None:
    before = site.application.stored()
    for options in ((), ("--dry-run",)):
        ran = site.run([document], *options)
        assert (ran.code, ran.out) == (2, "")
        assert "document 1, line " in ran.err
        assert says in ran.err
        assert "next: correct the file; nothing was changed" in ran.err
    assert site.application.stored() == before


def test_a_tenant_is_shown_what_changes_and_is_refused_before_the_first_write(site: Site) -> None:
    service = {"kind": "service", "name": "own", "pool": "a", "selector": {"app": "a"}}
    ran = site.dry([service], "shop")
    assert (ran.code, ran.err, ran.out.splitlines()[-1]) == (6, "", "service/own created (dry run)")
    assert site.run([service], by="shop").code == 0
    same = {**service, "check": None, "communities": None, "tenant": "shop"}
    ran = site.dry([same], "shop")
    assert (ran.code, ran.out) == (0, "service/own unchanged (dry run)\n")
    deleted = site.polder("delete", "-f", str(site.file), "--server", site.canned.url)
    assert (deleted.code, deleted.out) == (0, "service/own deleted\n")
    assert site.canned.asked[-2].target == "/v1/impact?max_withdraw=10"
    policy = {"kind": "policy", "name": "own", "ingress": [{"action": "deny"}]}
    before = site.application.stored()
    ran = site.run([policy, {**service, "communities": ["64500:1"]}], by="shop")
    assert (ran.code, ran.out) == (1, "")
    assert "service/own: a tenant's token cannot set communities" in ran.err
    assert site.application.stored() == before


@pytest.mark.parametrize(
    ("by", "kind", "says"),
    [
        ("network", "node", "role network may not POST /v1/nodes"),
        ("shop", "pool", "role tenant may not POST"),
    ],
)
def test_who_may_not_write_something_is_told_so(site: Site, by: str, kind: str, says: str) -> None:
    document = {"node": {"asn": 64512}, "pool": {"cidr": "10.70.0.0/16"}}[kind]
    for options in ((), ("--dry-run",)):
        ran = site.run([{"kind": kind, "name": "new", **document}], *options, by=by)
        assert (ran.code, ran.out) == (1, "")
        assert says in ran.err
        assert "nothing was changed" in ran.err


def test_who_only_reads_writes_nothing(site: Site) -> None:
    before = site.application.stored()
    ran = site.run([{"kind": "pool", "name": "a", "cooldown_s": 5}], by="reader")
    assert (ran.code, ran.out) == (1, "")
    assert "role read-only may not PATCH /v1/pools/{name}" in ran.err
    assert site.application.stored() == before
