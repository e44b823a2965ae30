"""Fixtures: a ToR and a node on one cable. Use with `pytest_plugins = ["tests.support.bgp"]`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.recording import Recording
from tests.support.cable import Cable, one_cable


@pytest.fixture(scope="module")
def cabled(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The hosts, made once for a module: as `BOTH_ROUTERS` or `THREE_CABLES` says, else the ToR is FRR."""
    topology = getattr(request, "param", one_cable())
    with Lab(f"bgpt{os.getpid()}", with_polder=False, topology=topology) as lab:
        yield lab


@pytest.fixture
def cable(cabled: Lab, tmp_path: Path) -> Iterator[Cable]:
    """The two hosts without any session; what the test starts is ended after it."""
    made = Cable(cabled, tmp_path)
    try:
        yield made
    finally:
        made.retire()


@pytest.fixture
def speak(cable: Cable) -> Iterator[Callable[..., Recording]]:
    """Starts `tests/support/speak.py` on the node, with prefixes; ends it, not its ExaBGP."""
    started: list[Recording] = []

    def start(*prefixes: str) -> Recording:
        root = Path(__file__).parents[2]
        program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from tests.support import speak;"
        started.append(
            cable.node.record(
                sys.executable,
                *("-c", f"{program} speak.main(*sys.argv[1:])", str(root), str(cable.base / "tor")),
                *prefixes,
            )
        )
        return started[-1]

    yield start
    for recording in started:
        recording.stop()
    cable.keep("tor")
