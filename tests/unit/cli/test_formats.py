"""`-o`, label columns and filters."""

from __future__ import annotations

import json
import sys

import click
import pytest
import yaml

from tests.unit.cli.canned import Reply, problem, serving
from tests.unit.cli.conftest import Polder

NODE = {
    "name": "node-1",
    "asn": 64512,
    "router_id": None,
    "mtu_bytes": 1500,
    "labels": {"rack": "7", "on": "yes"},
    "programs": {"agent": {"alive": True}, "speaker": {"alive": False}},
}
LIST = Reply(200, {"items": [NODE, NODE | {"name": "node-2", "labels": {}}], "revision": 7})


def test_yaml_is_what_apply_takes(polder: Polder) -> None:
    with serving(LIST) as canned:
        ran = polder("node", "list", "-o", "yaml", "--server", canned.url)
    first, second = yaml.safe_load_all(ran.out)
    assert first == {
        "kind": "node",
        "name": "node-1",
        "asn": 64512,
        "router_id": None,
        "mtu_bytes": 1500,
        "labels": {"rack": "7", "on": "yes"},
    }
    assert second == first | {"name": "node-2", "labels": {}}


def test_yaml_of_what_cannot_be_applied_has_everything(polder: Polder) -> None:
    session = {"node": "n", "peer": "p", "state": "IDLE", "reason": None}
    with serving(Reply(200, {"items": [session], "revision": 7})) as canned:
        ran = polder("bgp", "summary", "-o", "yaml", "--server", canned.url)
    assert yaml.safe_load(ran.out) == session


def test_names(polder: Polder) -> None:
    with serving(LIST, Reply(200, NODE)) as canned:
        listed = polder("node", "list", "-o", "name", "--server", canned.url)
        got = polder("node", "get", "node-1", "-o", "name", "--server", canned.url)
    assert (listed.out, got.out) == ("node/node-1\nnode/node-2\n", "node/node-1\n")


@pytest.mark.parametrize(("output", "shown"), [("table", False), ("wide", True)])
def test_wide_has_all_columns(polder: Polder, output: str, shown: bool) -> None:
    with serving(LIST) as canned:
        ran = polder("node", "list", "-o", output, "--server", canned.url)
    assert ("ROUTER ID" in ran.out) is shown


def test_label_columns_and_filters(polder: Polder) -> None:
    with serving(LIST) as canned:
        ran = polder("node", "list", "-l", "rack=7", "-l", "a=b", "-L", "rack", "--server", canned.url)
    heading, first, second = (line.split() for line in ran.out.splitlines())
    assert (heading[-1], first[-1], second[-1]) == ("RACK", "7", "-")
    assert canned.asked[0].target.endswith("label=rack%3D7&label=a%3Db")


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("table", "pool default deleted\n"),
        ("name", "pool/default\n"),
        ("yaml", "deleted:\n  pool: default\n"),
        ("json", json.dumps({"deleted": {"pool": "default"}}, indent=2) + "\n"),
    ],
)
def test_what_was_done_in_each_format(polder: Polder, output: str, text: str) -> None:
    with serving(Reply(204)) as canned:
        ran = polder("pool", "delete", "default", "-o", output, "--server", canned.url)
    assert ran.out == text


@pytest.mark.parametrize(
    "words",
    [
        "pool show a",
        "pool plan a",
        "address check",
        "tor check a",
        "tor config a --vendor frr",
        "trace a b",
        "policy stats a",
        "endpoint stats a",
        "node drops a",
        "node diff a",
        "restore status",
        "restore finish",
        "pool create a --cidr 10.0.0.0/8 --dry-run",
        "pool set a --disabled --dry-run",
        "pool delete a --dry-run",
        "policy delete a --dry-run",
    ],
)
def test_what_has_no_name_is_refused_before_it_is_asked_for(polder: Polder, words: str) -> None:
    with serving(Reply(200, {})) as canned:
        ran = polder(*words.split(), "-o", "name", "--server", canned.url)
    assert (ran.code, ran.out, canned.asked) == (2, "", [])
    assert "-o name is not for this" in ran.err


def test_columns_stand_below_each_other_whatever_is_in_them(polder: Polder) -> None:
    session = {"node": "n", "peer": "p", "state": "IDLE", "flaps": 1}
    # Two columns wide, an accent of its own, and what must not reach a terminal.
    peers = ["p", "名", "e\u0301", "a\x1b"]
    items = [session | {"peer": peer} for peer in peers]
    with serving(Reply(200, {"items": items, "revision": 7})) as canned:
        ran = polder("bgp", "summary", "--server", canned.url)
    head, *rows = ran.out.splitlines()[:5]
    assert head.startswith("NODE  PEER   ADDRESS")
    assert [row[6:].partition("-")[0] for row in rows] == ["p      ", "名     ", "e\u0301      ", "a\\x1b  "]


@pytest.mark.parametrize(("kind", "said"), [("container", "endpoint"), ("vm", "vm"), ("host", "host")])
def test_a_document_of_an_endpoint_says_its_kind(polder: Polder, kind: str, said: str) -> None:
    endpoint = {"id": "web-1", "node": "node-1", "kind": kind, "labels": {}}
    with serving(Reply(200, {"items": [endpoint], "revision": 7})) as canned:
        ran = polder("endpoint", "list", "-o", "yaml", "--server", canned.url)
    assert yaml.safe_load(ran.out) == {"kind": said, "id": "web-1", "node": "node-1", "labels": {}}


IN_80 = [
    (
        "pool list",
        {
            "name": "customers-ipv6",
            "cidr": "2001:db8:1234:64::/64",
            "block_prefixlen": 122,
            "advertise": "summary",
            "cooldown_s": 60,
            "priority": 1000,
            "tenant": "shop",
            "disabled": False,
        },
    ),
    (
        "bgp summary",
        {
            "node": "node-17",
            "peer": "node-17-tor-a",
            "address": "2001:db8:1::17",
            "asn": 4200000017,
            "state": "ESTABLISHED",
            "since": "2024-01-01T00:00:00Z",
            "reason": "",
            "advertised": 300,
            "flaps": 4,
        },
    ),
    (
        "bgp summary",
        {
            "node": "node-17",
            "peer": "node-17-tor-a",
            "address": "192.168.117.117",
            "asn": 64501,
            "state": "ESTABLISHED",
            "stale": True,
            "since": "2024-01-01T00:00:00Z",
            "reason": "Connection refused",
            "flaps": 4,
        },
    ),
    (
        "endpoint list",
        {
            "id": "checkout-17",
            "node": "node-17",
            "pools": ["default", "customers-ipv6"],
            "addresses": ["10.64.117.101", "2001:db8:64::117"],
            "state": "assigned",
            "attached": True,
            "ready": True,
            "labels": {"app": "web", "tier": "front"},
        },
    ),
    (
        "node list",
        {
            "name": "rack-7-node-17.example.net",
            "asn": 4200000017,
            "programs": {"agent": {"alive": True}, "speaker": {"alive": False}},
            "labels": {"rack": "7", "edge": "yes"},
        },
    ),
]


WATCHED = [(f"{words} --watch", item) for words, item in IN_80 if words.endswith("list")]


@pytest.mark.parametrize(("words", "item"), IN_80 + WATCHED)
def test_common_tables_are_tables_on_80_columns(
    polder: Polder, monkeypatch: pytest.MonkeyPatch, words: str, item: dict[str, object]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with serving(Reply(200, {"items": [item], "revision": 7}), problem(403, "Enough")) as canned:
        ran = polder(*words.split(), "--server", canned.url)
    lines = click.unstyle(ran.out).splitlines()
    assert len(lines[0].split()) > 2, "it is no table"
    assert max(map(len, lines)) <= 80
