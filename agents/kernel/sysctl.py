"""Kernel parameters, read before they are written: what is right is not written again.

`/proc/sys/net` shows the network namespace of the thread that opens a file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from agents.kernel.netlink import KernelError

T = TypeVar("T")

_ROOT = Path("/proc/sys")
_BYTES = 256
"""More than a parameter that is given a value here has."""


def has_ipv6() -> bool:
    """Whether this kernel speaks IPv6 at all."""
    return (_ROOT / "net/ipv6/conf/all").exists()


def read(name: str) -> str:
    """The value of a parameter. Raises `KernelError`."""
    try:
        return (_ROOT / name).read_text().strip()
    except OSError as fault:
        raise KernelError(fault.errno or errno.EIO, f"sysctl {name}: {fault.strerror}") from fault


def ensure(name: str, value: str) -> bool:
    """Give a parameter a value; returns whether it had another one before.

    Args:
        name: with slashes, since an interface name may hold dots: `net/ipv4/conf/eth0/rp_filter`.
        value: as the kernel writes it.

    Raises:
        KernelError: the parameter is missing or cannot be written.
    """
    path = f"{_ROOT}/{name}"
    try:
        if _with(path, os.O_RDONLY, lambda fd: os.read(fd, _BYTES)).strip() == value.encode():
            return False
        _with(path, os.O_WRONLY, lambda fd: os.write(fd, value.encode()))
    except OSError as fault:
        raise KernelError(fault.errno or errno.EIO, f"sysctl {name}={value}: {fault.strerror}") from fault
    return True


def _with(path: str, flags: int, job: Callable[[int], T]) -> T:
    # A file object costs more than the kernel's part, and each attach asks for five parameters.
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        return job(fd)
    finally:
        os.close(fd)
