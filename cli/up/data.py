"""The data directory: made with rights for its owner alone, and held by one `polder up` at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.failure import Failure
from pki import parents

OTHER = "choose another with --data-dir DIR"


@dataclass(frozen=True, slots=True)
class Data:
    """An opened data directory."""

    path: Path

    @property
    def etcd(self) -> Path:
        """Where etcd keeps its data."""
        return self.path / "etcd"

    def log(self, program: str) -> Path:
        """The file that a program's output goes to."""
        return self.path / "log" / f"{program}.log"


def default_path() -> Path:
    """`/var/lib/polder` for root, the user's own state directory for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/polder")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "polder"


@contextmanager
def held(path: Path) -> Iterator[Data]:
    """Make the directory if it is absent, and hold it. Raises `Failure` that says what to do."""
    data = Data(path.absolute())
    try:
        for each in (data.path, data.etcd, data.path / "log"):
            parents.make(each, 0o700)
        lock = (data.path / "lock").open("a+")
    except PermissionError:
        raise Failure(f"no right to write in {data.path}", advice=f"{OTHER}, or run as root") from None
    except OSError as fault:
        raise Failure(f"{data.path} cannot be used: {fault.strerror}", advice=OTHER) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid = lock.read(32).strip() or "unknown"
            raise Failure(
                f"another `polder up` (pid {pid}) uses {data.path}", advice=f"stop it, or {OTHER}"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield data
