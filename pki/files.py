"""Files that are whole or not there: written beside their place, forced to disk, and renamed into it."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pki import parents
from pki.certificate import PkiError

PRIVATE_DIR = 0o700


def write(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read (0600), in place of one that is there. Raises `PkiError`."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as fault:
        raise PkiError(f"cannot write in {path.parent}: {fault.strerror}") from fault
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
        _sync(path.parent)
    except OSError as fault:
        Path(name).unlink(missing_ok=True)
        raise PkiError(f"cannot write {path}: {fault.strerror}") from fault


def read(path: Path, cure: str) -> bytes:
    """Read a file. Raises `PkiError` that ends with the cure when it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise PkiError(f"there is no {path}; {cure}") from None
    except OSError as fault:
        raise PkiError(f"cannot read {path}: {fault.strerror}") from fault


def read_own(path: Path, cure: str) -> bytes:
    """Read a file that nobody but this user can have read or written. Raises `PkiError`; see `read`."""
    try:
        # A pipe that somebody has put there must not keep us waiting.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise PkiError(f"{path} is no file: remove it")
            if found.st_uid != os.geteuid():
                raise PkiError(
                    f"{path} belongs to another user (uid {found.st_uid}), who may know it: remove it"
                )
            if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise PkiError(f"others may read or write {path}: remove it, or chmod 600 if it is yours")
            return file.read()
    except FileNotFoundError:
        raise PkiError(f"there is no {path}; {cure}") from None
    except OSError as fault:
        raise PkiError(f"cannot read {path}: {fault.strerror}") from fault


def directory(path: Path) -> None:
    """Make a directory (0700), and those above it, where there is none. Raises `PkiError`."""
    try:
        parents.make(path, PRIVATE_DIR)
    except OSError as fault:
        raise PkiError(f"cannot make {path}: {fault.strerror}") from fault


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A directory (0700) that appears at `path` when the block ends without an error, with all that is in it.

    Raises:
        PkiError: there is something at `path`, or it cannot be made.
    """
    place = path.absolute()
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise PkiError(f"{path} is there already, and is not written over; choose another directory")
    try:
        parents.make(place.parent, parents.PARENT)
        with tempfile.TemporaryDirectory(
            dir=place.parent, prefix=f".{place.name}.", ignore_cleanup_errors=True
        ) as made:
            yield Path(made)
            # Fails where another has put something there in the meantime.
            Path(made).rename(place)
            _sync(place.parent)
    except OSError as fault:
        raise PkiError(f"cannot make {path}: {fault.strerror}") from fault


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
