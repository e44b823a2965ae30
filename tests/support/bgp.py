"""Fixtures: a ToR and a node on one cable. Use with `pytest_plugins = ["tests.support.bgp"]`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.lab import Lab
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
