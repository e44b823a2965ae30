"""Working inside another namespace, and coming home."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents.kernel.netns import Netns, NetnsGone, NetnsWorker, entered, inode, own_netns
from tests.contract.kernel.conftest import Place

pytestmark = pytest.mark.needs("root", "ip", "nsenter")


@pytest.fixture
def worker(host: Place) -> Iterator[NetnsWorker]:
    made = NetnsWorker()
    yield made
    made.close()


def where() -> str:
    with own_netns() as netns:
        return netns.inode


def test_a_job_runs_inside_and_the_caller_stays(worker: NetnsWorker, host: Place, endpoint: Place) -> None:
    assert worker.run(endpoint.path, where) == inode(endpoint.path)
    assert worker.run(host.path, where) == inode(host.path)
    assert where() == inode(host.path)


def test_a_job_that_fails_leaves_the_thread_at_home(
    worker: NetnsWorker, host: Place, endpoint: Place
) -> None:
    with pytest.raises(ZeroDivisionError):
        worker.run(endpoint.path, lambda: 1 // 0)
    assert worker.run(host.path, where) == inode(host.path)


def test_many_callers_one_job_at_a_time(worker: NetnsWorker, host: Place, endpoint: Place) -> None:
    places = [host.path, endpoint.path] * 20
    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(lambda path: worker.run(path, where), places))
    assert found == [inode(path) for path in places]


def test_an_open_namespace_outlives_its_path(worker: NetnsWorker, host: Place, endpoint: Place) -> None:
    with Netns(endpoint.path) as netns:
        host.run(f"ip netns del {endpoint.name}")
        assert worker.run(netns, where) == netns.inode
    with pytest.raises(NetnsGone, match=endpoint.name):
        worker.run(endpoint.path, where)


def test_a_path_below_proc_is_a_namespace_too(host: Place, endpoint: Place) -> None:
    with Netns(endpoint.path) as netns, entered(netns):
        assert inode(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net") == netns.inode
