"""Duties that move when more than their holder is gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from controller.election import TTL_S, Election
from lab.etcd import EtcdCluster
from lab.wait import wait_until
from store import keys
from store.client import Put
from store.etcd import EtcdStore, EtcdWatch
from store.etcd_config import EtcdConfig

pytestmark = pytest.mark.needs("etcd", "etcdctl")

HEARD_S = 10.0
MOVED_S = 7.0
"""A duty moves within 5 s; the rest is for a busy machine."""


class Working:
    """A duty that does nothing but say that it was taken up."""

    def __init__(self, begun: threading.Event) -> None:
        self._begun = begun
        self._ended = threading.Event()

    def run(self) -> None:
        self._begun.set()
        self._ended.wait()

    def stop(self) -> None:
        self._ended.set()


class Listening(EtcdStore):
    """Says when it is first listened to."""

    def __init__(self, config: EtcdConfig) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    def watch(self, prefixes: Sequence[str], *, start_revision: int, **more: Any) -> EtcdWatch:
        opened = super().watch(prefixes, start_revision=start_revision, **more)
        self.listens.set()
        return opened


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EtcdCluster]:
    with EtcdCluster.on_loopback(tmp_path / "etcd") as cluster:
        yield cluster


def test_a_duty_moves_though_the_member_hangs_that_the_standby_listens_to(cluster: EtcdCluster) -> None:
    leader = cluster.leader()
    assert leader is not None
    hung, other = (member for member in cluster if member is not leader)
    holders = EtcdStore(EtcdConfig((other.url,)))
    standbys = Listening(EtcdConfig((hung.url, leader.url, other.url)))
    begun = threading.Event()
    election = Election(standbys, "standby", {"tidy": lambda: Working(begun)})
    try:
        lease_id = holders.grant(TTL_S)
        holders.txn([], [Put(keys.leader("tidy"), b"holder", lease_id)])
        election.start()
        wait_until(
            lambda: holders.keep_alive(lease_id) and standbys.listens.is_set(),
            HEARD_S,
            "the standby to listen",
        )
        hung.pause()  # with the holder, who renews its lease no more
        assert begun.wait(MOVED_S)
    finally:
        hung.resume()
        election.stop()
        standbys.close()
        holders.close()
