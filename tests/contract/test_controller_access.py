"""Tokens with real controllers over a real etcd: what one does counts at the other; bytes on the wire."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.controller import Controller
from lab.etcd import EtcdServer
from lab.wait import wait_until
from tests.support.controllers import SOON_S, TOKEN

pytestmark = pytest.mark.needs("etcd", "etcdctl")

ADMIN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Controller, Controller, Path]]:
    """Two controllers of one etcd that demand tokens; the first writes an audit file."""
    path = tmp_path_factory.mktemp("access")
    (path / "tokens").write_text(TOKEN)
    audit = path / "audit.jsonl"
    with ExitStack() as stack:
        etcd = stack.enter_context(EtcdServer(path / "etcd"))
        options = ("--etcd", etcd.url, "--token-file", str(path / "tokens"))
        first = Controller(path / "a.log", *options, "--audit-file", str(audit))
        both = [stack.enter_context(each) for each in (first, Controller(path / "b.log", *options))]
        for each in both:
            wait_until(each.ready, SOON_S, "a controller to be ready")
        yield both[0], both[1], audit


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_what_one_controller_does_counts_at_the_other(pair: tuple[Controller, Controller, Path]) -> None:
    one, other, _ = pair
    status, made = one.send("POST", "/v1/tokens", {"name": "ops", "role": "network"}, **ADMIN)
    assert status == 201
    old = bearer(made["token"])
    assert one.send("GET", "/v1/pools", **old)[0] == 200
    wait_until(lambda: other.send("GET", "/v1/pools", **old)[0] == 200, SOON_S, "the token at the other")
    new = bearer(one.send("POST", "/v1/tokens/ops:rotate", {"overlap_s": 0}, **ADMIN)[1]["token"])
    assert one.send("GET", "/v1/pools", **old)[0] == 401
    wait_until(lambda: other.send("GET", "/v1/pools", **old)[0] == 401, SOON_S, "the end of the old secret")
    assert other.send("GET", "/v1/pools", **new)[0] == 200
    assert other.send("DELETE", "/v1/tokens/ops", **ADMIN)[0] == 204
    assert other.send("GET", "/v1/pools", **new)[0] == 401
    wait_until(lambda: one.send("GET", "/v1/pools", **new)[0] == 401, SOON_S, "the end of the token")


def test_the_audit_file_and_the_log_tell_of_writes_and_no_secret(
    pair: tuple[Controller, Controller, Path],
) -> None:
    one, _, audit = pair
    secret = one.send("POST", "/v1/tokens", {"name": "told", "role": "admin"}, **ADMIN)[1]["token"]
    one.send("POST", "/v1/nodes", {"name": "n", "asn": 64512}, **bearer(secret), **{"X-Request-Id": "req-1"})
    line = json.loads(audit.read_text().splitlines()[-1])
    assert (line["who"], line["role"], line["from"], line["request"]) == (
        "told",
        "admin",
        "127.0.0.1",
        "req-1",
    )
    assert line["changes"]["nodes/n"]["before"] is None
    wait_until(lambda: "request=req-1" in one.said(), SOON_S, "the line in the log")
    for text in (TOKEN, secret.rpartition("_")[2], "sha256"):
        assert text not in audit.read_text()
        assert text not in one.said()
    assert audit.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"Authorization: Bearer {TOKEN}", 200),
        (f"Authorization: bearer   {TOKEN}  ", 200),
        (f"Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}", 401),
        (f"Authorization: Bearer wrong\r\nAuthorization: Bearer {TOKEN}", 401),
        (f"Authorization: Bearer {TOKEN}\r\nauthorization: Basic eDp5", 401),
        (f"Authorization_: Bearer {TOKEN}", 401),
        (f"Authorization: Bearer {TOKEN}" + "\r\nX: y" * 200, 400),
        (f"Authorization: Bearer {TOKEN}\x0b", 400),
        (f"Authorization: Bearer {TOKEN}\r\n X: y", 400),
        (f"X-Authorization: Bearer {TOKEN}", 401),
        (f"Authorization: Bearer {'x' * 60_000}", 400),
        (f"Authorization: Bearer \xe9{TOKEN}", 401),
        (f"Cookie: token={TOKEN}", 401),
        (f"Authorization: Bearer {TOKEN}\r\nX-Request-Id: a b\x1b[2J", 400),
        (f"Authorization: Bearer {TOKEN}\r\nX-Original-URL: /healthz\r\nX-Rewrite-URL: /healthz", 200),
    ],
)
def test_headers_that_try_to_be_a_token(
    pair: tuple[Controller, Controller, Path], head: str, status: int
) -> None:
    one = pair[0]
    assert answered(one, f"GET /v1/pools HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n") == status


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /v1/pools/../../healthz HTTP/1.1", 401),
        ("GET /healthz/../v1/pools HTTP/1.1", 401),
        ("GET //v1/pools HTTP/1.1", 401),
        ("GET /healthz%2f..%2fv1%2fpools HTTP/1.1", 401),
        ("GET /%76%31/pools HTTP/1.1", 401),
        ("GET http://localhost/v1/pools HTTP/1.1", 401),
        ("GET /healthz?x=/v1/pools HTTP/1.1", 422),
        ("HEAD /v1/pools HTTP/1.1", 401),
        ("OPTIONS /v1/pools HTTP/1.1", 401),
        (f"GET /v1/pools?token={TOKEN} HTTP/1.1", 401),
        (f"GET /v1/pools/{'a' * 60_000} HTTP/1.1", 400),
    ],
)
def test_paths_that_try_to_need_no_token(
    pair: tuple[Controller, Controller, Path], line: str, status: int
) -> None:
    assert answered(pair[0], f"{line}\r\nHost: localhost\r\n\r\n") == status


def answered(controller: Controller, text: str) -> int:
    """The status of the answer to these very bytes."""
    with socket.create_connection(("127.0.0.1", controller.port), timeout=SOON_S) as link:
        link.sendall(text.encode("latin-1"))
        return int(link.recv(64).split()[1])


def test_insecure_is_said_loudly(pair: tuple[Controller, Controller, Path], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Controller(log, "--insecure", "--etcd", "http://127.0.0.1:1", host="0.0.0.0") as open_to_all:
        assert open_to_all.said().count("event=insecure") == 2
        assert open_to_all.end(signal.SIGTERM) == 0
