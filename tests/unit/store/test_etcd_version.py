"""Which versions of etcd keep a user from the keys of others, and what is said of those that do not."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from store import etcd_version
from store.etcd_config import EtcdConfig
from store.etcd_version import holds, version, weak


@pytest.mark.parametrize(
    ("found", "good"),
    [
        ("3.4.23", False),
        ("3.4.45", False),
        ("3.5.33", False),
        ("3.6.13", False),
        ("3.6.14", True),
        ("3.6.20", True),
        ("3.7.0", False),
        ("3.7.0-rc.0", False),
        ("3.7.1", True),
        ("3.8.0", True),
        ("4.0.0", True),
        ("3.10.0", True),
        ("nonsense", False),
    ],
)
def test_which_versions_hold(found: str, good: bool) -> None:
    assert holds(found) is good


@contextmanager
def member(answer: bytes) -> Iterator[str]:
    """The URL of what answers each request so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/version" else 404)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


def told(server: str) -> bytes:
    return json.dumps({"etcdserver": server, "etcdcluster": "3.4.0"}).encode()


def test_each_member_that_is_weak_is_named() -> None:
    with member(told("3.4.23")) as old, member(told("3.7.1")) as new, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{bound.getsockname()[1]}"
        config = EtcdConfig((gone, new, old))
        (line,) = weak(config)
        assert line.startswith(f"the rights of etcd 3.4.23 at {old} do not hold against a hostile node")
        assert "run 3.6.14, 3.7.1 or later" in line
        with pytest.raises(OSError, match="refused"):
            version(config, gone)


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"etcdserver": 7}', told("x"), b"\xff"])
def test_who_does_not_tell_is_named_too(answer: bytes) -> None:
    with member(answer) as url:
        (line,) = weak(EtcdConfig((url,)))
        assert line.startswith(f"etcd at {url} does not tell its version; its rights hold with 3.6.14, 3.7.1")


def test_the_log_says_it_once_as_soon_as_it_can_be_known(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def found(config: EtcdConfig, url: str) -> str:
        asked.append(url)
        if len(asked) < 3:
            raise ConnectionRefusedError
        return "3.4.23"

    monkeypatch.setattr(etcd_version, "version", found)
    monkeypatch.setattr(etcd_version, "AGAIN_S", 0)
    caplog.set_level(logging.WARNING)
    one, two = "http://127.0.0.1:1", "http://127.0.0.1:2"
    etcd_version._tell(EtcdConfig((one, two)))
    assert asked == [one, two, one, two]
    assert [each.getMessage().split(" do ")[0] for each in caplog.records] == [
        f"event=weak-rights the rights of etcd 3.4.23 at {one}",
        f"event=weak-rights the rights of etcd 3.4.23 at {two}",
    ]
