"""The command lines of Polder's own programs: the only place in the lab that knows them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EtcdAccess:
    """Where etcd is and what to show to it."""

    urls: Sequence[str]
    ca: Path
    cert: Path
    key: Path

    def flags(self) -> list[str]:
        """As every program of Polder takes them."""
        return [
            f"--etcd={','.join(self.urls)}",
            f"--etcd-ca={self.ca}",
            f"--etcd-cert={self.cert}",
            f"--etcd-key={self.key}",
        ]


def controller(options: Sequence[str]) -> list[str]:
    """The REST API."""
    return [*_module("controller"), *options]


def node_agent(config: Path, *, run_dir: Path, ovsdb: str) -> list[str]:
    """The dataplane program of the node that `config` is of; its socket is `run_dir/agent.sock`."""
    return [
        *_module("agents.node"),
        f"--config={config}",
        f"--run-dir={run_dir}",
        f"--ovsdb={ovsdb}",
    ]


def speaker(config: Path, *, run_dir: Path) -> list[str]:
    """The BGP program of the node that `config` is of."""
    return [*_module("agents.speaker"), f"--config={config}", f"--run-dir={run_dir}"]


def command_line(*arguments: str) -> list[str]:
    """The `polder` command."""
    return [str(Path(sys.executable).with_name("polder")), *arguments]


def _module(name: str) -> list[str]:
    # -P: the directory that the lab is started from is not searched for modules
    return [sys.executable, "-P", "-m", name]
