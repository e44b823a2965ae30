"""Real etcd servers that can be stopped, killed, paused and started again.

Each is a child process in a process group of its own, with its data and log in one directory, so that a
restart finds its data. In a network namespace it is run through `ip netns exec`, which becomes the server:
the pid is etcd's. A server counts as started when `etcdctl` reads a key from it, whatever its namespace and
certificates.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab import processes

CLIENT_PORT = 2379
PEER_PORT = 2380
POLL_S = 0.02
QUICK_ELECTIONS = ("--heartbeat-interval=100", "--election-timeout=500")
"""In milliseconds; elections are half of etcd's default, since every start waits for one."""


class EtcdFailed(Exception):
    """A server ended or did not answer in time; the message ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class EtcdTls:
    """Files that make a server speak TLS and demand certificates of its CA; `pki.directory` makes them.

    The client pair is the one that the health check shows to the server.
    """

    ca: Path
    cert: Path
    key: Path
    client_cert: Path
    client_key: Path


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """Ports of `address` in this network namespace on which nothing listens now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((address, 0))
        return [int(each.getsockname()[1]) for each in sockets]


class EtcdServer:
    """One etcd member. A context manager: started on entry, stopped on exit.

    Args:
        directory: holds `data/` and `etcd.log`; made when absent.
        name: the member's name, unique in its cluster.
        address: where it listens, for clients and peers.
        client_port, peer_port: 0 takes a free port, or 2379 and 2380 in a namespace.
        netns: the name of the network namespace to run in; None is this one.
        tls: for clients and between peers; None is in the clear.
        flags: more arguments for etcd.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str = "etcd",
        address: str = "127.0.0.1",
        client_port: int = 0,
        peer_port: int = 0,
        netns: str | None = None,
        tls: EtcdTls | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        spare = [CLIENT_PORT, PEER_PORT] if netns else free_ports(2, address)
        self.directory = directory
        self.name = name
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://{address}:{client_port or spare[0]}"
        self.peer_url = f"{scheme}://{address}:{peer_port or spare[1]}"
        self.initial_cluster = f"{name}={self.peer_url}"
        self._netns = netns
        self._tls = tls
        self._flags = tuple(flags)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The client URLs: one."""
        return (self.url,)

    @property
    def log(self) -> Path:
        """The server's log, of all its starts."""
        return self.directory / "etcd.log"

    @property
    def pid(self) -> int:
        """The process id while it runs.

        Raises:
            EtcdFailed: it was not started, or has ended.
        """
        if self._process is None or self._process.poll() is not None:
            raise EtcdFailed(f"etcd {self.name} does not run")
        return self._process.pid

    def start(self, *, deadline_s: float = 15.0) -> None:
        """Start the server and wait until it answers. Blocking.

        Raises:
            EtcdFailed: it ended, or did not answer in time; it no longer runs then.
        """
        self.launch()
        self.wait_ready(deadline_s=deadline_s)

    def launch(self) -> None:
        """Start the process without waiting for an answer: members of a cluster need each other."""
        (self.directory / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._inside(self._command()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_ready(self, *, deadline_s: float = 15.0) -> None:
        """Poll until the server answers a linearizable read. Blocking. Raises EtcdFailed; see `start`."""
        until = time.monotonic() + deadline_s
        while not self.healthy():
            if self._process is None or self._process.poll() is not None:
                raise EtcdFailed(f"etcd {self.name} ended at its start{self._log_tail()}")
            if time.monotonic() > until:
                self.kill()
                raise EtcdFailed(
                    f"etcd {self.name} did not answer at {self.url} in {deadline_s} s{self._log_tail()}"
                )
            time.sleep(POLL_S)

    def healthy(self) -> bool:
        """Whether the server answers a linearizable read within one second. Blocking."""
        return self._ask("get", "health") is not None

    def leads(self) -> bool:
        """Whether the server says that it is the leader of its cluster. Blocking, one second at most."""
        answer = self._ask("endpoint", "status", "--write-out=json")
        if answer is None:
            return False
        (status,) = (each["Status"] for each in json.loads(answer))
        return bool(status["header"]["member_id"] == status["leader"])

    def save(self, backup: Path) -> None:
        """Write a backup of the store to a file. Blocking. Raises EtcdFailed."""
        self._do("snapshot", "save", str(backup))

    def bring_back(self, backup: Path, *, token: str = "") -> None:
        """Put a backup in place of the data of this server, which must not run. Blocking. Raises EtcdFailed.

        Args:
            backup: what `save` wrote.
            token: names the new cluster, the same for each member; without one it has the id of the old.
        """
        data = self.directory / "data"
        shutil.rmtree(data)
        self._do(
            "snapshot",
            "restore",
            str(backup),
            f"--name={self.name}",
            f"--data-dir={data}",
            f"--initial-cluster={self.initial_cluster}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            *([f"--initial-cluster-token={token}"] if token else []),
        )

    def _ask(self, *question: str) -> str | None:
        """What `etcdctl` says; None when it fails."""
        done = self._etcdctl("--dial-timeout=1s", "--command-timeout=1s", *question)
        return done.stdout if done.returncode == 0 else None

    def _do(self, *words: str) -> None:
        done = self._etcdctl(*words)
        if done.returncode != 0:
            raise EtcdFailed(f"etcdctl {' '.join(words)}: {done.stderr.strip()}")

    def _etcdctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["etcdctl", f"--endpoints={self.url}"]
        if self._tls:
            command += [
                f"--cacert={self._tls.ca}",
                f"--cert={self._tls.client_cert}",
                f"--key={self._tls.client_key}",
            ]
        return subprocess.run(
            self._inside([*command, *words]),
            env={**os.environ, "ETCDCTL_API": "3"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def stop(self, *, deadline_s: float = 5.0) -> None:
        """Ask the server to end, and kill it after the deadline. Idempotent. Blocking."""
        if self._process is None:
            return
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End the server with SIGKILL and wait for it. Idempotent. Blocking."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def restart(self, *, deadline_s: float = 15.0) -> None:
        """Stop the server and start it again on its data. Blocking. Raises EtcdFailed; see `start`."""
        self.stop()
        self.start(deadline_s=deadline_s)

    def pause(self) -> None:
        """Hang the server (SIGSTOP): its connections stay open and nothing answers."""
        if self._process is not None and self._process.poll() is None:
            processes.pause(self._process.pid)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _command(self) -> list[str]:
        command = [
            "etcd",
            f"--name={self.name}",
            f"--data-dir={self.directory / 'data'}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={self.initial_cluster}",
            "--logger=zap",
            "--log-outputs=stderr",
            *QUICK_ELECTIONS,
            *self._flags,
        ]
        if self._tls:
            command += [
                "--client-cert-auth",
                f"--trusted-ca-file={self._tls.ca}",
                f"--cert-file={self._tls.cert}",
                f"--key-file={self._tls.key}",
                "--peer-client-cert-auth",
                f"--peer-trusted-ca-file={self._tls.ca}",
                f"--peer-cert-file={self._tls.cert}",
                f"--peer-key-file={self._tls.key}",
            ]
        return command

    def _inside(self, command: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self._netns, *command] if self._netns else command

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _log_tail(self, lines: int = 10) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "".join(f"\n  {line}" for line in text.splitlines()[-lines:])
