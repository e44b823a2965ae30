"""`--config`: options from a file, as if they stood first on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents import options_file
from agents.node.__main__ import parser as agent
from agents.speaker.__main__ import parser as speaker

TEXT = """
# of this node
node = node-1
etcd=https://192.0.2.1:2379,https://192.0.2.2:2379
  etcd-ca = /etc/polder/a file.pem
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.conf"
    path.write_text(TEXT)
    return path


def test_agent_and_speaker_take_the_same_file(config: Path) -> None:
    for parser in (agent(), speaker()):
        given = options_file.parse(parser, [f"--config={config}"])
        assert (given.node, given.etcd) == ("node-1", "https://192.0.2.1:2379,https://192.0.2.2:2379")
        assert given.etcd_ca == Path("/etc/polder/a file.pem")


def test_each_passes_over_what_only_the_other_knows(config: Path) -> None:
    config.write_text(
        TEXT + "ovsdb = unix:/db.sock\nmetrics-listen = 127.0.0.1:9000\nsecrets-dir = /etc/secrets\n"
    )
    only = {"agent": options_file.AGENT_ONLY, "speaker": options_file.SPEAKER_ONLY}
    argv = [f"--config={config}"]
    given = options_file.parse(speaker(), argv, of_others=only["agent"])
    assert (given.secrets_dir, hasattr(given, "ovsdb")) == (Path("/etc/secrets"), False)
    given = options_file.parse(agent(), argv, of_others=only["speaker"])
    assert (given.ovsdb, given.metrics_listen) == ("unix:/db.sock", "127.0.0.1:9000")
    for known, other in ((agent, "speaker"), (speaker, "agent")):
        has = known().format_help()
        assert not [name for name in only[other] if f"--{name} " in has], "it is known here as well"


def test_the_command_line_wins(config: Path) -> None:
    given = options_file.parse(agent(), ["--node", "other", "--config", str(config), "--ovsdb=unix:/db.sock"])
    assert (given.node, given.ovsdb) == ("other", "unix:/db.sock")


def test_what_the_command_line_has_wrong_is_not_the_file_s(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        options_file.parse(agent(), [f"--config={config}", "--nod-e=x"])
    assert "unrecognized arguments: --nod-e=x" in capsys.readouterr().err


def test_without_a_file_all_is_as_before() -> None:
    assert options_file.parse(agent(), ["--node=n"]).node == "n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("node node-1", "line 1: expected 'name = value'"),
        ("node = n\n--etcd = x", "line 2: expected"),
        ("node =", "expected 'name = value'"),
        ("node = n\nnod-e = x", "node.conf: there is no option nod-e"),
        ("nod = n", "node.conf: there is no option nod; --help lists them"),
        ("node = n\novsdb = tcp:192.0.2.1:6640", "is not unix:/PATH"),
        ("etcd = http://127.0.0.1:1", "--node"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, why: str
) -> None:
    path = tmp_path / "node.conf"
    path.write_text(text)
    with pytest.raises(SystemExit) as ended:
        options_file.parse(agent(), [f"--config={path}"])
    assert (ended.value.code, why in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    path = tmp_path / "node.conf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit):
        options_file.parse(agent(), [f"--config={path}"])
    assert "--config: " in capsys.readouterr().err
