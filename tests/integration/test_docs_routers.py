"""The router configuration in docs/routers.md is what `polder tor config` prints, and FRR takes all of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bgp.tor import frr
from intent.routers import router, spoken
from lab import tools
from lab.teardown import FRR_CRASH_LOGS
from store.model import Node, Peer, Pool

PAGE = Path(__file__).parents[2] / "docs" / "routers.md"
SAID = "Graceful restart configuration changed, reset this peer to take effect"
"""By FRR of a neighbour that is not up yet."""


def configuration(fence: str = "frr") -> str:
    (found,) = re.findall(rf"```{fence}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


def check(path: Path, text: str, *options: str) -> list[str]:
    """What bgpd says of a configuration; nothing when it takes it all. Its status is 0 either way."""
    path.write_text(text)
    argv = [tools.find("bgpd"), "--dryrun", "-f", str(path), "-S", "--vty_socket", str(path.parent)]
    argv += options
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as bgpd:
        said, _ = bgpd.communicate(timeout=20)
    # A dry run leaves the directory that is meant for its crash logs.
    shutil.rmtree(FRR_CRASH_LOGS / f"bgpd.{bgpd.pid}", ignore_errors=True)
    return [line for line in said.splitlines() if line != SAID]


def test_it_is_what_is_printed() -> None:
    nodes = [Node.model_validate({"name": f"node-{n}", "asn": 64510 + n}) for n in (1, 2)]
    peers = [
        Peer.model_validate(
            {
                "name": f"node-{n}-tor-a",
                "node": f"node-{n}",
                "address": f"10.1.{n}.0",
                "local_address": f"10.1.{n}.1",
                "asn": 64501,
            }
        )
        for n in (1, 2)
    ]
    pool = Pool.model_validate({"name": "default", "cidr": "10.64.0.0/16"})
    printed = frr.render(router(spoken(peers, nodes, peers, {}), peers, [pool]))
    assert configuration() == printed, f"{PAGE.name} has to have:\n{printed}"


@pytest.mark.needs("root", "bgpd")
def test_frr_takes_it(tmp_path: Path) -> None:
    assert check(tmp_path / "bgpd.conf", configuration()) == []
    other = configuration().replace("maximum-prefix 12500", "maximum-prefix many")
    assert any("No such command" in line for line in check(tmp_path / "bgpd.conf", other))


@pytest.mark.needs("root", "bgpd")
def test_frr_takes_what_makes_it_tell_by_bmp(tmp_path: Path) -> None:
    text = configuration("frr-bmp")
    assert check(tmp_path / "bgpd.conf", text, "-M", "bmp") == []
    assert any("No such command" in line for line in check(tmp_path / "bgpd.conf", text))
