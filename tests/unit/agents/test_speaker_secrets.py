"""Secrets: files that only their owner can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.speaker.secrets import NoSecret, Secrets


def write(directory: Path, data: bytes, mode: int = 0o600) -> Secrets:
    path = directory / "tor-a"
    path.write_bytes(data)
    path.chmod(mode)
    return Secrets(directory)


@pytest.mark.parametrize("data", [b"hush", b"hush\n", b"hush\r\n"])
def test_the_end_of_the_line_is_no_part_of_it(tmp_path: Path, data: bytes) -> None:
    assert write(tmp_path, data).read("tor-a") == "hush"


@pytest.mark.parametrize(
    ("data", "mode", "says"),
    [
        (b"", 0o600, "is empty"),
        (b"\n", 0o600, "is empty"),
        (b"\xff\xfe", 0o600, "not UTF-8"),
        (b"x" * 5000, 0o600, "too long"),
        (b"hush", 0o640, "others can read .*chmod 600"),
        (b"hush", 0o604, "others can read"),
    ],
)
def test_what_cannot_be_used_names_the_file(tmp_path: Path, data: bytes, mode: int, says: str) -> None:
    with pytest.raises(NoSecret, match=says) as told:
        write(tmp_path, data, mode).read("tor-a")
    assert str(tmp_path / "tor-a") in str(told.value)
    assert "hush" not in str(told.value)


def test_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NoSecret, match=r"secret tor-b: .*No such file"):
        Secrets(tmp_path).read("tor-b")
