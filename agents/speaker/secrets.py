"""The passwords of sessions: files of this node that its provisioning puts there, each named for its secret.

They are in no store and no answer of the API, so whoever takes another node, or etcd, does not have them.
A file is read at each pass: a password that is changed there is used some seconds later.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

DEFAULT_DIRECTORY = Path("/etc/polder/secrets")
MAX_BYTES = 4096


class NoSecret(Exception):
    """There is no secret of this name that can be used; the message says where it should be."""


class Secrets:
    """The secrets in a directory."""

    def __init__(self, directory: Path = DEFAULT_DIRECTORY) -> None:
        self._directory = directory

    def read(self, name: str) -> str:
        """The secret of a name, without the end of its line.

        Raises:
            NoSecret: the file is not there, is empty, or others than its owner can read it.
        """
        path = self._directory / name
        try:
            with path.open("rb") as file:
                if _mode(file.fileno()) & (stat.S_IRWXG | stat.S_IRWXO):
                    raise NoSecret(f"secret {name}: others can read {path}; chmod 600 it")
                data = file.read(MAX_BYTES + 1)
        except OSError as fault:
            raise NoSecret(f"secret {name}: {path}: {fault.strerror}") from fault
        try:
            text = data.decode().rstrip("\r\n")
        except UnicodeDecodeError as fault:
            raise NoSecret(f"secret {name}: {path} is not UTF-8 text") from fault
        if not text or len(data) > MAX_BYTES:
            raise NoSecret(f"secret {name}: {path} is {'too long' if text else 'empty'}")
        return text


def _mode(descriptor: int) -> int:
    return stat.S_IMODE(os.fstat(descriptor).st_mode)
