"""Which paths stand for a network namespace; a look needs no rights."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.kernel import own
from agents.kernel.netns import Netns, NetnsGone, inode, own_netns


def test_the_same_namespace_by_two_paths() -> None:
    with own_netns() as mine:
        assert inode(f"/proc/{os.getpid()}/ns/net") == mine.inode


@pytest.mark.parametrize("kind", ["missing", "file", "directory", "fifo", "another kind of namespace"])
def test_what_is_no_network_namespace(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    match kind:
        case "file":
            path.touch()
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "another kind of namespace":
            path = Path("/proc/self/ns/uts")
    with pytest.raises(NetnsGone, match=str(path)):
        inode(str(path))


def test_close_is_idempotent() -> None:
    netns = own_netns()
    number = netns.fileno()
    netns.close()
    netns.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_an_inode_is_asked_of_an_open_namespace() -> None:
    with Netns("/proc/self/ns/net") as netns:
        assert netns.inode.isdigit()
        assert os.fstat(netns.fileno()).st_ino == int(netns.inode)


def test_own_changes_are_remembered_as_long_as_they_last() -> None:
    own.opened(4_000_000_001)
    assert own.is_own(4_000_000_001)
    own.closed(4_000_000_001)
    own.closed(4_000_000_001)
    assert not own.is_own(4_000_000_001)
    own.leaving(1_000_000_001)
    assert own.is_leaving(1_000_000_001)
    own.left(1_000_000_001)
    assert not own.is_leaving(1_000_000_001)
