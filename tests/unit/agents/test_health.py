"""Health checks: the table of verdicts, checks of real servers on loopback, and the pace."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agents.node.health.checker import Checker, Target
from agents.node.health.probe import probe
from agents.node.health.verdict import PRESUMED, State, Verdict, after
from store.model import Check, CheckKind
from store.model.value import parse_address

HERE = parse_address("127.0.0.1")
KEY = ("www", "a")


def check(kind: CheckKind = CheckKind.TCP, port: int = 80, **fields: object) -> Check:
    return Check.model_validate({"kind": kind, "port": port, "interval_s": 1, **fields})


@pytest.mark.parametrize(
    ("results", "states"),
    [
        ("pppp", "uhhh"),
        ("pfpp", "uuuh"),
        ("ppfpffpfff", "uhhhhhhhhu"),
        ("ffff", "uuuu"),
    ],
)
def test_so_many_in_a_row_turn_an_endpoint(results: str, states: str) -> None:
    asked = check(healthy_after=2, unhealthy_after=3)
    verdict, seen = Verdict(), ""
    for one in results:
        verdict = after(verdict, "" if one == "p" else "refused", asked)
        seen += "h" if verdict.healthy else "u"
        assert bool(verdict.why) is not verdict.healthy
    assert seen == states


def test_by_default_one_failure_is_enough_and_one_answer_is_not() -> None:
    verdict = after(PRESUMED, "refused", check())
    assert verdict == Verdict(State.UNHEALTHY, 0, "refused")
    verdict = after(verdict, "", check())
    assert (verdict.healthy, verdict.why) == (False, "refused")
    assert after(verdict, "", check()).healthy


@contextmanager
def server(*answers: bytes | None) -> Iterator[int]:
    """A server that gives each connection the next of the answers, the last one again and again.

    None is a connection that is left open without an answer.
    """
    left, open_ = list(answers), []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                open_.append(connection)
                answer = left.pop(0) if len(left) > 1 else left[0]
                if answer is not None:
                    connection.settimeout(1)
                    heard.append(connection.recv(1000))
                    connection.sendall(answer)
                    connection.close()

        heard: list[bytes] = []
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in open_:
                connection.close()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.0 204 \r\n", ""),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", ""),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "status 503"),
        (b"HTTP/1.1 404 No\r\n\r\n", "status 404"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "status 101"),
        (b"SSH-2.0-x\r\n", "the answer is not HTTP"),
        (b"x" * 5000, "the answer is not HTTP"),
        (b"", "the answer is not HTTP"),
        (None, "no answer in 1 s"),
    ],
)
def test_an_http_answer_is_read_for_its_status(answer: bytes | None, fault: str) -> None:
    with server(answer) as port:
        asked = check(CheckKind.HTTP, port, path="/ready")
        found = asyncio.run(probe(asked, HERE))
        assert found == (f"http {port}: {fault}" if fault else "")


def test_a_connection_is_enough_for_tcp() -> None:
    with server(None) as port:
        assert asyncio.run(probe(check(port=port), HERE)) == ""
    assert asyncio.run(probe(check(port=port), HERE)) == f"tcp {port}: connection refused"


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def turned() -> threading.Event:
    return threading.Event()


@contextmanager
def stopping(checker: Checker) -> Iterator[None]:
    try:
        yield
    finally:
        checker.stop()


@pytest.fixture
def checker(turned: threading.Event) -> Iterator[Checker]:
    made = Checker(turned.set)
    made.start()
    yield made
    made.stop()


def test_an_endpoint_turns_and_whoever_waits_is_told(checker: Checker, turned: threading.Event) -> None:
    with server(None) as port:
        target = Target(check(port=port, healthy_after=1), HERE)
        checker.watch({KEY: target})
        before = checker.verdicts()
        told = dict(before)
        assert turned.wait(10)
        until(lambda: checker.verdicts()[KEY].healthy)
        assert before == told, "what was told stays as it was"
        same = checker.verdicts()
        checker.watch({KEY: target})
        assert checker.verdicts() is same
        turned.clear()
    assert turned.wait(10)
    assert not checker.verdicts()[KEY].healthy
    checker.watch({})
    assert checker.verdicts() == {}


def test_what_was_said_before_is_presumed_until_a_check_says_otherwise(turned: threading.Event) -> None:
    checker = Checker(turned.set)
    with server(None) as port, stopping(checker):
        good, bad = Target(check(port=port), HERE), Target(check(port=1), HERE)
        checker.watch({KEY: good, ("www", "b"): bad, ("www", "c"): good}, presumed={KEY, ("www", "b")})
        first = checker.verdicts()
        assert [first["www", name].healthy for name in "abc"] == [True, True, False]
        checker.start()
        until(lambda: not checker.verdicts()["www", "b"].healthy)
        assert checker.verdicts()[KEY].healthy


def test_another_check_of_an_endpoint_keeps_its_verdict_and_another_address_does_not(
    checker: Checker,
) -> None:
    with server(None) as port:
        checker.watch({KEY: Target(check(port=port), HERE)}, presumed={KEY})
        checker.watch({KEY: Target(check(port=port, interval_s=300), HERE)})
        assert checker.verdicts()[KEY].healthy
        checker.watch({KEY: Target(check(port=port), parse_address("127.0.0.2"))}, presumed={KEY})
        assert not checker.verdicts()[KEY].healthy


def test_endpoints_that_hang_hold_up_no_other(checker: Checker) -> None:
    with server(None) as hanging, server(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        targets = {
            ("www", f"hangs-{number}"): Target(check(CheckKind.HTTP, hanging), HERE) for number in range(40)
        }
        targets[KEY] = Target(check(CheckKind.HTTP, port, healthy_after=1), HERE)
        checker.watch(targets)
        until(lambda: checker.verdicts()[KEY].healthy)
        assert not any(checker.verdicts()[key].healthy for key in targets if key != KEY)
