"""A controller that serves TLS with the certificates of `polder pki init`, and those who type commands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Self

from lab.processes import end_child
from lab.wait import wait_until
from tests.support.polder_up import POLDER, environment

SOON_S = 60.0
TOKEN = "0123456789abcdef0123456789abcdef"


class Site:
    """A controller at an etcd with TLS. A context manager: it answers on entry, is stopped on exit.

    Args:
        pki: what `polder pki init` made.
        home: a directory for logs, tokens and the files of nodes.
        etcd: the URL of etcd, which asks for rights.
        port: of 127.0.0.1, where the controller listens.
        prefix: what comes before every command, such as `ip netns exec NAME`.
    """

    def __init__(self, pki: Path, home: Path, etcd: str, port: int, *, prefix: tuple[str, ...] = ()) -> None:
        self.home = home
        self.url = f"https://127.0.0.1:{port}"
        self.log = home / "controller.log"
        self._prefix = prefix
        self._said = {"POLDER_SERVER": self.url, "POLDER_CA": str(pki / "ca.pem"), "POLDER_TOKEN": TOKEN}
        (home / "tokens").write_text(TOKEN)
        self._argv = ["controller", f"--pki={pki}", f"--etcd={etcd}", f"--listen=127.0.0.1:{port}"]
        self._argv.append(f"--token-file={home / 'tokens'}")
        self._controller: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a program of `polder`."""
        with log.open("ab") as said:
            return subprocess.Popen(
                [*self._prefix, *POLDER, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=environment(),
            )

    def polder(self, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """Run `polder` as the operator."""
        return subprocess.run(
            [*self._prefix, *POLDER, *arguments],
            input=said,
            capture_output=True,
            text=True,
            env=environment(self._said),
            timeout=120,
            check=False,
        )

    def did(self, *arguments: str, said: str = "") -> str:
        """Run `polder`, which has to succeed; what it printed."""
        ran = self.polder(*arguments, said=said)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def get(self, noun: str, name: str) -> dict[str, object]:
        """What `polder NOUN get NAME` shows."""
        return dict(json.loads(self.did(noun, "get", name, "-o", "json")))

    def token(self, node: str) -> str:
        """A join token."""
        return self.did("node", "join-token", node).strip()

    def join(self, token: str, place: str) -> subprocess.CompletedProcess[str]:
        """What is typed on a host, whose files are below `home`."""
        at = (f"--controller={self.url}", f"--dir={self.home / place}")
        return self.polder("agent", "join", "-", *at, said=token)

    def __enter__(self) -> Self:
        controller = self._controller = self.start(*self._argv, log=self.log)
        wait_until(
            lambda: controller.poll() is not None or self.polder("node", "list").returncode == 0,
            SOON_S,
            "the controller to answer",
            good=bool,
            poll_s=0.1,
        )
        assert controller.poll() is None, self.log.read_text()
        return self

    def __exit__(self, *_: object) -> None:
        if self._controller is not None:
            end_child(self._controller)
