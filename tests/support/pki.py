"""Fixtures: an etcd that demands certificates, and stores that show one of them.

Use with `pytest_plugins = ["tests.support.pki"]` in a test module. Each module has an etcd of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lab.etcd import EtcdServer, EtcdTls
from pki.directory import CONTROLLER, ROOT, Directory, init, pair
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from store.etcd_users import EtcdUsers, secure

As = Callable[[str], EtcdStore]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    """What `polder pki init` makes."""
    path = tmp_path_factory.mktemp("polder") / "pki"
    init(path, [])
    return Directory.open(path)


@pytest.fixture(scope="module")
def open_etcd(pki: Directory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """An etcd that demands a certificate, and no rights."""
    own, root = pair(pki.path, "etcd"), pair(pki.path, ROOT)
    tls = EtcdTls(pki.ca, own.cert, own.key, root.cert, root.key)
    with EtcdServer(tmp_path_factory.mktemp("etcd"), tls=tls) as server:
        yield server


@pytest.fixture(scope="module")
def secured_etcd(pki: Directory, open_etcd: EtcdServer) -> EtcdServer:
    """The same after `polder etcd secure`."""
    store = open_as(pki, open_etcd, ROOT)
    secure(EtcdUsers(store), [CONTROLLER])
    store.close()
    return open_etcd


@pytest.fixture
def etcd_as(pki: Directory, open_etcd: EtcdServer) -> Iterator[As]:
    """Opens the etcd as the user of that name; the certificate is made when there is none."""
    opened: list[EtcdStore] = []

    def open_store(user: str) -> EtcdStore:
        if not pair(pki.path, user).cert.exists():
            pki.issue(user)
        opened.append(open_as(pki, open_etcd, user))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


def open_as(pki: Directory, etcd: EtcdServer, user: str) -> EtcdStore:
    """A store that shows the certificate of a user."""
    own = pair(pki.path, user)
    return EtcdStore(EtcdConfig(etcd.endpoints, ca=pki.ca, cert=own.cert, key=own.key))
