"""Runs `polder` in this process, as its console script does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
def polder(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Polder:
    """Run `polder` with these arguments, in an environment without POLDER_*."""
    monkeypatch.delenv("POLDER_SERVER", raising=False)
    monkeypatch.delenv("POLDER_TOKEN", raising=False)

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0 if code is None else -1, out, err)

    return run
