"""What deploy/ says of etcd: three members by `systemd/etcd.default`, rights, and a backup brought back."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.etcd import free_ports
from lab.wait import wait_until
from pki.directory import init
from tests.support.polder_up import polder

pytestmark = pytest.mark.needs("etcd", "etcdctl")

DEPLOY = Path(__file__).parents[2] / "deploy"
LOCAL, LISTENING = "127.0.0.1", "0.0.0.0"
SOON_S = 30.0


class Members:
    """Three hosts on loopback: what the file and the README name, at ports of this host."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._ports = free_ports(6)
        self._running: list[subprocess.Popen[bytes]] = []
        init(place / "pki", [LOCAL])

    def here(self, text: str, number: int) -> str:
        """A text of the first member, as it is to be on this one and on this host."""
        text = re.sub(r"/etc/(etcd|polder)/pki", str(self.place / "pki"), text)
        text = text.replace("/var/lib/etcd/polder", str(self.place / f"member-{number}"))
        for other in (1, 2, 3):
            for port, at in ((2379, 0), (2380, 3)):
                local = f"{LOCAL}:{self._ports[other - 1 + at]}"
                text = text.replace(f"etcd-{other}.example.net:{port}", local)
        own = self._ports[number - 1], self._ports[number + 2]
        return text.replace(f"{LISTENING}:2379", f"{LOCAL}:{own[0]}").replace(
            f"{LISTENING}:2380", f"{LOCAL}:{own[1]}"
        )

    def of(self, text: str, number: int) -> str:
        """The text with what is the member's own, and not in the list of all, made its own."""
        words = re.split(r"((?:initial-cluster|INITIAL_CLUSTER)=\S+)", text)
        own = [
            re.sub("etcd-1", f"etcd-{number}", each) if at % 2 == 0 else each for at, each in enumerate(words)
        ]
        return self.here("".join(own), number)

    def start(self) -> None:
        text = (DEPLOY / "systemd" / "etcd.default").read_text()
        for number in (1, 2, 3):
            settings = dict(re.findall(r"^(ETCD_\w+)=(.*)$", self.of(text, number), re.MULTILINE))
            log = (self.place / f"{number}.log").open("ab")
            with log:
                child = subprocess.Popen(["etcd"], env={**os.environ, **settings}, stdout=log, stderr=log)
            self._running.append(child)

    def stop(self) -> None:
        for child in self._running:
            child.terminate()
        for child in self._running:
            child.wait(SOON_S)
        self._running.clear()

    def run(self, line: str, number: int = 1) -> subprocess.CompletedProcess[str]:
        """Run a command of the README on a member."""
        words = shlex.split(self.of(line, number))
        if words[0] == "polder":
            return polder(*words[1:])
        env = {**os.environ, "ETCDCTL_API": "3"}
        return subprocess.run(words, env=env, cwd=self.place, capture_output=True, text=True, check=False)


def command(begins: str) -> str:
    """A command of the README, on one line."""
    text = (DEPLOY / "README.md").read_text().replace("\\\n", " ")
    (found,) = re.findall(rf"^{re.escape(begins)}.*$", text, re.MULTILINE)
    return str(found)


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Members]:
    with ExitStack() as stack:
        made = Members(tmp_path)
        stack.callback(made.stop)
        made.start()
        yield made


def test_what_the_readme_says_of_etcd_works(members: Members) -> None:
    secure = command("polder etcd secure")
    done = wait_until(lambda: members.run(secure), SOON_S, "etcd", good=lambda run: run.returncode == 0)
    assert "etcd asks for rights" in done.stdout
    save = command("etcdctl --endpoints")
    ask = save.partition(" snapshot save ")[0]
    assert members.run(f"{ask} put /polder/v1/kept yes").returncode == 0
    assert members.run(save).returncode == 0
    members.stop()
    for number in (1, 2, 3):
        (members.place / f"member-{number}").rename(members.place / f"member-{number}.before")
        restored = members.run(command("etcdctl snapshot restore"), number)
        assert restored.returncode == 0, restored.stderr
    members.start()
    done = wait_until(lambda: members.run(secure), SOON_S, "etcd", good=lambda run: run.returncode == 0)
    assert "etcd asks for rights" in done.stdout
    assert members.run(f"{ask} get /polder/v1/kept").stdout == "/polder/v1/kept\nyes\n"
    for log in members.place.glob("*.log"):
        assert "unrecognized environment variable" not in log.read_text()
