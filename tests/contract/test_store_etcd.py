"""What only the real thing has: servers that restart, die or hang, several of them, and certificates."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.etcd import EtcdServer, EtcdTls, free_ports
from lab.etcd_cluster import EtcdCluster
from pki.directory import Directory
from store.client import Absent, Change, Put
from store.errors import Invalid, StoreError, Unavailable
from store.etcd import EtcdStore, EtcdWatch
from store.etcd_config import CHANNEL_OPTIONS, EtcdConfig
from store.feed import Feed, InSync, Item
from store.feed import Put as Told

pytest_plugins = ["tests.support.etcd"]
pytestmark = pytest.mark.needs("etcd", "etcdctl")

RECONNECT_S = 3.0
HANG_NOTICED_S = 15.0
OpenStore = Callable[..., EtcdStore]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EtcdCluster]:
    """Three members that the test may stop."""
    with EtcdCluster.on_loopback(tmp_path / "etcd") as cluster:
        yield cluster


@pytest.fixture
def open_store() -> Iterator[OpenStore]:
    """Opens stores that are closed at the end."""
    opened: list[EtcdStore] = []

    def make(*endpoints: str, deadline_s: float = 5.0, **tls: Path) -> EtcdStore:
        opened.append(EtcdStore(EtcdConfig(endpoints, deadline_s=deadline_s, **tls)))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def follow() -> Iterator[Callable[[Feed], list[Item]]]:
    """Iterates feeds in threads; returns the list that each one's items go to."""
    followed: list[tuple[Feed, threading.Thread]] = []

    def start(feed: Feed) -> list[Item]:
        items: list[Item] = []
        followed.append((feed, threading.Thread(target=lambda: items.extend(_into(items, feed)))))
        followed[-1][1].start()
        return items

    yield start
    for feed, thread in followed:
        feed.close()
        thread.join(10)
        assert not thread.is_alive()


def _into(items: list[Item], feed: Feed) -> list[Item]:
    for item in feed:
        items.append(item)
    return []


def took_until(true: Callable[[], object], deadline_s: float) -> float:
    """Seconds until it is true; while it raises Unavailable it is not. Fails after the deadline."""
    start = time.monotonic()
    while True:
        try:
            if true():
                return time.monotonic() - start
        except Unavailable:
            pass
        if time.monotonic() - start > deadline_s:
            pytest.fail(f"not true within {deadline_s} s")
        threading.Event().wait(0.01)


def lost(watch: EtcdWatch) -> bool:
    """Whether the watch breaks at last. Blocking."""
    try:
        return not list(watch)
    except Unavailable:
        return True


def put(store: EtcdStore, *names: str) -> int:
    return store.txn([], [Put(name, b"v") for name in names]).revision


def refused(store: EtcdStore) -> bool:
    """Whether a write is refused with the certainty that it was not applied."""
    try:
        put(store, "/refused")
    except Unavailable as fault:
        return not fault.outcome_unknown
    return False


def told(items: list[Item]) -> list[str]:
    return [item.key for item in items if isinstance(item, Told)]


def test_requests_go_on_after_a_restart(server: EtcdServer, open_store: OpenStore) -> None:
    store = open_store(server.url)
    put(store, "/a")
    server.kill()
    took_until(lambda: refused(store), RECONNECT_S)
    with pytest.raises(Unavailable, match="--etcd") as caught:
        store.get("/a")
    assert server.url in str(caught.value)
    server.start()
    assert took_until(lambda: store.get("/a"), RECONNECT_S) < RECONNECT_S
    assert store.get("/refused") is None


@pytest.mark.parametrize("stop", ["stop", "kill"])
def test_a_watch_breaks_with_its_server(server: EtcdServer, open_store: OpenStore, stop: str) -> None:
    store = open_store(server.url)
    watch = store.watch(["/"], start_revision=put(store, "/a"))
    seen: list[tuple[Change, ...]] = [next(iter(watch))]
    getattr(server, stop)()
    with pytest.raises(Unavailable):
        seen.extend(watch)
    assert len(seen) == 1
    assert list(watch) == []


def test_a_feed_goes_on_after_a_restart_and_tells_nothing_twice(
    server: EtcdServer, open_store: OpenStore, follow: Callable[[Feed], list[Item]]
) -> None:
    store = open_store(server.url)
    put(store, "/f/1")
    feed = Feed(store, ["/f/"])
    items = follow(feed)
    took_until(lambda: len(items) == 2, 5)
    put(store, "/f/2")
    took_until(lambda: len(items) == 3, 5)
    server.stop()
    took_until(lambda: not feed.connected, 5)
    server.start()
    writer = open_store(server.url)
    put(writer, "/f/3")
    took_until(lambda: len(items) == 4, RECONNECT_S)
    assert feed.connected
    assert told(items) == ["/f/1", "/f/2", "/f/3"]
    assert [isinstance(item, InSync) for item in items] == [False, True, False, False]


def test_a_dead_endpoint_is_passed_over(server: EtcdServer, open_store: OpenStore) -> None:
    dead = f"http://127.0.0.1:{free_ports(1)[0]}"
    assert open_store(dead, server.url).get("/a") is None
    store = open_store(dead, server.url)
    assert store.txn([Absent("/a")], [Put("/a", b"")]).succeeded
    watch = store.watch(["/"], start_revision=1)
    assert next(iter(watch))
    watch.close()


def test_the_death_of_a_member_is_passed_over(
    cluster: EtcdCluster, open_store: OpenStore, follow: Callable[[Feed], list[Item]]
) -> None:
    store = open_store(*cluster.endpoints)
    put(store, "/f/1")
    items = follow(Feed(store, ["/f/"]))
    took_until(lambda: len(items) == 2, 5)
    cluster.members[0].kill()
    assert took_until(lambda: store.get("/f/1"), RECONNECT_S) < RECONNECT_S
    took_until(lambda: put(store, "/f/2"), RECONNECT_S)
    took_until(lambda: "/f/2" in told(items), RECONNECT_S)


def test_a_member_that_hangs_is_passed_over(
    cluster: EtcdCluster, open_store: OpenStore, follow: Callable[[Feed], list[Item]]
) -> None:
    store = open_store(*cluster.endpoints, deadline_s=3.0)
    put(store, "/f/1")
    items = follow(Feed(store, ["/f/"]))
    took_until(lambda: len(items) == 2, 5)
    cluster.members[0].pause()
    start = time.monotonic()
    assert store.get("/f/1")
    assert time.monotonic() - start < 3.5
    took_until(lambda: put(store, "/f/2"), 5)
    took_until(lambda: "/f/2" in told(items), RECONNECT_S)  # the watch left it too
    assert told(items) == ["/f/1", "/f/2"]


def test_a_member_that_hangs_is_noticed_where_nothing_happens_for_long(
    server: EtcdServer, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pings go on, though nothing is sent: here twice as often, and no more often than etcd bears."""
    quick = {"grpc.keepalive_time_ms": 5_500, "grpc.keepalive_timeout_ms": 1_000}
    monkeypatch.setattr("store.etcd.CHANNEL_OPTIONS", tuple((dict(CHANNEL_OPTIONS) | quick).items()))
    store = open_store(server.url)
    watch = store.watch(["/f/"], start_revision=put(store, "/f/1"))
    assert next(iter(watch))
    ended = threading.Event()
    threading.Thread(target=lambda: lost(watch) and ended.set(), daemon=True).start()
    assert not ended.wait(2.2 * 5.5), "it lasts"
    server.pause()
    assert ended.wait(5.5 + 1 + RECONNECT_S)
    server.resume()


def test_a_write_that_was_under_way_when_the_leader_hung_is_given_up_soon(
    cluster: EtcdCluster, open_store: OpenStore
) -> None:
    """Its member goes on and never answers it: whoever waits must not wait for all of the deadline."""
    leader = cluster.leader()
    assert leader is not None
    others = [member.url for member in cluster if member is not leader]
    store = open_store(*others, leader.url, deadline_s=9.0)
    put(store, "/a")
    leader.pause()
    start = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        put(store, "/b")
    assert caught.value.outcome_unknown
    assert time.monotonic() - start < 5.0
    took_until(lambda: put(store, "/c"), HANG_NOTICED_S)
    leader.resume()


def test_a_member_without_its_cluster_refuses_writes_at_once(
    cluster: EtcdCluster, open_store: OpenStore
) -> None:
    store = open_store(cluster.members[0].url, deadline_s=1.0)
    put(store, "/a")
    for member in cluster.members[1:]:
        member.kill()
    took_until(lambda: refused(store), 10)
    with pytest.raises(Unavailable):
        store.get("/a")


def test_a_hung_server_is_unavailable_within_the_deadline(server: EtcdServer, open_store: OpenStore) -> None:
    store = open_store(server.url, deadline_s=0.5)
    put(store, "/a")
    server.pause()
    requests: list[tuple[Callable[[], object], bool]] = [
        (lambda: store.get("/a"), False),
        (lambda: store.range("/"), False),
        (lambda: put(store, "/b"), True),
        (lambda: store.keep_alive(1), False),
    ]
    for request, unknown in requests:
        start = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            request()
        assert caught.value.outcome_unknown is unknown
        assert time.monotonic() - start < 1.0
    server.resume()
    assert took_until(lambda: store.get("/a"), RECONNECT_S) < RECONNECT_S


def test_closing_the_store_ends_a_request_in_flight(server: EtcdServer, open_store: OpenStore) -> None:
    store = open_store(server.url, deadline_s=20.0)
    put(store, "/a")
    server.pause()
    faults: list[StoreError] = []

    def ask() -> None:
        try:
            store.get("/a")
        except StoreError as fault:
            faults.append(fault)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(0.1)
    store.close()
    thread.join(2)
    server.resume()
    assert not thread.is_alive()
    assert [type(fault) for fault in faults] == [Unavailable]


def test_a_value_too_large_for_etcd_is_invalid(server: EtcdServer, open_store: OpenStore) -> None:
    store = open_store(server.url)
    for size in (1_600_000, 8_000_000):
        with pytest.raises(Invalid):
            store.txn([], [Put("/a", b"x" * size)])
    assert store.get("/a") is None


def test_a_range_larger_than_grpc_allows_by_default(server: EtcdServer, open_store: OpenStore) -> None:
    store = open_store(server.url)
    for number in range(6):
        store.txn([], [Put(f"/{number}", b"x" * 1_000_000)])
    assert len(store.range("/").items) == 6
    watch = store.watch(["/"], start_revision=1)
    assert len(next(iter(watch))) == 6
    watch.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    return Directory.create(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def tls_server(authority: Directory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """An etcd that demands client certificates of `authority`."""
    pair, client = authority.issue("server", ["127.0.0.1"]), authority.issue("health")
    tls = EtcdTls(authority.ca, pair.cert, pair.key, client.cert, client.key)
    with EtcdServer(tmp_path_factory.mktemp("etcd"), tls=tls) as server:
        yield server


def test_tls_with_a_client_certificate(
    authority: Directory, tls_server: EtcdServer, open_store: OpenStore
) -> None:
    pair = authority.issue("polder")
    store = open_store(tls_server.url, ca=authority.ca, cert=pair.cert, key=pair.key)
    watch = store.watch(["/"], start_revision=put(store, "/a"))
    assert next(iter(watch))
    watch.close()


def test_tls_refuses_those_it_does_not_know(
    authority: Directory, tls_server: EtcdServer, open_store: OpenStore, tmp_path: Path
) -> None:
    stranger = Directory.create(tmp_path / "stranger")
    theirs, ours = stranger.issue("polder"), authority.issue("polder")
    cases: list[tuple[str, dict[str, Path]]] = [
        ("give --etcd-cert", {"ca": authority.ca}),
        ("give --etcd-cert", {"ca": authority.ca, "cert": theirs.cert, "key": theirs.key}),
        ("--etcd-ca signed", {"ca": stranger.ca, "cert": ours.cert, "key": ours.key}),
    ]
    for cure, tls in cases:
        with pytest.raises(Unavailable, match=cure):
            open_store(tls_server.url, **tls).get("/a")


def test_private_keys_are_readable_by_their_owner_only(authority: Directory) -> None:
    assert authority.issue("polder").key.stat().st_mode & 0o777 == 0o600
