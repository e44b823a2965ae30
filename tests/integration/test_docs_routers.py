"""The router configuration in docs/routers.md is one that FRR takes, line by line."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from lab import tools

PAGE = Path(__file__).parents[2] / "docs" / "routers.md"


def configuration() -> str:
    (found,) = re.findall(r"```frr\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


def check(path: Path, text: str) -> subprocess.CompletedProcess[str]:
    path.write_text(text)
    argv = [tools.find("bgpd"), "--dryrun", "-f", str(path), "-S", "--vty_socket", str(path.parent)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)


@pytest.mark.needs("root", "bgpd")
def test_frr_takes_it(tmp_path: Path) -> None:
    taken = check(tmp_path / "bgpd.conf", configuration())
    assert (taken.returncode, taken.stdout + taken.stderr) == (0, "")
    other = check(tmp_path / "bgpd.conf", configuration().replace("remote-as external", "remote-as other"))
    assert "No such command" in other.stdout + other.stderr
