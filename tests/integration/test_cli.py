"""The nouns of `polder` against a real controller on a real etcd."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.polder_up import Up

pytestmark = pytest.mark.needs("etcd")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One `polder up` for the module, with two nodes and two pools."""
    with Up(tmp_path_factory.mktemp("up"), "--no-agent") as started:
        for step in (
            "pool create base --cidr 10.64.0.0/16 --cooldown-s 0",
            "pool create other --cidr 10.65.0.0/24 --cooldown-s 0",
            "node create base-1 --asn 64511",
            "node create base-2 --asn 64512",
        ):
            done = started.polder(*step.split())
            assert done.returncode == 0, done.stderr
        yield started


@pytest.mark.parametrize(
    ("noun", "name", "options", "shown"),
    [
        (
            "pool",
            "life",
            "--cidr 10.80.0.0/20 --advertise host",
            {"cidr": "10.80.0.0/20", "advertise": "host"},
        ),
        ("pool", "life6", "--cidr 2001:db8::/64", {"block_prefixlen": 122}),
        ("node", "life", "--asn 64599 --label rack=7", {"asn": 64599, "labels": {"rack": "7"}}),
        (
            "peer",
            "life",
            "--address 192.0.2.1 --asn 64501 --node base-1",
            {"node": "base-1", "hold_time_s": 90},
        ),
        ("endpoint", "life", "--node base-1 --pool base --address 10.64.0.77", {"addresses": ["10.64.0.77"]}),
    ],
)
def test_the_life_of_each_noun(up: Up, noun: str, name: str, options: str, shown: dict[str, object]) -> None:
    created = up.polder(noun, "create", name, *options.split(), "-o", "json")
    assert created.returncode == 0, created.stderr
    assert json.loads(created.stdout).items() >= shown.items()

    again = up.polder(noun, "create", name, *options.split())
    assert again.returncode == 0, again.stderr
    read = up.polder(noun, "get", name, "-o", "json")
    assert json.loads(read.stdout).items() >= shown.items()
    listed = up.polder(noun, "list")
    assert name in [line.split()[0] for line in listed.stdout.splitlines()]

    assert up.polder(noun, "delete", name).returncode == 0
    gone = up.polder(noun, "get", name)
    assert gone.returncode == 3
    assert f"polder {noun} list" in gone.stderr
    assert up.polder(noun, "delete", name).returncode == 3


def test_a_move_keeps_the_address(up: Up) -> None:
    made = json.loads(
        up.polder("endpoint", "create", "mover", "--node=base-1", "--pool=base", "-o", "json").stdout
    )
    moved = json.loads(up.polder("endpoint", "move", "mover", "base-2", "-o", "json").stdout)
    assert (moved["node"], moved["addresses"]) == ("base-2", made["addresses"])
    assert up.polder("endpoint", "move", "mover", "nowhere").returncode == 2
    assert up.polder("endpoint", "delete", "mover").returncode == 0


@pytest.mark.parametrize(
    ("noun", "options", "changes", "shown"),
    [
        (
            "pool",
            ["--cidr=10.81.0.0/24", "--cooldown-s=5"],
            ["--advertise=host", "--cooldown-s="],
            {"advertise": "host", "cooldown_s": 60, "cidr": "10.81.0.0/24"},
        ),
        (
            "node",
            ["--asn=64598", "--router-id=192.0.2.9", "--mtu-bytes=9000", "--label=a=1", "--label=b=1"],
            ["--router-id=", "--mtu-bytes=1400", "--label=b=2", "--label=c=", "--no-label=a"],
            {"asn": 64598, "router_id": None, "mtu_bytes": 1400, "labels": {"b": "2", "c": ""}},
        ),
        (
            "peer",
            ["--address=192.0.2.77", "--asn=64501", "--local-address=192.0.2.78", "--hold-time-s=9"],
            ["--asn=64502", "--local-address=", "--hold-time-s=", "--graceful-restart-s=0"],
            {
                "address": "192.0.2.77",
                "asn": 64502,
                "local_address": None,
                "hold_time_s": 90,
                "graceful_restart_s": 0,
            },
        ),
        (
            "endpoint",
            ["--node=base-1", "--pool=base", "--label=a=1"],
            ["--label=b=2", "--no-label=a", "--no-label=absent"],
            {"node": "base-1", "labels": {"b": "2"}},
        ),
    ],
)
def test_set_changes_what_is_named(
    up: Up, noun: str, options: list[str], changes: list[str], shown: dict[str, object]
) -> None:
    created = up.polder(noun, "create", "change", *options)
    assert created.returncode == 0, created.stderr
    changed = up.polder(noun, "set", "change", *changes, "-o", "json")
    assert changed.returncode == 0, changed.stderr
    read = json.loads(up.polder(noun, "get", "change", "-o", "json").stdout)
    for answer in (json.loads(changed.stdout), read):
        assert {name: answer.get(name) for name in shown} == shown
    assert up.polder(noun, "delete", "change").returncode == 0


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("pool create bad --cidr 10.66.0.1/16", 2, "/cidr: "),
        ("pool create bad --cidr 10.64.0.0/24", 4, "overlaps"),
        ("pool create base --cidr 10.67.0.0/16", 4, "polder pool list"),
        ("pool create base --cidr 10.64.0.0/16 --cooldown-s 9", 4, "polder pool set"),
        ("pool set base --cooldown-s -1", 2, "/cooldown_s: "),
        ("pool set absent --cooldown-s 1", 3, "polder pool list"),
        ("node set base-1 --router-id nonsense", 2, "/router_id: "),
        ("endpoint set absent --label a=b", 3, "polder endpoint list"),
        ("pool create Bad_Name --cidr 10.67.0.0/16", 2, "/name: "),
        ("node create bad --asn 0", 2, "/asn: "),
        ("endpoint create bad --node nowhere --pool base", 2, "/node: "),
        ("endpoint create bad --node base-1 --pool base --address 10.99.0.1", 2, "/address: "),
        ("endpoint get absent", 3, "polder endpoint list"),
        ("endpoint move absent base-1", 3, "polder endpoint list"),
    ],
)
def test_refusals(up: Up, command: str, code: int, words: str) -> None:
    done = up.polder(*command.split())
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "\n  next: " in done.stderr


def test_what_is_in_use_is_not_deleted(up: Up) -> None:
    assert up.polder("endpoint", "create", "user", "--node=base-1", "--pool=other").returncode == 0
    for noun, name in (("pool", "other"), ("node", "base-1")):
        refused = up.polder(noun, "delete", name)
        assert refused.returncode == 4, refused.stderr
        assert "see what uses it" in refused.stderr
    assert up.polder("endpoint", "delete", "user").returncode == 0
    assert up.polder("pool", "delete", "other").returncode == 0


def test_bgp_summary_without_a_session(up: Up) -> None:
    done = up.polder("bgp", "summary")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "0 of 0 sessions established")


def test_list_reads_several_pages(up: Up, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Through the session itself: five hundred peers would be slow to make."""
    from cli.link import ServerLink
    from cli.rest import place
    from cli.server import parse_server
    from cli.session import Session

    for number in range(5):
        done = up.polder("peer", "create", f"page-{number}", f"--address=192.0.2.{number + 1}", "--asn=64600")
        assert done.returncode == 0, done.stderr
    monkeypatch.setattr("cli.session.PAGE", 2)
    listing = Session("json", ServerLink(parse_server(up.url))).listing(place("peers"))
    assert [peer["name"] for peer in listing["items"]] == [f"page-{number}" for number in range(5)]
