"""Fixtures: a ToR and a node on one cable. Use with `pytest_plugins = ["tests.support.bgp"]`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.lab import Lab
from tests.support.cable import CABLE, Cable


@pytest.fixture(scope="module")
def cabled() -> Iterator[Lab]:
    """The two hosts, made once for a module."""
    with Lab(f"bgpt{os.getpid()}", with_polder=False, topology=CABLE) as lab:
        yield lab


@pytest.fixture
def cable(cabled: Lab, tmp_path: Path) -> Iterator[Cable]:
    """The two hosts without any session; what the test starts is ended after it."""
    made = Cable(cabled, tmp_path)
    try:
        yield made
    finally:
        made.retire()
