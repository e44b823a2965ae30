"""attach and detach, over a real unix socket."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.attachment import netns_path
from tests.unit.cli.canned import Reply, problem, serving
from tests.unit.cli.conftest import Polder

ATTACHED = {"endpoint": "web-1", "ifname": "eth0", "addresses": ["10.64.0.1"], "mtu_bytes": 1500}


def test_attach_names_endpoint_namespace_and_interface(polder: Polder, tmp_path: Path) -> None:
    command = ("attach", "web-1", "--netns", "web", "--socket", str(tmp_path / "a.sock"))
    with serving(Reply(201, ATTACHED), socket=tmp_path / "a.sock") as canned:
        ran = polder(*command, "-o", "json")
        assert polder(*command, "-o", "name").out == "endpoint/web-1\n"
    assert json.loads(ran.out) == ATTACHED
    asked = canned.asked[0]
    assert (asked.method, asked.target) == ("POST", "/v1/attachments")
    assert asked.body == {"endpoint": "web-1", "netns": "/run/netns/web", "ifname": "eth0"}


def test_detach(polder: Polder, tmp_path: Path) -> None:
    with serving(Reply(204), socket=tmp_path / "a.sock") as canned:
        ran = polder("detach", "web-1", "--socket", str(tmp_path / "a.sock"))
    assert (ran.code, ran.out) == (0, "endpoint web-1 detached\n")
    assert (canned.asked[0].method, canned.asked[0].target) == ("DELETE", "/v1/attachments/web-1")


def test_the_agents_problem_is_shown(polder: Polder, tmp_path: Path) -> None:
    with serving(problem(404, "No endpoint web-1 on this node"), socket=tmp_path / "a.sock"):
        ran = polder("attach", "web-1", "--netns", "web", "--socket", str(tmp_path / "a.sock"))
    assert ran.code == 3
    assert ran.err.startswith("polder: No endpoint web-1 on this node\n")


@pytest.mark.parametrize("command", [["attach", "x", "--netns", "y"], ["detach", "x"]])
def test_no_agent(polder: Polder, tmp_path: Path, command: list[str]) -> None:
    ran = polder(*command, "--socket", str(tmp_path / "absent.sock"))
    assert ran.code == 5
    assert "no agent answers" in ran.err
    assert "polder agent" in ran.err


def test_the_token_stays_away_from_the_socket(
    polder: Polder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLDER_TOKEN", "s3cret")
    with serving(Reply(204), socket=tmp_path / "a.sock") as canned:
        polder("detach", "web-1", "--socket", str(tmp_path / "a.sock"))
    assert "Authorization" not in canned.asked[0].headers


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("web", "/run/netns/web"),
        ("/proc/7/ns/net", "/proc/7/ns/net"),
        ("./ns", str(Path.cwd() / "ns")),
    ],
)
def test_a_namespace_is_a_name_or_a_path(given: str, path: str) -> None:
    assert netns_path(given) == path
