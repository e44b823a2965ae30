"""Network namespaces: made, removed, and entered by a thread of this process.

A thread that has entered a namespace is thrown away; sockets and files that it opened stay in the
namespace for all. That costs no process, where `ip netns exec` costs one each time.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from lab import tools
from lab.errors import CommandFailed, LabError

DIRECTORY = Path("/run/netns")
CLONE_NEWNET = 0x40000000

T = TypeVar("T")

_libc = ctypes.CDLL(None, use_errno=True)


def path(name: str) -> Path:
    """The file that stands for the namespace."""
    return DIRECTORY / name


def require_free(names: Iterable[str]) -> None:
    """Raise LabError when one of the namespaces exists: it is somebody else's."""
    for name in names:
        if path(name).exists():
            raise LabError(f"network namespace {name} exists and is not this lab's: choose another --name")


def create(names: Iterable[str]) -> None:
    """Make namespaces that do not exist. Raises CommandFailed."""
    batch([f"netns add {name}" for name in names])


def remove(names: Iterable[str]) -> None:
    """Remove those of the namespaces that exist; a name may be given twice. Idempotent."""
    batch([f"netns delete {name}" for name in dict.fromkeys(names) if path(name).exists()])


def batch(commands: Iterable[str], *, inside: str | None = None) -> None:
    """Run lines of `ip` in one process, in a namespace or in this one; the first that fails ends it.

    Raises:
        CommandFailed: names the line.
    """
    lines = list(commands)
    if not lines:
        return
    where = ["-n", inside] if inside else []
    done = subprocess.run(
        ["ip", *where, "-batch", "-"],
        input="\n".join(lines) + "\n",
        text=True,
        capture_output=True,
        check=False,
        env=tools.environment(),
        start_new_session=True,  # Ctrl-C at the terminal must not end it in the middle of a teardown
    )
    if done.returncode != 0:
        raise CommandFailed(inside or "root namespace", ["ip", "-batch"], done.stderr)


def within(name: str, call: Callable[[], T]) -> T:
    """Call a function in a thread that is inside the namespace; it returns and raises as if called here."""

    def body() -> T:
        _enter(name)
        return call()

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"within-{name}") as thread:
        return thread.submit(body).result()


def _enter(name: str) -> None:
    fd = os.open(path(name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise LabError(f"cannot enter network namespace {name}: {os.strerror(number)}")
    finally:
        os.close(fd)
