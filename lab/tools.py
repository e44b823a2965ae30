"""Which programs the lab needs, where they are, and the rights it needs: told in one line when missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab.errors import LabError

PLACES = ("/usr/sbin", "/sbin", "/usr/lib/frr")
"""Searched behind PATH: Debian keeps routers and daemons out of a user's PATH."""

NEEDED = (
    "ip", "ping", "tcpdump", "etcd", "etcdctl", "zebra", "bgpd", "vtysh",
    "ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl",
)  # fmt: skip


def search_path() -> str:
    """PATH with the places that Debian's daemons are in."""
    given = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join([*given, *(place for place in PLACES if place not in given)])


def environment() -> dict[str, str]:
    """This process's environment with `search_path` as PATH, for everything that the lab starts."""
    return {**os.environ, "PATH": search_path()}


def find(tool: str) -> str:
    """The path of a program. Raises LabError when it is not installed."""
    path = shutil.which(tool, path=search_path())
    if path is None:
        raise LabError(f"{tool} is not installed: run 'make setup' as root")
    return path


def require_root() -> None:
    """Raise LabError without the right to make and remove namespaces."""
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and needs root: run it with sudo or as root")


def require() -> None:
    """Check rights and programs before anything is built. Raises LabError."""
    require_root()
    missing = [tool for tool in NEEDED if shutil.which(tool, path=search_path()) is None]
    if missing:
        raise LabError(f"not installed: {', '.join(missing)}; run 'make setup' as root")
    if not Path("/dev/net/tun").exists():
        raise LabError("/dev/net/tun is missing, Open vSwitch needs it: load the kernel module 'tun'")
