"""Work inside another network namespace, without a fork.

A namespace belongs to a thread, so one long-lived thread enters it, does a job and comes home. A socket
opened by the job keeps the namespace for good; `/proc/sys/net` follows the thread. (Python 3.11 has no
`os.setns`, and a process forked for each job costs 10 ms.)
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

from agents.kernel.netlink import KernelError

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
NS_GET_NSTYPE = 0xB703
"""ioctl_ns(2): which kind of namespace a file stands for."""

_OWN = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


class NetnsGone(KernelError):
    """The path is missing, or not an endpoint's network namespace (any more)."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(errno.ENOENT, f"network namespace {path} {why}")


class Netns:
    """An open network namespace: it lives at least as long as this object is open, whatever its path does.

    Raises:
        NetnsGone: the path is missing, or stands for something else.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            # A path comes from a request: were it a FIFO, a blocking open would never return.
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as fault:
            raise NetnsGone(path, f"cannot be opened: {fault.strerror}") from fault
        try:
            kind = fcntl.ioctl(self._fd, NS_GET_NSTYPE)
        except OSError:
            kind = 0
        if kind != CLONE_NEWNET:
            self.close()
            raise NetnsGone(path, "is not a network namespace")

    def fileno(self) -> int:
        """The open file."""
        return self._fd

    @property
    def inode(self) -> str:
        """Which namespace it is, whatever the path. The kernel may give the number to another one later."""
        return str(os.fstat(self._fd).st_ino)

    def close(self) -> None:
        """Let go of the namespace. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Netns:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def own_netns() -> Netns:
    """The namespace of the calling thread."""
    return Netns(_OWN)


def inode(path: str) -> str:
    """Which namespace a path stands for. Raises `NetnsGone`."""
    with Netns(path) as netns:
        return netns.inode


def is_still(path: str, number: str) -> bool:
    """Whether a path stands for the namespace that `inode` answered for it. Cheap: nothing is opened."""
    try:
        return str(os.stat(path).st_ino) == number  # noqa: PTH116 - a Path costs more than the call
    except OSError:
        return False


@contextmanager
def entered(netns: Netns) -> Iterator[None]:
    """Be in `netns` with the calling thread, then home again. Threads started meanwhile stay there."""
    with own_netns() as home:
        _setns(netns)
        try:
            yield
        finally:
            _setns(home)


class NetnsWorker:
    """The thread that enters namespaces: one job at a time, from any thread.

    Its home is the namespace of the thread that makes it.
    """

    def __init__(self) -> None:
        home = own_netns()
        self._thread = ThreadPoolExecutor(1, "netns", lambda: _settle(home))

    def run(self, netns: Netns | str, job: Callable[[], T]) -> T:
        """Run `job` inside a namespace and give back what it returns or raises. Blocking.

        Raises:
            NetnsGone: the path is missing, or no network namespace.
        """
        if isinstance(netns, Netns):
            return self._thread.submit(_inside, netns, job).result()
        with Netns(netns) as opened:
            return self._thread.submit(_inside, opened, job).result()

    def close(self) -> None:
        """End the thread after the job that is under way. Idempotent."""
        self._thread.shutdown()


def _settle(home: Netns) -> None:
    # The executor starts its thread at the first job, from whichever thread and namespace that job comes.
    with home:
        _setns(home)


def _inside(netns: Netns, job: Callable[[], T]) -> T:
    with entered(netns):
        return job()


def _setns(netns: Netns) -> None:
    if _libc.setns(netns.fileno(), CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        if code == errno.EINVAL:
            raise NetnsGone(netns.path, "is not a network namespace")
        raise KernelError(code, f"cannot enter {netns.path}: {os.strerror(code)}")
