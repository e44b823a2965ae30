"""`polder tor`: configuration with its passwords, and what a check says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.canned import Reply, serving
from tests.unit.cli.conftest import Polder

MADE = {
    "vendor": "frr",
    "asn": 64501,
    "peers": ["tor-a"],
    "secrets": ["tor-md5"],
    "missing": [],
    "text": "router bgp 64501\n neighbor POLDER-V4 password <secret:tor-md5>\n",
}
WRONG = {
    "node": "node-1",
    "peer": "tor-a",
    "what": "session",
    "wanted": "ESTABLISHED",
    "found": "ACTIVE",
    "cure": "ask the router",
}


def test_the_text_and_nothing_else_is_printed(polder: Polder) -> None:
    with serving(Reply(200, MADE)) as canned:
        ran = polder("tor", "config", "tor-a", "tor-b", "--vendor", "frr", "--server", canned.url)
    assert canned.asked[0].target == "/v1/bgp/router-config?vendor=frr&peer=tor-a&peer=tor-b"
    assert (ran.code, ran.out, ran.err) == (0, MADE["text"], "")


def test_what_is_missing_is_told_beside_it(polder: Polder) -> None:
    with serving(Reply(200, MADE | {"missing": ["node node-2: \x1b[2J"]})) as canned:
        ran = polder("tor", "config", "--asn", "64501", "--vendor", "frr", "--server", canned.url)
    assert canned.asked[0].target == "/v1/bgp/router-config?vendor=frr&asn=64501"
    assert (ran.code, ran.out) == (0, MADE["text"])
    assert ran.err == "polder: not in it: node node-2: \\x1b[2J\n"


def test_a_password_comes_from_a_file_here(polder: Polder, tmp_path: Path) -> None:
    (tmp_path / "tor-md5").write_text("s3cret\n")
    with serving(Reply(200, MADE)) as canned:
        where = ("--secrets-dir", str(tmp_path), "--server", canned.url)
        ran = polder("tor", "config", "tor-a", "--vendor", "frr", *where)
    assert ran.out == "router bgp 64501\n neighbor POLDER-V4 password s3cret\n"
    assert "s3cret" not in canned.asked[0].target


@pytest.mark.parametrize("content", [None, "", 'a"b', "two words", "a\nneighbor 192.0.2.9 remote-as 1", "x?"])
def test_a_password_that_could_be_misread_is_refused_and_not_told(
    polder: Polder, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "tor-md5").write_text(content)
    with serving(Reply(200, MADE)) as canned:
        where = ("--secrets-dir", str(tmp_path), "--server", canned.url)
        ran = polder("tor", "config", "tor-a", "--vendor", "frr", *where)
    assert (ran.code, ran.out) == (1, "")
    assert str(tmp_path / "tor-md5") in ran.err
    if content:
        assert content not in ran.err


def test_a_secret_is_a_file_in_that_directory_whatever_the_server_says(
    polder: Polder, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "outside").write_text("s3cret")
    with serving(Reply(200, MADE | {"secrets": ["../outside"]})) as canned:
        where = ("--secrets-dir", str(tmp_path / "here"), "--server", canned.url)
        ran = polder("tor", "config", "tor-a", "--vendor", "frr", *where)
    assert (ran.code, ran.out) == (1, "")
    assert "no name of a file" in ran.err


@pytest.mark.parametrize("arguments", [(), ("tor-a", "--asn", "64501")])
def test_peers_or_an_asn(polder: Polder, arguments: tuple[str, ...]) -> None:
    ran = polder("tor", "check", *arguments)
    assert ran.code == 2
    assert "Name a peer" in ran.err


def test_a_difference_is_shown_and_is_the_exit_code(polder: Polder) -> None:
    with serving(Reply(200, {"peers": ["tor-a"], "sessions": 3, "mismatches": [WRONG]})) as canned:
        ran = polder("tor", "check", "tor-a", "--server", canned.url)
        as_json = polder("tor", "check", "tor-a", "-o", "json", "--server", canned.url)
    assert canned.asked[0].target == "/v1/bgp/router-check?peer=tor-a"
    assert (ran.code, as_json.code) == (1, 1)
    assert ran.out.splitlines()[1].split() == [
        *("node-1", "tor-a", "session", "ESTABLISHED", "ACTIVE"),
        *("ask", "the", "router"),
    ]
    assert ran.out.splitlines()[-1] == "2 of 3 sessions are as they should be"
    assert json.loads(as_json.out)["mismatches"] == [WRONG]


def test_no_difference_is_good(polder: Polder) -> None:
    with serving(Reply(200, {"peers": ["tor-a"], "sessions": 3, "mismatches": []})) as canned:
        ran = polder("tor", "check", "tor-a", "--server", canned.url)
    assert (ran.code, ran.out) == (0, "3 of 3 sessions are as they should be\n")
