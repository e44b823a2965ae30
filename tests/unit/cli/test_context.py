"""`polder context`, and completion with the names that a server holds."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.canned import Reply, serving
from tests.unit.cli.conftest import Polder


def test_a_context_is_set_used_and_deleted(polder: Polder, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    with serving(Reply(200, {"items": [], "revision": 1})) as canned:
        said = polder("context", "set", "site", "--server", canned.url, "--token-file", str(token))
        polder("context", "set", "lab", "--server", "http://127.0.0.1:9")
        assert polder("pool", "list").code == 0
    assert said.out == "context site set, the current one\n"
    assert canned.asked[0].headers["Authorization"] == "Bearer s3cret"
    assert polder("context", "use", "lab").code == 0
    assert polder("pool", "list").code == 5
    listed = json.loads(polder("context", "list", "-o", "json").out)["items"]
    assert [(each["name"], each["current"], each["token"]) for each in listed] == [
        ("site", False, True),
        ("lab", True, False),
    ]
    assert polder("context", "delete", "lab").code == 0
    assert "s3cret" not in polder("context", "list").out + polder("context", "list", "-o", "yaml").out


def test_a_token_stays_with_the_servers_it_was_given_for(polder: Polder, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")
    polder("context", "set", "a", "--server", "https://a.example", "--token-file", str(token))
    polder("context", "set", "a", "--ca", "ca.pem")
    assert f"ca: {Path.cwd() / 'ca.pem'}" in (tmp_path / "config.yaml").read_text()
    assert "s3cret" in (tmp_path / "config.yaml").read_text()
    polder("context", "set", "a", "--server", "https://b.example")
    assert "s3cret" not in (tmp_path / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["use", "absent"], 3, "polder context list"),
        (["delete", "absent"], 3, "polder context list"),
        (["set", "a"], 2, "give --server URL"),
        (["set", "a", "--server", "nonsense"], 2, "is not an http or https URL"),
        (["set", "a", "--server", "http://192.0.2.1", "--token-file", "TOKEN"], 2, "unencrypted"),
        (["set", "a", "--server", "https://h", "--token-file", "EMPTY"], 2, "the file holds no token"),
        (["set", "a", "--server", "https://h", "--token-file", "TOKEN", "--no-token"], 2, "go together"),
    ],
)
def test_what_is_refused(polder: Polder, tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    (tmp_path / "TOKEN").write_text("s3cret")
    (tmp_path / "EMPTY").write_text("\n")
    files = {name: str(tmp_path / name) for name in ("TOKEN", "EMPTY")}
    ran = polder("context", *[files.get(each, each) for each in arguments])
    assert (ran.code, words in ran.err) == (code, True), ran.err
    assert not (tmp_path / "config.yaml").exists()


def test_a_context_with_a_slash_that_is_there_can_be_used_and_deleted(polder: Polder, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("contexts: {site/a: {servers: ['http://127.0.0.1:9']}}\n")
    assert polder("context", "use", "site/a").out == "context site/a is the current one\n"
    assert polder("context", "set", "site/a", "--server", "http://127.0.0.1:8").code == 0
    assert polder("context", "set", "site/b", "--server", "http://127.0.0.1:8").code == 2
    assert polder("context", "delete", "context/site/a").code == 2
    assert polder("context", "delete", "site/a").out == "context site/a deleted\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(polder: Polder, shell: str) -> None:
    ran = polder("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert "_POLDER_COMPLETE" in ran.out


def complete(*words: str, **env: str) -> list[str]:
    """What a shell is answered that completes the last of these words."""
    given = {"_POLDER_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), **env}
    given |= {"COMP_CWORD": str(len(words) - 1), "POLDER_CONFIG": os.devnull}
    inherited = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    code = "from cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**inherited, **given}, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_names_are_completed_from_the_server() -> None:
    items = [{"name": name} for name in ("rack-1", "rack-2", "other", "r\x1b")] + [{"odd": 1}]
    with serving(Reply(200, {"items": items, "revision": 1})) as canned:
        assert complete("polder", "node", "get", "r", POLDER_SERVER=canned.url) == ["rack-1", "rack-2"]
        assert complete("polder", "--server", canned.url, "endpoint", "list", "--node", "o") == ["other"]
    assert [asked.target for asked in canned.asked] == ["/v1/nodes?limit=1000"] * 2


def test_choices_are_completed_also_where_an_empty_value_takes_them_out() -> None:
    for verb in ("create", "set"):
        assert complete("polder", "pool", verb, "a", "--advertise", "s") == ["summary"]


def test_without_a_server_there_are_no_names_and_no_words() -> None:
    assert complete("polder", "node", "get", "r", POLDER_SERVER="http://127.0.0.1:1") == []
    assert complete("polder", "node", "get", "r", POLDER_SERVER="nonsense") == []
    assert complete("polder", "no") == ["node"]


def test_a_config_file_that_is_a_link_stays_one(polder: Polder, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "polder.yaml"
    real.parent.mkdir()
    (tmp_path / "config.yaml").symlink_to(real)
    assert polder("context", "set", "a", "--server", "https://a.example").code == 0
    assert polder("context", "set", "b", "--server", "https://b.example").code == 0
    assert (tmp_path / "config.yaml").is_symlink()
    assert "https://b.example" in real.read_text()


def test_a_file_that_cannot_be_written_leaves_nothing_behind(
    polder: Polder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    ran = polder("context", "set", "a", "--server", "https://a.example")
    assert (ran.code, list(tmp_path.iterdir())) == (1, [])
    assert "cannot be written: No space left on device" in ran.err


def test_a_config_file_without_fields_is_told_what_belongs_there(polder: Polder, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("- 1\n")
    ran = polder("context", "list")
    assert ran.code == 2
    assert "expected fields such as `contexts:`" in ran.err
