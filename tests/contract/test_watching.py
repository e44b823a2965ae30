"""Watches at real controllers over a real etcd: no thread each, all once, nothing lost on the way."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from controller.reading import put, scan
from lab.controller import Controller, exchange
from lab.etcd import EtcdServer
from lab.wait import wait_until
from pki.directory import Directory
from store import keys
from store.client import Delete, Put
from store.codec import encode
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from store.model import Attachment, Ready
from tests.support.controllers import SOON_S, Start, plant

pytest_plugins = ["tests.support.etcd", "tests.support.serving"]
pytestmark = pytest.mark.needs("etcd", "etcdctl")

WATCHERS = 200
FEW_THREADS = 20
"""Some begin with the first requests, and with the duties; a thread for each watcher would be 200."""


class Watcher:
    """One stream of server-sent events."""

    def __init__(self, api: Controller, path: str, last: str = "") -> None:
        self.connection = api.connect()
        self.connection.request("GET", path, headers={"Last-Event-ID": last} if last else {})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        self.last = last

    def next(self) -> tuple[str, Any]:
        """The next event: type and data."""
        fields: dict[str, str] = {}
        while "data" not in fields:
            line = self.answer.readline().decode()
            assert line, "the stream ended"
            name, _, text = line.rstrip("\n").partition(": ")
            if name:
                fields[name] = text
        self.last = fields.get("id", self.last)
        assert self.answer.readline() == b"\n"
        return fields["event"], json.loads(fields["data"])

    def ids(self, count: int) -> list[str]:
        return [self.next()[1]["id"] for _ in range(count)]

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test opened."""
    with ExitStack() as opened:
        yield opened


def threads(api: Controller) -> int:
    assert api.process is not None
    return len(list(Path(f"/proc/{api.process.pid}/task").iterdir()))


def make(api: Controller, names: list[str]) -> None:
    with closing(api.connect()) as connection:
        for name in names:
            assert exchange(connection, "POST", "/v1/endpoints", {"id": name, "node": "n0"})[0] == 201


def test_two_hundred_watchers_cost_no_thread_each_and_are_told_all_once_and_in_order(
    start: Start, stack: ExitStack
) -> None:
    api = start()
    plant(api)
    before = threads(api)
    watchers = [
        stack.enter_context(closing(Watcher(api, "/v1/endpoints?watch=sse"))) for _ in range(WATCHERS)
    ]
    assert {watcher.next()[0] for watcher in watchers} == {"sync"}
    names = [f"e{number:02}" for number in range(30)]
    make(api, names)
    assert all(watcher.ids(30) == names for watcher in watchers)
    assert threads(api) < before + FEW_THREADS
    assert api.send("GET", "/healthz")[0] == 200
    began = time.monotonic()
    assert api.end() == 0
    assert time.monotonic() - began < 6
    assert {watcher.next()[0] for watcher in watchers} == {"closing"}
    assert "Traceback" not in api.said()


@pytest.mark.parametrize("watch", ["watch", "w%61tch"])
def test_polls_cost_no_thread_either(start: Start, stack: ExitStack, watch: str) -> None:
    api = start()
    plant(api)
    revision = api.send("GET", "/v1/pools")[1]["revision"]
    before = threads(api)
    waiting = [stack.enter_context(closing(api.connect())) for _ in range(WATCHERS)]
    for connection in waiting:
        connection.request("GET", f"/v1/pools?{watch}=poll&since={revision}&wait_s=60")
    assert api.send("GET", "/healthz")[0] == 200
    assert api.send("PATCH", "/v1/pools/p", {"cooldown_s": 7})[0] == 200
    for connection in waiting:
        told = json.loads(connection.getresponse().read())
        assert [each["item"]["cooldown_s"] for each in told["items"]] == [7]
    assert threads(api) < before + FEW_THREADS


def test_a_watcher_goes_on_at_another_controller_and_loses_nothing(truth: EtcdStore, start: Start) -> None:
    one, other = start(), start()
    plant(one)
    watcher = Watcher(one, "/v1/endpoints?watch=sse")
    assert watcher.next()[0] == "sync"
    make(one, ["a", "b"])
    assert watcher.ids(2) == ["a", "b"]
    # What group commit does: many things at one revision. The watcher leaves in the middle of it.
    found = scan(truth, keys.ENDPOINTS).items
    truth.txn([], [Put(each.key, encode(each.value)) for each in found])
    assert watcher.ids(1) == ["a"]
    watcher.close()
    one.end()
    make(other, ["c", "d"])
    again = Watcher(other, "/v1/endpoints?watch=sse", watcher.last)
    assert again.ids(3) == ["b", "c", "d"]
    again.close()


def test_one_who_reads_nothing_harms_nobody(start: Start) -> None:
    api = start()
    plant(api)
    slow = Watcher(api, "/v1/pools?watch=sse")
    quick = Watcher(api, "/v1/pools?watch=sse")
    assert [quick.next()[0] for _ in range(2)] == ["put", "sync"]
    for number in range(50):
        assert api.send("PATCH", "/v1/pools/p", {"cooldown_s": number})[0] == 200
    assert [quick.next()[1]["cooldown_s"] for _ in range(50)] == list(range(50))
    quick.close()
    slow.close()


def test_streams_go_through_tls(start: Start, tmp_path: Path) -> None:
    authority = Directory.create(tmp_path / "pki")
    pair = authority.issue("controller", ["127.0.0.1"])
    api = start("--tls-cert", str(pair.cert), "--tls-key", str(pair.key), cafile=authority.ca)
    plant(api)
    with closing(Watcher(api, "/v1/pools?watch=sse")) as watcher:
        assert [watcher.next()[0] for _ in range(2)] == ["put", "sync"]
        assert api.send("PATCH", "/v1/pools/p", {"cooldown_s": 3})[0] == 200
        assert watcher.next()[1]["cooldown_s"] == 3


def test_etcd_away_ends_no_stream(tmp_path: Path) -> None:
    with EtcdServer(tmp_path / "etcd") as server, Controller(tmp_path / "log", "--etcd", server.url) as api:
        wait_until(api.ready, SOON_S, "the controller to be ready")
        plant(api)
        with closing(Watcher(api, "/v1/pools?watch=sse")) as watcher:
            assert [watcher.next()[0] for _ in range(2)] == ["put", "sync"]
            server.restart()
            wait_until(api.ready, SOON_S, "the controller to be ready again")
            assert api.send("PATCH", "/v1/pools/p", {"cooldown_s": 3})[0] == 200
            assert watcher.next()[1]["cooldown_s"] == 3


def test_an_open_watch_outlives_compaction(truth: EtcdStore, start: Start) -> None:
    api = start()
    plant(api)
    with closing(Watcher(api, "/v1/endpoints?watch=sse")) as watcher:
        assert watcher.next()[0] == "sync"
        for number in range(5):
            make(api, [f"e{number}"])
            assert watcher.ids(1) == [f"e{number}"], "it is open at etcd too"
            assert api.send("PATCH", "/v1/pools/p", {"cooldown_s": number})[0] == 200
            truth.compact(truth.range(keys.ROOT).revision)
        assert api.send("DELETE", "/v1/endpoints/e0")[0] == 204
        kind, item = watcher.next()
        assert (kind, item["id"]) == ("delete", "e0")


def test_a_place_that_is_compacted_is_told_so_and_the_next_request_lists(
    truth: EtcdStore, start: Start
) -> None:
    api = start()
    plant(api)
    old = api.send("GET", "/v1/endpoints")[1]["revision"]
    make(api, ["a", "b"])
    assert api.send("DELETE", "/v1/endpoints/a")[0] == 204
    truth.compact(truth.range(keys.ROOT).revision)
    status, problem = api.send("GET", f"/v1/endpoints?watch=poll&since={old}&wait_s=20")
    assert (status, problem["type"]) == (410, "/problems/expired")
    with closing(Watcher(api, "/v1/endpoints?watch=sse", str(old))) as watcher:
        kind, said = watcher.next()
        assert (kind, watcher.last) == ("expired", "")
        assert "list again" in said["detail"]
        assert watcher.answer.readline() == b"", "and the stream ends"
    with closing(Watcher(api, "/v1/endpoints?watch=sse", watcher.last)) as watcher:
        assert watcher.ids(1) == ["b"]
        assert watcher.next()[0] == "sync"


def test_a_restarted_etcd_costs_a_watcher_nothing_and_one_that_was_compacted_too_a_new_list(
    tmp_path: Path,
) -> None:
    with EtcdServer(tmp_path / "etcd") as server, Controller(tmp_path / "log", "--etcd", server.url) as api:
        wait_until(api.ready, SOON_S, "the controller to be ready")
        plant(api)
        with closing(Watcher(api, "/v1/endpoints?watch=sse")) as watcher:
            assert watcher.next()[0] == "sync"
            for number in range(3):
                make(api, [f"e{number}"])
                server.restart()
                wait_until(api.ready, SOON_S, "the controller to be ready again")
                assert api.send("DELETE", f"/v1/endpoints/e{number}")[0] == 204
            told = [watcher.next() for _ in range(6)]
            assert [(kind, item["id"]) for kind, item in told] == [
                (kind, f"e{number}") for number in range(3) for kind in ("put", "delete")
            ]
            # Behind what the watcher was told something else is written, and forgotten while etcd is away.
            assert api.send("PATCH", "/v1/pools/p", {"cooldown_s": 3})[0] == 200
            with closing(EtcdStore(EtcdConfig(server.endpoints))) as store:
                store.compact(store.range(keys.ROOT).revision)
            server.restart()
            assert watcher.next()[0] == "expired"


def test_a_restored_backup_costs_a_watcher_a_new_list(tmp_path: Path) -> None:
    """It is older than what he was told, and no event says what it undid."""
    with EtcdServer(tmp_path / "etcd") as server, Controller(tmp_path / "log", "--etcd", server.url) as api:
        wait_until(api.ready, SOON_S, "the controller to be ready")
        plant(api)
        with closing(Watcher(api, "/v1/pools?watch=sse")) as watcher:
            assert [watcher.next()[0] for _ in range(2)] == ["put", "sync"]
            server.save(tmp_path / "backup")
            for number in range(1, 4):
                assert api.send("PATCH", "/v1/pools/p", {"cooldown_s": number})[0] == 200
                assert watcher.next()[1]["cooldown_s"] == number
            server.stop()
            server.bring_back(tmp_path / "backup")
            server.start()
            assert watcher.next()[0] == "expired"
        with closing(Watcher(api, "/v1/pools?watch=sse", watcher.last)) as watcher:
            assert watcher.next()[1]["cooldown_s"] not in range(1, 4)


def test_what_nodes_say_of_an_endpoint_is_told_wherever_one_goes_on(truth: EtcdStore, start: Start) -> None:
    one, other = start(), start()
    plant(one)
    watcher = Watcher(one, "/v1/endpoints?watch=sse&node=n0")
    assert watcher.next()[0] == "sync"
    make(one, ["a", "b"])
    addresses = {each["id"]: each["addresses"][0] for each in (watcher.next()[1], watcher.next()[1])}

    def says(name: str) -> tuple[Put, Put]:
        address = addresses[name]
        held = Attachment(
            endpoint=name, node="n0", addresses=(address,), netns="/n", ifname="eth0", boot_id="b"
        )
        ready = Ready(prefix=f"{address}/32", node="n0", boot_id="b", endpoint=name)
        return put(keys.ATTACHMENTS, held, "n0", name), put(keys.READY, ready, "n0", ready.prefix)

    truth.txn([], [*says("a"), *says("b")])
    first = watcher.next()[1]
    assert (first["id"], first["attached"], first["ready"]) == ("a", True, True)
    watcher.close()
    truth.txn([], [Delete(says("b")[1].key)])
    with closing(Watcher(other, "/v1/endpoints?watch=sse&node=n0", watcher.last)) as again:
        told = [again.next()[1] for _ in range(4)]
    assert [each["id"] for each in told] == ["a", "b", "b", "b"]
    assert [each["ready"] for each in told] == [True, False, False, False]


def test_a_head_and_a_body_that_ends_early_keep_the_connection_in_order(start: Start) -> None:
    api = start()
    with closing(api.connect()) as connection:
        connection.request("HEAD", "/v1/pools")
        assert connection.getresponse().read() == b""
        assert exchange(connection, "GET", "/v1/pools/%70%2f")[0] == 404
        assert exchange(connection, "DELETE", "/v1/pools/none")[0] == 404
        assert exchange(connection, "GET", "/v1/pools")[0] == 200
    with closing(api.connect()) as connection:
        connection.putrequest("POST", "/v1/pools")
        connection.putheader("Content-Length", "100")
        connection.endheaders(b"{")
    assert api.send("GET", "/healthz")[0] == 200
    assert "Traceback" not in api.said()


def test_what_was_deleted_at_the_compacted_revision_is_not_passed_over(
    truth: EtcdStore, start: Start
) -> None:
    api = start()
    plant(api)
    assert api.send("DELETE", "/v1/pools/p")[0] == 204
    gone = truth.range(keys.ROOT).revision
    truth.compact(gone)
    assert api.send("GET", f"/v1/pools?watch=poll&since={gone - 1}&wait_s=0")[0] in {200, 410}
    assert api.send("GET", f"/v1/pools?watch=poll&since={gone - 1}&wait_s=20")[0] == 410
    assert api.send("GET", f"/v1/pools?watch=poll&since={gone}&wait_s=0")[0] == 200
