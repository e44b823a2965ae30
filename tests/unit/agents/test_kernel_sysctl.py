"""Kernel parameters: what is right is not written, also where nothing can be."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agents.kernel import sysctl
from agents.kernel.netlink import KernelError


@pytest.fixture
def parameter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A parameter `one` that is 1."""
    monkeypatch.setattr(sysctl, "_ROOT", tmp_path)
    path = tmp_path / "one"
    path.write_text("1\n")
    return path


def test_a_value_is_written_when_it_is_another(parameter: Path) -> None:
    assert not sysctl.ensure("one", "1")
    assert parameter.read_text() == "1\n"
    assert sysctl.ensure("one", "0")
    assert parameter.read_text() == "0\n"


def test_what_is_right_need_not_be_writable(parameter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def read_only(path: str, flags: int) -> int:
        if flags & os.O_RDWR:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opened(path, flags)

    monkeypatch.setattr(os, "open", read_only)
    assert not sysctl.ensure("one", "1")
    with pytest.raises(KernelError):
        sysctl.ensure("one", "0")
    with pytest.raises(KernelError, match="two"):
        sysctl.ensure("two", "0")
