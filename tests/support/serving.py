"""Fixtures: controllers as real processes over the session's etcd.

Use with `pytest_plugins = ["tests.support.etcd", "tests.support.serving"]` in a test module.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.controller import Controller
from lab.etcd import EtcdServer
from lab.wait import wait_until
from store import keys
from store.client import DeletePrefix
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from tests.support.controllers import SOON_S, Start
from tests.support.ipam import check


@pytest.fixture
def truth(etcd: EtcdServer) -> Iterator[EtcdStore]:
    """Direct access to an etcd that holds nothing of Polder; what it holds in the end obeys the rules."""
    opened = EtcdStore(EtcdConfig(etcd.endpoints))
    opened.txn([], [DeletePrefix(keys.ROOT)])
    yield opened
    check(opened)
    opened.close()


@pytest.fixture
def start(truth: EtcdStore, etcd: EtcdServer, tmp_path: Path) -> Iterator[Start]:
    """Starts controllers on that etcd and waits until they are ready; all are ended with the test."""
    started: list[Controller] = []

    def run(*options: str, **more: Any) -> Controller:
        log = tmp_path / f"controller-{len(started)}.log"
        api = Controller(log, "--etcd", etcd.url, *options, **more).__enter__()
        started.append(api)
        wait_until(api.ready, SOON_S, "the controller to be ready")
        return api

    yield run
    for each in started:
        each.__exit__()
