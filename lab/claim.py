"""A lab's place on this machine, and the right to work on it.

A lab is a directory `/run/polder-lab/<name>/` with a `lock` (held by whoever builds, runs or removes it),
a `ledger` (see `lab.state`) and the directories of its hosts. The kernel drops the lock when its holder
dies, so a ledger that nobody locks and that does not say "standing" is what a crashed run left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from pathlib import Path

from lab import processes
from lab.errors import InUse, LabError
from lab.state import Ledger

NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
LAST_BREATH_S = 2.0
POLL_S = 0.01


def labs_root() -> Path:
    """Where labs are kept: below /run, or the user's runtime directory when that cannot be written."""
    fallback = os.environ.get("XDG_RUNTIME_DIR")
    base = Path("/run") if os.access("/run", os.W_OK) or not fallback else Path(fallback)
    return base / "polder-lab"


def lab_directory(name: str, within: Path | None = None) -> Path:
    """The directory of a lab. Raises LabError for a name that no namespace could begin with."""
    if not NAME.fullmatch(name):
        raise LabError(
            f"{name!r} cannot name a lab: use 1 to 16 lower-case letters and digits, a letter first"
        )
    return (within or labs_root()) / name


def known_labs() -> list[str]:
    """The names of the labs that have a directory."""
    return sorted(path.name for path in labs_root().glob("*") if path.is_dir() and NAME.fullmatch(path.name))


class Claim:
    """The right to build, run or remove one lab: a lock that the kernel drops when its holder dies.

    Args:
        name: the lab's.
        within: where labs are kept; `labs_root()` when not given.
        patient: wait `LAST_BREATH_S` for another process: it may only look whether something is left.

    Raises:
        InUse: another process holds it.
        LabError: the name cannot be a lab's.
    """

    def __init__(self, name: str, *, within: Path | None = None, patient: bool = False) -> None:
        self.name = name
        self.directory = lab_directory(name, within)
        self._fd = _lock(self.directory, name, patient)
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


def _lock(lab: Path, name: str, patient: bool) -> int:
    while True:
        lab.mkdir(parents=True, exist_ok=True)
        for each in (lab.parent, lab):
            each.chmod(0o755)  # whatever the umask: FRR runs as a user of its own
        try:
            fd = os.open(lab / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            continue  # removed with its directory by the last holder, just now
        try:
            _take(fd, name, patient)
        except InUse:
            os.close(fd)
            raise
        if _same(fd, lab / "lock"):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            return fd
        os.close(fd)


def _take(fd: int, name: str, patient: bool) -> None:
    """Lock the file, or raise `InUse`.

    A holder that was killed as it started a program leaves the lock to that child for the moment until
    the child has become the program.
    """
    until = time.monotonic() + LAST_BREATH_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode().strip() or "unknown"
            if (_lives(holder) and not patient) or time.monotonic() >= until:
                raise InUse(name, holder) from None
            time.sleep(POLL_S)
        else:
            return


def _lives(holder: str) -> bool:
    return not holder.isdecimal() or processes.identify(int(holder)) is not None


def _same(fd: int, path: Path) -> bool:
    """Whether the locked file is still the one at the path: the last holder removes it."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
