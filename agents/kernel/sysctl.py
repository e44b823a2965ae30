"""Kernel parameters, read before they are written: what is right is not written again.

`/proc/sys/net` shows the network namespace of the thread that opens a file.
"""

from __future__ import annotations

import errno
from pathlib import Path

from agents.kernel.netlink import KernelError

_ROOT = Path("/proc/sys")


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
    path = _ROOT / name
    try:
        if path.read_text().strip() == value:
            return False
        path.write_text(value)
    except OSError as fault:
        raise KernelError(fault.errno or errno.EIO, f"sysctl {name}={value}: {fault.strerror}") from fault
    return True
