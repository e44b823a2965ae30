"""The store on stacks of an event loop: the same answers and faults as in a thread, and nobody else waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from controller import waiting
from lab.etcd import EtcdServer, free_ports
from store.client import Absent, Put
from store.errors import Compacted, Invalid, LeaseExpired, StoreError, Unavailable
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig

if TYPE_CHECKING:
    from tests.support.stacks import Begin

pytest_plugins = ["tests.support.etcd", "tests.support.stacks"]
pytestmark = pytest.mark.needs("etcd", "etcdctl")

SOON_S = 20

OpenStore = Callable[..., EtcdStore]


@pytest.fixture
def open_store() -> Iterator[OpenStore]:
    """Opens stores that wait as the controller's does, closed at the end."""
    opened: list[EtcdStore] = []

    def make(*endpoints: str) -> EtcdStore:
        opened.append(EtcdStore(EtcdConfig(endpoints), call=waiting.rpc, pause=waiting.pause))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except StoreError as fault:
        return type(fault), str(fault)


def test_answers_and_faults_are_those_of_a_thread(
    server: EtcdServer, open_store: OpenStore, begin: Begin
) -> None:
    store = open_store(*server.endpoints)
    first = store.txn([], [Put(f"k/{number}", b"1") for number in range(100)])
    last = store.txn([], [Put("k/0", b"2")])
    store.compact(last.revision)
    calls: list[Callable[[], Any]] = [
        lambda: store.get("k/0"),
        lambda: store.get("none"),
        lambda: store.range("k/", limit=7, after="k/1"),
        # more than are asked for at a time
        lambda: store.get_many([f"k/{number}" for number in range(1200)]),
        lambda: store.count(["k/1", "k/2", "none"]),
        lambda: store.txn([Absent("k/0")], [Put("k/0", b"3")]),
        lambda: store.range("k/", revision=first.revision),
        lambda: store.txn([], [Put("l", b"1", lease_id=99)]),
        lambda: store.keep_alive(99),
        lambda: store.txn([], [Put("l", b"1"), Put("l", b"2")]),
        store.cluster_id,
    ]
    here = [outcome(call) for call in calls]
    there = [begin(lambda call=call: outcome(call)).result(SOON_S) for call in calls]
    assert there == here
    faults = {each[0] for each in here if isinstance(each, tuple) and isinstance(each[0], type)}
    assert faults == {Compacted, LeaseExpired, Invalid}


def test_while_etcd_hangs_only_who_asked_it_waits(
    server: EtcdServer, open_store: OpenStore, begin: Begin
) -> None:
    store = open_store(*server.endpoints)
    store.txn([], [Put("k", b"1")])
    server.pause()
    try:
        asking = begin(lambda: store.txn([], [Put("k", b"2")]))
        others = [begin(lambda: 1) for _ in range(3)]
        assert [each.result(SOON_S) for each in others] == [1, 1, 1]
        assert not asking.done()
    finally:
        server.resume()
    assert asking.result(SOON_S).succeeded


def test_a_member_that_is_not_there_is_passed_over(
    server: EtcdServer, open_store: OpenStore, begin: Begin
) -> None:
    dead = f"http://127.0.0.1:{free_ports(1)[0]}"
    store = open_store(dead, *server.endpoints)
    assert begin(lambda: store.txn([], [Put("k", b"1")])).result(SOON_S).succeeded
    assert begin(lambda: store.get("k")).result(SOON_S).value == b"1"


def test_a_store_that_is_closed_says_so(server: EtcdServer, open_store: OpenStore, begin: Begin) -> None:
    store = open_store(*server.endpoints)
    store.get("k")
    server.pause()
    asking = begin(lambda: store.get("k"))
    begin(lambda: 1).result(SOON_S)
    store.close()
    server.resume()
    with pytest.raises(Unavailable):
        asking.result(SOON_S)
    with pytest.raises(Unavailable):
        begin(lambda: store.get("k")).result(SOON_S)
