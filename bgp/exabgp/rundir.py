"""The directory of one peer's process: its files, and the proof of who runs there.

A held lock says that a process runs; the record says which. Both are written by that process itself, so
there is no moment at which one runs unrecorded. The record names pid, start time and boot, so that a pid
that was given out again is never taken for ours.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
FILES = ("exabgp.conf", "exabgp.env", "exabgp.log", "bridge.sock", "lock")
MAX_SOCKET_PATH = 107
"""The longest path of a unix socket, in bytes (unix(7))."""


@dataclass(frozen=True, slots=True)
class RunDir:
    """The files of one peer's process below one directory."""

    path: Path

    def __post_init__(self) -> None:
        if len(os.fsencode(self.socket)) > MAX_SOCKET_PATH:
            raise ValueError(f"run directory {self.path} is too long: {self.socket} is no socket path")

    @property
    def config(self) -> Path:
        """ExaBGP's configuration."""
        return self.path / "exabgp.conf"

    @property
    def environment(self) -> Path:
        """ExaBGP's settings file: empty, so that none of the host's is read."""
        return self.path / "exabgp.env"

    @property
    def socket(self) -> Path:
        """Where the bridge listens."""
        return self.path / "bridge.sock"

    @property
    def log(self) -> Path:
        """What ExaBGP and the bridge print."""
        return self.path / "exabgp.log"

    def make(self) -> None:
        """Create the directory, readable by its owner only. Idempotent."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.environment.write_text("")

    def remove(self) -> None:
        """Remove the files of a process that has ended, and the directory. Idempotent."""
        if not self.path.is_dir():
            return
        for file in self.path.iterdir():
            if file.name in FILES or file.name.startswith("pid."):
                file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody keeps something of his own here
            self.path.rmdir()


@dataclass(frozen=True, slots=True)
class Record:
    """Who runs in a run directory, and with which configuration."""

    pid: int
    start_time: int
    """Clock ticks after boot (proc(5), stat field 22)."""
    boot_id: str
    config: str
    """SHA-256 of the configuration."""


def digest(config: str) -> str:
    """The identity of a configuration."""
    return hashlib.sha256(config.encode()).hexdigest()


def lock(path: Path) -> int | None:
    """Take the directory's lock; None when another process has it. Held until the descriptor is closed."""
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def locked(path: Path) -> bool:
    """Whether some process runs for this directory."""
    try:
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def record(path: Path, config: str) -> Record:
    """Write down that this process runs here with this configuration."""
    pid = os.getpid()
    mine = Record(pid, start_time(pid) or 0, BOOT_ID.read_text().strip(), digest(config))
    fresh = path / f"pid.{pid}"
    fresh.write_text(json.dumps(asdict(mine)))
    fresh.replace(path / "pid.json")
    return mine


def recorded(path: Path) -> Record | None:
    """The last record; None when there is none or it cannot be read."""
    try:
        return Record(**json.loads((path / "pid.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks after boot; None when there is none, or it has ended."""
    stat = _stat(pid)
    return int(stat[19]) if stat else None


def cpu_s(pid: int) -> float:
    """The processor time that a process has used, in seconds; 0 when there is none, or it has ended."""
    stat = _stat(pid)
    return sum(map(int, stat[11:13])) / os.sysconf("SC_CLK_TCK") if stat else 0.0


def _stat(pid: int) -> list[str]:
    """The fields of proc(5)'s stat behind the program's name; none of a process that has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The second field is the program's name in parentheses, and may hold blanks and parentheses itself.
    fields = stat.rpartition(")")[2].split()
    return [] if fields[0] in "ZX" else fields
