"""Runs `polder` in this process, as its console script does."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.main import main


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


Polder = Callable[..., Ran]


@pytest.fixture
def polder(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Polder:
    """Run `polder` with these arguments, in an environment without POLDER_* and without a config file."""
    for name in [name for name in os.environ if name.startswith("POLDER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("POLDER_CONFIG", str(tmp_path / "config.yaml"))

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0 if code is None else -1, out, err)

    return run
