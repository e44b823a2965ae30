"""The controller as real processes over a real etcd: what only they can show."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from controller.admission import MAX_IN_HAND
from controller.reading import put, scan
from lab.controller import Controller, exchange
from lab.etcd import EtcdServer
from lab.wait import wait_until
from pki.directory import Directory
from store import keys
from store.client import Delete
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from store.model import Attachment
from tests.support.controllers import SOON_S, TOKEN, Start, plant
from tests.support.ipam import check

pytest_plugins = ["tests.support.etcd", "tests.support.serving"]
pytestmark = pytest.mark.needs("etcd", "etcdctl")

CALLERS = MAX_IN_HAND + 24


def test_an_endpoint_lives_from_its_request_to_the_end_of_its_cooldown(
    truth: EtcdStore, start: Start
) -> None:
    api = start()
    plant(api, cooldown_s=1)
    status, made = api.send("POST", "/v1/endpoints", {"id": "a", "node": "n0"})
    assert (status, made["addresses"]) == (201, ["10.64.0.1"])
    assert api.send("POST", "/v1/endpoints", {"id": "a", "node": "n0"}) == (200, made)
    assert api.send("PATCH", "/v1/endpoints/a", {"node": "n1"})[1]["node"] == "n1"
    assert api.send("GET", "/v1/endpoints")[1]["items"][0]["node"] == "n1"
    check(truth)
    attachment = Attachment(
        endpoint="a", node="n1", addresses=("10.64.0.1",), netns="/run/netns/x", ifname="eth0", boot_id="b"
    )
    truth.txn([], [put(keys.ATTACHMENTS, attachment, "n1", "a")])
    status, releasing = api.send("DELETE", "/v1/endpoints/a")
    assert (status, releasing["state"], releasing["attached"]) == (202, "releasing", True)
    truth.txn([], [Delete(keys.ATTACHMENTS.key("n1", "a"))])
    wait_until(lambda: api.send("GET", "/v1/endpoints/a")[0] == 404, SOON_S, "the endpoint to end")
    assert api.send("GET", "/v1/addresses/10.64.0.1")[1]["state"] == "cooldown"
    assert api.send("DELETE", "/v1/pools/p")[0] == 409
    wait_until(
        lambda: api.send("GET", "/v1/addresses/10.64.0.1")[1]["state"] == "free", SOON_S, "the cooldown"
    )
    assert api.send("DELETE", "/v1/pools/p")[0] == 204
    for number in range(2):
        assert api.send("DELETE", f"/v1/nodes/n{number}")[0] == 204
    left = {item.key for item in truth.range(keys.ROOT).items if "/leader/" not in item.key}
    assert left <= {keys.ROOT + "cluster"}


def test_threads_of_callers_at_two_controllers_all_get_addresses_of_their_own(
    truth: EtcdStore, start: Start
) -> None:
    pair = [start(), start()]
    plant(pair[0])

    def call(number: int) -> list[str]:
        connection = pair[number % 2].connect()
        given = []
        for _ in range(20):
            status, made = exchange(connection, "POST", "/v1/endpoints", {"node": f"n{number // 2 % 2}"})
            assert status == 201, made
            given.extend(made["addresses"])
        connection.close()
        return given

    with ThreadPoolExecutor(16) as pool:
        given = [address for each in pool.map(call, range(16)) for address in each]
    assert len(set(given)) == len(given) == 320
    assert len(scan(truth, keys.ENDPOINTS).items) == 320
    check(truth)


def test_callers_with_one_id_get_one_endpoint(truth: EtcdStore, start: Start) -> None:
    pair = [start(), start()]
    plant(pair[0])
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(
                lambda number: pair[number % 2].send("POST", "/v1/endpoints", {"id": "a", "node": "n0"}),
                range(16),
            )
        )
    assert sorted(status for status, _ in answers) == [200] * 15 + [201]
    assert len({tuple(made["addresses"]) for _, made in answers}) == 1
    assert len(scan(truth, keys.ADDRESSES).items) == 1


def test_another_controller_ends_endpoints_when_the_elected_one_is_killed(
    truth: EtcdStore, start: Start
) -> None:
    pair = [start(), start()]
    plant(pair[0], cooldown_s=0)
    leader = wait_until(lambda: truth.get(keys.leader("release")), SOON_S, "an election")
    assert leader is not None
    pids = {str(each.process.pid): each for each in pair}
    elected = pids.pop(leader.value.decode().rpartition(":")[2])
    (other,) = pids.values()
    assert other.send("POST", "/v1/endpoints", {"id": "a", "node": "n0"})[0] == 201
    attachment = Attachment(
        endpoint="a", node="n0", addresses=("10.64.0.1",), netns="/run/netns/x", ifname="eth0", boot_id="b"
    )
    truth.txn([], [put(keys.ATTACHMENTS, attachment, "n0", "a")])
    assert other.send("DELETE", "/v1/endpoints/a")[0] == 202
    elected.end(signal.SIGKILL)
    truth.txn([], [Delete(keys.ATTACHMENTS.key("n0", "a"))])
    began = time.monotonic()
    wait_until(lambda: other.send("GET", "/v1/endpoints/a")[0] == 404, SOON_S, "the endpoint to end")
    assert time.monotonic() - began < 6


def test_without_etcd_it_starts_stays_up_and_says_what_is_missing(tmp_path: Path) -> None:
    with EtcdServer(tmp_path / "etcd") as server:
        server.stop()
        with Controller(tmp_path / "log", "--etcd", server.url) as api:
            status, ready = api.send("GET", "/readyz")
            assert (status, ready["not_ready"][0]["what"]) == (503, "etcd")
            assert server.url in ready["not_ready"][0]["why"]
            for method, path, body in [
                ("GET", "/v1/pools", None),
                ("POST", "/v1/endpoints", {"node": "n0"}),
            ]:
                status, problem = api.send(method, path, body)
                assert (status, problem["type"]) == (503, "/problems/unavailable")
            server.start()
            wait_until(api.ready, SOON_S, "the controller to be ready")
            plant(api)
            assert api.send("POST", "/v1/endpoints", {"node": "n0"})[0] == 201
            server.restart()
            wait_until(api.ready, 3, "the controller to be ready again")
            assert api.send("POST", "/v1/endpoints", {"node": "n0"})[0] == 201


def test_a_hung_etcd_does_not_take_the_controller_along(tmp_path: Path) -> None:
    with EtcdServer(tmp_path / "etcd") as server, Controller(tmp_path / "log", "--etcd", server.url) as api:
        plant(api)
        server.pause()
        try:
            with ThreadPoolExecutor(CALLERS) as pool:
                calls = [
                    pool.submit(api.send, "POST", "/v1/endpoints", {"node": "n0"}) for _ in range(CALLERS)
                ]
                wait_until(lambda: any(call.done() for call in calls), SOON_S, "the first refusal")
                assert sum(call.done() for call in calls) < CALLERS, "and the others wait for etcd"
                began = time.monotonic()
                assert api.send("GET", "/healthz")[0] == 200
                assert time.monotonic() - began < 1
                answers = [call.result(30) for call in calls]
            assert {status for status, _ in answers} == {503}
        finally:
            server.resume()
        wait_until(api.ready, SOON_S, "the controller to be ready")
        with closing(EtcdStore(EtcdConfig(server.endpoints))) as store:
            check(store)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_promptly(start: Start, number: signal.Signals) -> None:
    api = start()
    with closing(api.connect()) as idle:
        assert exchange(idle, "GET", "/healthz")[0] == 200
        began = time.monotonic()
        assert api.end(number) == 0
        assert time.monotonic() - began < 3
    assert "Traceback" not in api.said()


def test_a_signal_ends_it_promptly_while_etcd_hangs(tmp_path: Path) -> None:
    with EtcdServer(tmp_path / "etcd") as server, Controller(tmp_path / "log", "--etcd", server.url) as api:
        plant(api)
        server.pause()
        try:
            with ThreadPoolExecutor(1) as pool:
                call = pool.submit(api.send, "POST", "/v1/endpoints", {"node": "n0"})
                wait_until(lambda: api.send("GET", "/healthz")[0] == 200, SOON_S, "an answer")
                began = time.monotonic()
                assert api.end() == 0
                assert time.monotonic() - began < 8
                assert call.exception(10) is not None or call.result()[0] == 503
        finally:
            server.resume()


def test_a_taken_port_is_refused_by_the_second_controller(start: Start, etcd: EtcdServer) -> None:
    api = start()
    argv = [sys.executable, "-m", "controller", "--listen", f"127.0.0.1:{api.port}", "--etcd", etcd.url]
    second = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert "is in use by another program" in second.stderr
    assert second.stderr.count("\n") == 1
    assert api.send("GET", "/healthz")[0] == 200


def test_after_a_kill_the_port_is_free_and_the_data_there(start: Start) -> None:
    api = start()
    plant(api)
    api.end(signal.SIGKILL)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", api.port)) != 0, "no worker is left behind"
    again = start()
    assert [pool["name"] for pool in again.send("GET", "/v1/pools")[1]["items"]] == ["p"]


def test_with_tls_and_tokens_it_serves_other_hosts(start: Start, tmp_path: Path) -> None:
    authority = Directory.create(tmp_path / "pki")
    pair = authority.issue("controller", ["127.0.0.1"])
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN)
    options = ("--tls-cert", str(pair.cert), "--tls-key", str(pair.key), "--token-file", str(tokens))
    api = start(*options, cafile=authority.ca, host="0.0.0.0")
    assert api.send("GET", "/v1/pools")[0] == 401
    assert api.send("GET", "/v1/pools", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert TOKEN not in api.said()
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=5)
    with pytest.raises((OSError, http.client.HTTPException)):
        exchange(connection, "GET", "/healthz")
    connection.close()


def test_a_body_that_is_too_large_is_refused_on_the_wire(start: Start) -> None:
    api = start()
    status, problem = api.send("POST", "/v1/pools", {"name": "x" * (2 << 20)})
    assert (status, problem["type"]) == (413, "/problems/too-large")
    connection = api.connect()
    connection.putrequest("POST", "/v1/pools")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders(iter([b'{"name":"', *[b"x" * 65536] * 16, b'"}']), encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize("atomic", [False, True])
def test_a_thousand_endpoints_with_labels_fit_into_one_request(start: Start, atomic: bool) -> None:
    api = start()
    plant(api)
    labels = {f"k{number:02}{'a' * 60}": "v" * 60 for number in range(10)}
    items = [{"id": f"bulk-{number}-{'x' * 100}", "node": "n0", "labels": labels} for number in range(1000)]
    assert len(json.dumps(items)) > 1_400_000
    status, told = api.send("POST", "/v1/endpoints:batch", {"items": items, "atomic": atomic})
    assert (status, told["refused"]) == (200, 0)
    assert api.send("POST", "/v1/endpoints:batch", {"items": ["x" * (10 << 20)]})[0] == 413


def test_without_a_token_the_body_is_not_waited_for(start: Start, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN}\n")
    api = start("--token-file", str(tokens))
    expects = "Expect: 100-continue\r\n"
    for token, more, status in (("x", "", 401), ("x", expects, 401), (TOKEN, expects, 100)):
        with closing(socket.create_connection(("127.0.0.1", api.port), timeout=SOON_S)) as link:
            head = f"POST /v1/pools HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n{more}"
            link.sendall(f"{head}Authorization: Bearer {token}\r\n\r\n".encode())
            assert link.recv(12) == f"HTTP/1.1 {status}".encode()


def test_after_a_refusal_the_connection_can_be_used_again(start: Start, tmp_path: Path) -> None:
    """The body is read, though nobody wants it: else the client would see a closed connection at times."""
    api = start()
    plant(api)
    connection = api.connect()
    for _ in range(20):
        for method, path, status in [
            ("POST", "/v1/nowhere", 404),
            ("PUT", "/v1/pools", 405),
            ("POST", "/v1/pools?x=1", 422),
        ]:
            assert exchange(connection, method, path, {"name": "x" * 300_000})[0] == status
        connection.request("POST", "/v1/pools", b"x" * 300_000, {"Content-Type": "text/plain"})
        answer = connection.getresponse()
        assert (answer.status, answer.will_close) == (415, False)
        answer.read()
    connection.close()
