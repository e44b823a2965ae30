"""The server over real connections: what clients send that no application should see."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from controller import gateway, serve, tls
from controller.bodies import Large
from controller.serve import Server, listen
from controller.watching.asked import is_asked
from lab.wait import wait_until
from pki import files
from pki.certificate import load_cert
from pki.directory import Directory, Pair, read_cert

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SOON_S = 20

Client = Callable[[int], Any]


class Pieces:
    """A body that never ends, of pieces that fill any buffer; tells when it was closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield bytes(1 << 20)

    def close(self) -> None:
        self.closed.set()


class Echo:
    """An application that tells what it was given; a GET of a watch gets `pieces`."""

    def __init__(self) -> None:
        self.pieces = Pieces()
        self.thread = ""
        self.reads = True

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Any:
        self.thread = threading.current_thread().name
        start("200 OK", [("Content-Type", "application/json")])
        if is_asked(environ):
            return self.pieces
        body = environ["wsgi.input"].read() if self.reads else b""
        told = {name: value for name, value in environ.items() if isinstance(value, str)}
        told["thread"] = self.thread
        return [json.dumps({**told, "body": body.decode(), "length": len(body)}).encode()]


def serving(
    app: Echo, client: Client, whose: gateway.Whose = lambda _: "somebody", own: Pair | None = None
) -> Any:
    """What the client returns, which is given the port of a server of the application."""
    told: list[Any] = []

    def ask(port: int) -> None:
        try:
            told.append(client(port))
        except Exception as fault:  # noqa: BLE001 raised below, in the thread of the test
            told.append(fault)
        os.kill(os.getpid(), signal.SIGTERM)

    with listen("127.0.0.1", 0) as bound:
        asking = threading.Thread(target=ask, args=(bound.getsockname()[1],))
        server = Server(bound, cert=own and own.cert, key=own and own.key)
        asking.start()
        server.run(app, whose=whose)
        asking.join(SOON_S)
    if isinstance(told[0], Exception):
        raise told[0]
    return told[0]


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SOON_S)


def read(link: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, header and body of the next answer."""
    with link.makefile("rb") as answer:
        status = int(answer.readline().split()[1])
        header = dict(iter(lambda: answer.readline().decode().strip().lower().partition(": ")[::2], ("", "")))
        return status, header, answer.read(int(header.get("content-length", 0)))


def asked(*lines: str, body: Sequence[bytes] = ()) -> Any:
    """What the application was given when these lines came, and then each part of the body."""

    def client(port: int) -> Any:
        with closing(connected(port)) as link:
            link.sendall("\r\n".join([*lines, "Host: here", "", ""]).encode())
            for part in body:
                link.sendall(part)
            return json.loads(read(link)[2])

    return serving(Echo(), client)


def test_a_request_is_what_was_sent() -> None:
    told = asked(
        "POST /v1/a%20b%2fc?x=%31 HTTP/1.1", "Content-Length: 4", "X-One: 1", "x-one: 2", body=[b"body"]
    )
    assert told["PATH_INFO"] == "/v1/a b/c"
    assert told["QUERY_STRING"] == "x=%31"
    assert told["HTTP_X_ONE"] == "1,2"
    assert told["body"] == "body"
    assert told["REMOTE_ADDR"] == told["SERVER_NAME"] == "127.0.0.1"


def test_a_field_with_an_underscore_is_not_the_one_with_a_hyphen() -> None:
    told = asked("GET / HTTP/1.1", "Content_Length: 7", "X_One: 1")
    assert "CONTENT_LENGTH" not in told
    assert "HTTP_X_ONE" not in told


def test_a_body_may_come_in_chunks() -> None:
    told = asked(
        "POST / HTTP/1.1", "Transfer-Encoding: chunked", body=[b"3\r\nbod\r\n", b"1\r\ny\r\n", b"0\r\n\r\n"]
    )
    assert told["body"] == "body"


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/", 1 << 20),
        ("/v1/endpoints:batch", 1 << 22),
        ("/v1/endpoints%3Abatch", 1 << 22),
        ("/v1/join", 1 << 16),
    ],
)
def test_of_a_body_that_is_too_large_the_beginning_is_seen(path: str, most: int) -> None:
    for size in (most, most + 1, 10 << 20):
        told = asked(f"POST {path} HTTP/1.1", f"Content-Length: {size}", body=[bytes(size)])
        assert told["length"] == min(size, most + 2)


CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture
def one_place(monkeypatch: pytest.MonkeyPatch) -> Large:
    """There is one place for large bodies."""
    large = Large(1)
    monkeypatch.setattr(gateway, "Large", lambda: large)
    monkeypatch.setattr(serve, "OPTIONS", {**serve.OPTIONS, "lingering_time": 0.2})
    return large


def part(more: str, size: int) -> bytes:
    """So much of a body, in a chunk of its own where it is chunked."""
    return b"%x\r\n%b\r\n" % (size, bytes(size)) if more == CHUNKED else bytes(size)


@pytest.mark.parametrize("more", ["Content-Length: 65538", CHUNKED])
def test_there_are_only_some_large_bodies_at_a_time(one_place: Large, more: str) -> None:
    head = f"POST / HTTP/1.1\r\nHost: h\r\n{more}\r\n\r\n".encode()
    last = part(more, 1) + (b"0\r\n\r\n" if more == CHUNKED else b"")

    def client(port: int) -> Any:
        with closing(connected(port)) as one, closing(connected(port)) as other:
            one.sendall(head + part(more, 65537))
            wait_until(lambda: not one_place.free, SOON_S, "the first body to take the place")
            other.sendall(head + part(more, 65537))
            status, header, body = read(other)
            with closing(connected(port)) as small:
                small.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
                assert read(small)[0] == 200
            one.sendall(last)
            assert read(one)[0] == 200
            assert one_place.free == 1
            one.sendall(head + part(more, 65537) + last)
            assert read(one)[0] == 200
            return status, header["retry-after"], json.loads(body)["type"]

    assert serving(Echo(), client) == (503, "1", "/problems/busy")


@pytest.mark.parametrize(
    ("method", "more"), [("POST", CHUNKED), ("POST", "Content-Length: 65537"), ("GET", CHUNKED)]
)
def test_who_has_sent_nothing_large_takes_no_place(one_place: Large, method: str, more: str) -> None:
    head = f"{method} / HTTP/1.1\r\nHost: h\r\n{more}\r\n\r\n".encode()
    whole = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\nExpect: 100-continue\r\n\r\n"

    def client(port: int) -> int:
        with closing(connected(port)) as idle, closing(connected(port)) as large:
            idle.sendall(head + part(more, 60_000))
            large.sendall(whole)
            assert read(large)[0] == 100, "and the server has seen the idle one"
            large.sendall(bytes(65537))
            return read(large)[0]

    assert serving(Echo(), client) == 200


def test_what_is_kept_of_a_body_that_may_not_be_large_takes_no_place(one_place: Large) -> None:
    head = f"POST /v1/join HTTP/1.1\r\nHost: h\r\n{CHUNKED}\r\n\r\n".encode()
    one_place.free = 0

    def client(port: int) -> int:
        with closing(connected(port)) as link:
            link.sendall(head + part(CHUNKED, 100_000) + b"0\r\n\r\n")
            return read(link)[0]

    assert serving(Echo(), client) == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_only_reads_does_not_wait_for_a_body(method: str) -> None:
    app = Echo()
    app.reads = False

    def client(port: int) -> bytes:
        with closing(connected(port)) as link:
            link.sendall(f"{method} /v1/pools HTTP/1.1\r\nHost: h\r\n{CHUNKED}\r\n\r\n".encode())
            return link.recv(12)

    assert serving(app, client) == b"HTTP/1.1 200"


@pytest.mark.parametrize(
    ("line", "size", "in_the_loop"),
    [
        ("POST /v1/endpoints", gateway.QUICK_BYTES, True),
        ("POST /v1/endpoints:batch", gateway.QUICK_BYTES, True),
        ("POST /v1/endpoints:batch", gateway.QUICK_BYTES + 1, False),
        ("GET /v1/endpoints/pod-1", 0, True),
        ("DELETE /v1/endpoints/pod-1", 0, True),
        ("GET /v1/endpoints", 0, False),
        ("PATCH /v1/endpoints/pod-1", 1, False),
        ("POST /v1/nodes", 1, False),
    ],
)
def test_what_takes_long_is_done_beside_the_loop(line: str, size: int, in_the_loop: bool) -> None:
    told = asked(f"{line} HTTP/1.1", f"Content-Length: {size}", body=[b" " * size])
    assert (told["thread"] == threading.current_thread().name) is in_the_loop


def test_a_body_is_not_decompressed() -> None:
    told = asked("POST / HTTP/1.1", "Content-Encoding: gzip", "Content-Length: 4", body=[b"body"])
    assert told["body"] == "body"


def test_who_expects_to_be_told_to_go_on_is() -> None:
    def client(port: int) -> Any:
        with closing(connected(port)) as link:
            link.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
            first = read(link)[0]
            link.sendall(b"body")
            return first, json.loads(read(link)[2])["body"]

    assert serving(Echo(), client) == (100, "body")


HALF = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        HALF + b"\r\nbo",
        HALF + b"Expect: 100-continue\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\nbo",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n",
    ],
)
def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(gateway, "BODY_S", 0.2)
    monkeypatch.setattr(serve, "OPTIONS", {**serve.OPTIONS, "lingering_time": 0.2})

    def client(port: int) -> Any:
        with closing(connected(port)) as link:
            link.sendall(sent)
            answer = read(link)
            if answer[0] == 100:
                answer = read(link)
            assert link.recv(1) == b""
            return answer

    status, header, body = serving(Echo(), client)
    assert (status, header["content-type"]) == (408, "application/problem+json")
    assert json.loads(body)["type"] == "/problems/timeout"


@pytest.mark.parametrize("more", [b"", b"Expect: 100-continue\r\n"])
def test_who_is_not_let_in_is_answered_without_his_body(monkeypatch: pytest.MonkeyPatch, more: bytes) -> None:
    monkeypatch.setattr(serve, "OPTIONS", {**serve.OPTIONS, "lingering_time": 0.2})

    def client(port: int) -> int:
        with closing(connected(port)) as link:
            link.sendall(HALF + more + b"\r\n")
            status, _, _ = read(link)
            assert link.recv(1) == b""
            return status

    app = Echo()
    app.reads = False
    assert serving(app, client, lambda environ: environ.get("HTTP_AUTHORIZATION")) == 200


def test_a_watch_does_not_wait_for_a_body() -> None:
    def client(port: int) -> bytes:
        with closing(connected(port)) as link:
            link.sendall(b"GET /v1/pools?watch=sse HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n")
            return link.recv(12)

    assert serving(Echo(), client) == b"HTTP/1.1 200"


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\nHost here\r\n\r\n",
        b"GET / HTTP/9\r\nHost: here\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -4\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http_is_told_so_and_cut_off(text: bytes) -> None:
    def client(port: int) -> Any:
        with closing(connected(port)) as link:
            link.sendall(text)
            answer = read(link)
            assert link.recv(1) == b""
            return answer

    status, header, body = serving(Echo(), client)
    assert status == 400
    assert header["content-type"] == "application/problem+json"
    assert "not HTTP" in json.loads(body)["detail"]
    assert b"aaaa" not in body, "what was sent is not sent back"
    assert header["server"] == "polder"


def test_a_client_that_leaves_amid_its_body_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    def client(port: int) -> None:
        with closing(connected(port)) as link:
            link.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo")
        with closing(connected(port)) as link:
            link.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            read(link)

    serving(Echo(), client)
    assert not caplog.records


def test_a_connection_that_sends_no_whole_request_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "OPTIONS", {**serve.OPTIONS, "keepalive_timeout": 0.2})

    def client(port: int) -> None:
        for sent in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: h\r\n"):
            with closing(connected(port)) as link:
                link.sendall(sent)
                assert link.recv(1) == b""

    serving(Echo(), client)


WATCHES = [
    ("/v1/pools?watch=sse", "", 0),
    ("/v1/pools?%77atch=sse", "", 0),
    ("/v1/pools?x=1&w%61tch=poll", "", 0),
    ("/v1/p%6fols?watch", "", 0),
    ("http://here/v1/pools?w%61tch=sse", "", 0),
    ("/v1/pools?watch=sse", "", gateway.QUICK_BYTES + 1),
    ("/v1/pools", "Accept: text/event-stream", 0),
    ("/v1/pools", "Accept: TEXT/Event-Stream;q=0.5, text/html;q=0.4", 0),
]


@pytest.mark.parametrize(("path", "line", "size"), WATCHES)
def test_a_watch_is_on_a_stack_however_it_is_written(path: str, line: str, size: int) -> None:
    app = Echo()

    def client(port: int) -> bytes:
        with closing(connected(port)) as link:
            head = f"GET {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n{line or 'X: y'}\r\n\r\n"
            link.sendall(head.encode() + bytes(size))
            return link.recv(12)

    assert serving(app, client) == b"HTTP/1.1 200"
    assert app.thread == threading.current_thread().name


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/v1/addresses:check?watch=sse", "Accept: text/event-stream"),
        ("/metrics", "Accept: text/event-stream"),
        ("/v1/pools?label=watch%3Dsse", "X: y"),
        ("/v1/pools", "Accept: */*"),
        ("/v1/pools", "Accept: text/event-stream;q=0"),
        ("/v1/pools", "Accept: text/event-stream;q=0.5, application/json"),
        ("/v1/pools", "Accept: text/event-stream;q=much"),
    ],
)
def test_what_is_no_watch_is_done_beside_the_loop(path: str, line: str) -> None:
    told = asked(f"GET {path} HTTP/1.1", line)
    assert told["thread"] != threading.current_thread().name


def test_a_stream_ends_when_its_client_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "STALL_S", 0.2)
    app = Echo()

    def client(port: int) -> bool:
        with closing(connected(port)) as link:
            link.sendall(b"GET /v1/pools?watch=sse HTTP/1.1\r\nHost: h\r\n\r\n")
            return app.pieces.closed.wait(SOON_S)

    assert serving(app, client)


def test_a_stream_ends_when_its_client_leaves() -> None:
    app = Echo()

    def client(port: int) -> bool:
        with closing(connected(port)) as link:
            link.sendall(b"GET /v1/pools?watch=sse HTTP/1.1\r\nHost: h\r\n\r\n")
            assert link.recv(1)
        return app.pieces.closed.wait(SOON_S)

    assert serving(app, client)


def test_a_signal_does_not_wait_for_who_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "GRACE_S", 0.2)

    def client(port: int) -> socket.socket:
        link = connected(port)
        link.sendall(b"GET /v1/pools?watch=sse HTTP/1.1\r\nHost: h\r\n\r\n")
        assert link.recv(1)
        return link

    ended = threading.Event()
    watchdog = threading.Timer(SOON_S, lambda: ended.is_set() or os.kill(os.getpid(), signal.SIGKILL))
    watchdog.start()
    with closing(serving(Echo(), client)):
        ended.set()
    watchdog.cancel()


@pytest.mark.parametrize("leaves", [True, False])
def test_a_signal_ends_it_in_order_while_clients_are_connected_by_tls(leaves: bool, tmp_path: Path) -> None:
    directory = Directory.create(tmp_path)
    own = directory.issue("controller", ["127.0.0.1"])
    trusting = ssl.create_default_context(cafile=str(directory.ca))

    def client(port: int) -> socket.socket:
        link = trusting.wrap_socket(connected(port), server_hostname="127.0.0.1")
        if leaves:
            link.close()
        else:
            link.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert link.recv(12) == b"HTTP/1.1 200"
        return link

    with closing(serving(Echo(), client, own=own)):
        pass


def test_a_request_is_served_whose_client_closes_tls_right_behind_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = Directory.create(tmp_path)
    own = directory.issue("controller", ["127.0.0.1"])
    trusting = ssl.create_default_context(cafile=str(directory.ca))
    served = []

    def app(environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
        served.append(environ["PATH_INFO"])
        start("200 OK", [])
        return [b"ok"]

    def client(port: int) -> None:
        for number in range(10):
            received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
            talk = trusting.wrap_bio(received, sent, server_hostname="127.0.0.1")
            with closing(connected(port)) as link:
                while True:
                    with suppress(ssl.SSLWantReadError):
                        talk.do_handshake()
                        break
                    link.sendall(sent.read())
                    received.write(link.recv(1 << 16))
                link.sendall(sent.read())
                talk.write(f"GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
                with suppress(ssl.SSLWantReadError):
                    talk.unwrap()
                link.sendall(sent.read())
        wait_until(lambda: len(served) == 10, SOON_S, "all of them are served")

    serving(app, client, own=own)
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


def test_a_renewed_certificate_is_shown_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tls, "LOOK_S", 0.02)
    caplog.set_level("INFO")
    directory = Directory.create(tmp_path)
    own, other = directory.issue("controller", ["127.0.0.1"]), directory.issue("other", ["127.0.0.1"])
    trusting = ssl.create_default_context(cafile=str(directory.ca))

    def serial(port: int) -> int:
        with trusting.wrap_socket(connected(port), server_hostname="127.0.0.1") as link:
            return load_cert(ssl.DER_cert_to_PEM_cert(link.getpeercert(True) or b"").encode()).serial_number

    def client(port: int) -> None:
        first = read_cert(own.cert, "").serial_number
        with trusting.wrap_socket(connected(port), server_hostname="127.0.0.1") as open_before:
            assert serial(port) == first
            directory.issue("controller")
            second = read_cert(own.cert, "").serial_number
            wait_until(lambda: serial(port) == second, SOON_S, "the renewed certificate")
            open_before.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert open_before.recv(12) == b"HTTP/1.1 200"
        files.write(own.key, other.key.read_bytes())
        wait_until(lambda: "certificate-not-taken" in caplog.text, SOON_S, "the refusal")
        assert serial(port) == second, "what does not belong together is not taken"
        files.write(own.cert, other.cert.read_bytes())
        third = read_cert(other.cert, "").serial_number
        wait_until(lambda: serial(port) == third, SOON_S, "another certificate with its key")

    serving(Echo(), client, own=own)
