"""What a lab has made, on disk before or as it is made, so that any later run can remove exactly that.

A lab is a directory `/run/polder-lab/<name>/` with a `lock` (held by whoever builds, runs or removes it),
a `ledger` (one JSON object a line, appended, never rewritten) and the directories of its hosts.
The kernel drops the lock when its holder dies, so a ledger that nobody locks and that does not say
"standing" is what a crashed run left.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import processes
from lab.errors import LabError
from lab.processes import Process

NAME = re.compile(r"[a-z][a-z0-9]{0,15}")


@dataclass
class Made:
    """What a ledger says the lab has made since this boot; of what is older only files can be left."""

    namespaces: list[str] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    standing: bool = False


def root() -> Path:
    """Where labs are kept: below /run, or the user's runtime directory when that cannot be written."""
    fallback = os.environ.get("XDG_RUNTIME_DIR")
    base = Path("/run") if os.access("/run", os.W_OK) or not fallback else Path(fallback)
    return base / "polder-lab"


def directory(name: str, within: Path | None = None) -> Path:
    """The directory of a lab. Raises LabError for a name that no namespace could begin with."""
    if not NAME.fullmatch(name):
        raise LabError(
            f"{name!r} cannot name a lab: use 1 to 16 lower-case letters and digits, a letter first"
        )
    return (within or root()) / name


def known() -> list[str]:
    """The names of the labs that have a directory."""
    return sorted(path.name for path in root().glob("*") if path.is_dir()) if root().is_dir() else []


class Ledger:
    """The list of what a lab makes. Each line is written in one piece before its thing is made.

    A process is written as soon as it has a pid; should the writer die just then, the process is still
    found by the namespace it is in, which is on the list.
    """

    def __init__(self, lab: Path) -> None:
        self._path = lab / "ledger"
        self._guard = threading.RLock()
        self._closed = False
        self._children: list[subprocess.Popen[Any]] = []

    def begin(self) -> None:
        """Start a new list."""
        self._write({"boot": _boot_id()})

    def namespace(self, name: str) -> None:
        """Say that this namespace is about to be made."""
        self._write({"netns": name})

    @contextlib.contextmanager
    def starting(self) -> Iterator[Callable[[subprocess.Popen[Any]], None]]:
        """Start a child inside this block, and hand it to what the block is given: it is written and reaped.

        Raises:
            LabError: `close` was called; start nothing.
        """
        with self._guard:
            if self._closed:
                raise LabError("the lab is being removed; nothing more is started in it")
            yield self._child

    def close(self) -> None:
        """Allow no more children. When this returns, no start is under way in another thread."""
        with self._guard:
            self._closed = True

    def process(self, pid: int) -> None:
        """Say that this process runs."""
        if (process := processes.identify(pid)) is not None:
            self._write({"pid": process.pid, "started": process.started})

    def standing(self) -> None:
        """Say that the lab stands on purpose with nobody to guard it."""
        self._write({"standing": True})

    def read(self) -> Made:
        """What the list says. A last line that was cut short is left out: its thing was not made."""
        made = Made()
        for entry in self._entries():
            if entry.get("boot", _boot_id()) != _boot_id():
                return Made()
            if "netns" in entry:
                made.namespaces.append(entry["netns"])
            if "pid" in entry:
                made.processes.append(Process(entry["pid"], entry["started"]))
            made.standing |= bool(entry.get("standing"))
        return made

    def reap(self) -> None:
        """Collect the children that have ended."""
        for child in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=1)
        self._children.clear()

    def _child(self, child: subprocess.Popen[Any]) -> None:
        self._children.append(child)
        self.process(child.pid)

    def _write(self, entry: dict[str, object]) -> None:
        with self._guard, self._path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def _entries(self) -> Iterator[dict[str, Any]]:
        text = self._path.read_text() if self._path.exists() else ""
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)


class Claim:
    """The right to build, run or remove one lab: a lock that the kernel drops when its holder dies.

    Args:
        name: the lab's.
        within: where labs are kept; `root()` when not given.

    Raises:
        LabError: another process holds it; names that process.
    """

    def __init__(self, name: str, *, within: Path | None = None) -> None:
        self.name = name
        self.directory = directory(name, within)
        self._fd = _lock(self.directory, name)
        self.ledger = Ledger(self.directory)

    def release(self) -> None:
        """Give the right back and leave everything as it is. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def erase(self) -> None:
        """Remove the lab's files, the ledger and the lock last, and give the right back."""
        for path in self.directory.iterdir():
            if path.name not in {"lock", "ledger"}:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for last in ("ledger", "lock"):
            (self.directory / last).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            # Another lab, or another claim of this one, may be at work in there already.
            self.directory.rmdir()
            self.directory.parent.rmdir()
        self.release()


def _lock(lab: Path, name: str) -> int:
    while True:
        lab.mkdir(parents=True, exist_ok=True)
        for each in (lab.parent, lab):
            each.chmod(0o755)  # whatever the umask: FRR runs as a user of its own
        try:
            fd = os.open(lab / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            continue  # removed with its directory by the last holder, just now
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode().strip() or "unknown"
            os.close(fd)
            raise LabError(
                f"lab {name} is in use by process {holder}: end that first, or choose another --name"
            ) from None
        if _same(fd, lab / "lock"):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            return fd
        os.close(fd)


def _same(fd: int, path: Path) -> bool:
    """Whether the locked file is still the one at the path: the last holder removes it."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
