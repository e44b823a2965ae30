"""Every example in the help of `polder` does what it says: each is run against a `polder up`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main
from tests.support.command_tree import commands, examples_of, parts
from tests.support.polder_up import Up

pytestmark = pytest.mark.needs("etcd")

ELSEWHERE = {
    "up": "tests/integration/test_cli_up.py",
    "attach": "tests/integration/test_cli_up_agent.py",
    "detach": "tests/integration/test_cli_up_agent.py",
    "pki": "tests/unit/cli/test_pki.py",
    "bgp session": "tests/unit/cli/test_bgp.py",
    "node join-token": "tests/integration/test_join.py",
    "tor check": "tests/unit/cli/test_tor.py",
    "endpoint stats": "tests/integration/test_explain.py",
    "policy stats": "tests/integration/test_explain.py",
    "trace": "tests/integration/test_explain.py",
    "node drops": "tests/integration/test_explain.py",
    "endpoint drops": "tests/integration/test_explain.py",
    "node diff": "tests/integration/test_explain.py",
}
"""Where the examples of these are tried: they need a node or its speaker, or write where they say."""

EXAMPLES = Path(__file__).parents[2] / "examples"

WORLD = """
{kind: tenant, name: shop, max_ipv4: null}
---
{kind: pool, name: default, cidr: 10.64.0.0/16, cooldown_s: 0, disabled: false, reserved: []}
---
{kind: pool, name: default6, cidr: "2001:db8::/60", cooldown_s: 0}
---
{kind: node, name: node-1, asn: 64511, labels: {rack: "7"}, next_hops: [192.0.2.11]}
---
{kind: node, name: node-2, asn: 64512, next_hops: [192.0.2.12]}
---
{kind: node, name: edge-1, asn: 64513, next_hops: [192.0.2.13]}
---
{kind: peer, name: tor-a, address: 192.0.2.1, asn: 64501, local_address: null}
"""
INHABITED = WORLD + "---\n{kind: endpoint, id: web-1, node: node-1, pools: [default]}\n"
RULED = WORLD + "---\n{kind: policy, name: web-in, ingress: [{action: deny}]}\n"
SERVED = WORLD + "---\n{kind: service, name: web, pool: default, selector: {app: web}}\n"
CROWDED = INHABITED + "".join(
    f"---\n{{kind: endpoint, id: {name}, node: node-1}}\n" for name in ("web-2", "web-3")
)


def _turn(words: tuple[str, ...]) -> int:
    """When it is tried. What is deleted must be unused: that comes first. A token is not of the world above.

    A router's configuration comes before more nodes, whose addresses it would need.
    """
    if words == ("tor", "config"):
        return 1
    if "delete" not in words:
        return 2
    return 3 if words[0] == "token" else 0


TREE = sorted(
    ((words, command) for words, command in commands() if {words[0], " ".join(words)}.isdisjoint(ELSEWHERE)),
    key=lambda each: (_turn(each[0]), each[0]),
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One `polder up` for the module."""
    with Up(tmp_path_factory.mktemp("up"), "--no-agent") as started:
        yield started.url


@pytest.fixture
def place(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the files that examples name, in an environment that leads to that `polder up`."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "POLDER_SERVER": url,
        "POLDER_CONFIG": str(tmp_path / "config.yaml"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("site.yaml", "netpol.yaml", "allowed.txt"):
        shutil.copy(EXAMPLES / name, tmp_path / name)
    Path("world.yaml").write_text(WORLD)
    Path("inhabited.yaml").write_text(INHABITED)
    Path("served.yaml").write_text(SERVED)
    Path("ruled.yaml").write_text(RULED)
    Path("crowded.yaml").write_text(CROWDED)
    Path("token.txt").write_text("s3cret\n")
    for name in ("site", "lab"):
        run(["context", "set", name, "--server", "https://controller.example.net"])
    return tmp_path


@pytest.mark.parametrize(
    ("words", "lines"),
    [(words, examples_of(command)) for words, command in TREE],
    ids=[" ".join(words) for words, _ in TREE],
)
def test_the_examples_of_a_command_succeed(
    place: Path, words: tuple[str, ...], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for line in lines:
        run(["apply", "-f", "world.yaml" if words[1:] == ("delete",) else "inhabited.yaml"])
        if words[0] == "service":
            run(["apply", "-f", "served.yaml"])
        if words[0] == "policy":
            run(["apply", "-f", "ruled.yaml"])
        capsys.readouterr()
        if " --watch" in line:
            continue  # it does not end: tests/integration/test_cli_watch.py
        if " | " in line:
            done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
            assert (done.returncode, done.stderr) == (0, ""), line
            continue
        if words[0] == "endpoint" and "delete" in words:
            run(["apply", "-f", "crowded.yaml"])
        for vector in parts(line):
            run(vector)
        assert capsys.readouterr().err == "", line


def run(vector: list[str]) -> None:
    """Run `polder` in this process, and demand that it succeeds."""
    with pytest.raises(SystemExit) as ended:
        main(vector)
    assert ended.value.code in {0, None}, vector
