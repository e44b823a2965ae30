"""Fixtures: a real etcd for the session, and both stores under one name.

Use with `pytest_plugins = ["tests.support.etcd"]` in a test module. Tests share the server, so each
works below the `prefix` it is given.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.etcd import EtcdServer
from store.client import Store
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from store.memory import MemoryStore

BOTH = [
    pytest.param("memory", id="memory"),
    pytest.param("etcd", id="etcd", marks=pytest.mark.needs("etcd", "etcdctl")),
]

_numbers = itertools.count()


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """One etcd on loopback. Do not stop it: others use it."""
    with EtcdServer(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EtcdServer]:
    """An etcd that the test may stop."""
    with EtcdServer(tmp_path / "etcd") as server:
        yield server


@pytest.fixture(params=BOTH)
def new_store(request: pytest.FixtureRequest) -> Iterator[Callable[[], Store]]:
    """Opens stores on the same data, each closed at the end; in memory there can be only one."""
    opened: list[Store] = []

    def open_store() -> Store:
        if request.param == "memory":
            opened[:] = opened or [MemoryStore()]
        else:
            server: EtcdServer = request.getfixturevalue("etcd")
            opened.append(EtcdStore(EtcdConfig(server.endpoints)))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    """An open store: the test runs once for each implementation."""
    return new_store()


@pytest.fixture
def prefix() -> str:
    """What the keys of one test begin with: nobody else's do."""
    return f"/test/{next(_numbers)}/"
