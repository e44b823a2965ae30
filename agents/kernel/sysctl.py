"""Kernel parameters, read before they are written: what is right is not written again.

A file is opened once for both: with hundreds of namespaces the kernel looks long for each path.

`/proc/sys/net` shows the network namespace of the thread that opens a file.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from agents.kernel.netlink import KernelError

_ROOT = Path("/proc/sys")
_BYTES = 256
"""More than a parameter that is given a value here has."""
_NOT_WRITABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def has_ipv6() -> bool:
    """Whether this kernel speaks IPv6 at all."""
    return Path("/proc/net/if_inet6").exists()


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
    path, wanted = f"{_ROOT}/{name}", value.encode()
    try:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as fault:
            if fault.errno not in _NOT_WRITABLE:
                raise
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # what is right need not be written
        try:
            if os.pread(fd, _BYTES, 0).strip() == wanted:
                return False
            os.pwrite(fd, wanted, 0)
        finally:
            os.close(fd)
    except OSError as fault:
        raise KernelError(fault.errno or errno.EIO, f"sysctl {name}={value}: {fault.strerror}") from fault
    return True
