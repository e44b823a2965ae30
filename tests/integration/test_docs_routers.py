"""The router configuration in docs/routers.md is one that FRR takes, line by line."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lab import tools
from lab.teardown import FRR_CRASH_LOGS

PAGE = Path(__file__).parents[2] / "docs" / "routers.md"


def configuration() -> str:
    (found,) = re.findall(r"```frr\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


def check(path: Path, text: str) -> str:
    """What bgpd says of a configuration; nothing when it takes it all. Its status is 0 either way."""
    path.write_text(text)
    argv = [tools.find("bgpd"), "--dryrun", "-f", str(path), "-S", "--vty_socket", str(path.parent)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as bgpd:
        said, _ = bgpd.communicate(timeout=20)
    # A dry run leaves the directory that is meant for its crash logs.
    shutil.rmtree(FRR_CRASH_LOGS / f"bgpd.{bgpd.pid}", ignore_errors=True)
    return said


@pytest.mark.needs("root", "bgpd")
def test_frr_takes_it(tmp_path: Path) -> None:
    assert check(tmp_path / "bgpd.conf", configuration()) == ""
    other = configuration().replace("remote-as external", "remote-as other")
    assert "No such command" in check(tmp_path / "bgpd.conf", other)
