"""Several controllers: when the next one is asked, and when asking twice would not be the same as once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from cli.link import AnyLink, ServerLink
from cli.rest import call
from cli.server import parse_server
from tests.unit.cli.canned import Reply, problem, serving
from tests.unit.cli.conftest import Polder

POOLS = Reply(200, {"items": [], "revision": 1})


@pytest.fixture
def dead() -> Iterator[str]:
    """A URL where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def loser() -> Iterator[str]:
    """A URL where each request is read and never answered: the connection ends."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def lose() -> None:
            while True:
                try:
                    with server.accept()[0] as connection:
                        connection.recv(65536)
                except OSError:
                    return

        thread = threading.Thread(target=lose)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_the_next_is_asked_when_one_is_down(polder: Polder, dead: str) -> None:
    with serving(POOLS) as canned:
        assert polder("pool", "list", "--server", f"{dead},{canned.url}").code == 0
        created = polder("endpoint", "create", "--node", "n", "--server", f"{dead}, {canned.url}")
    assert created.code == 0
    assert [asked.method for asked in canned.asked] == ["GET", "POST"]


def test_all_down_names_each(polder: Polder, dead: str) -> None:
    ran = polder("pool", "list", "--server", f"{dead},{dead}/b")
    assert ran.code == 5
    assert f"{dead}: " in ran.err
    assert f"{dead}/b: " in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["pool", "create", "a", "--cidr", "x"],
        ["pool", "set", "a", "--cooldown-s", "1"],
        ["endpoint", "create", "--node", "n"],
        ["endpoint", "get", "e"],
    ],
)
def test_a_lost_answer_is_asked_for_again(polder: Polder, loser: str, arguments: list[str]) -> None:
    with serving(Reply(200, {"name": "a"})) as canned:
        ran = polder(*arguments, "--server", f"{loser},{canned.url}")
    assert (ran.code, len(canned.asked)) == (0, 1)


def test_what_may_not_be_done_twice_is_not_sent_twice(loser: str) -> None:
    with serving(POOLS) as canned:
        link = AnyLink([ServerLink(parse_server(each)) for each in (loser, canned.url)])
        with pytest.raises(Exception, match="no controller answers"):
            call(link, "POST", "/v1/tokens", {})
    assert canned.asked == []


def test_deleted_by_the_request_whose_answer_was_lost(polder: Polder, loser: str, dead: str) -> None:
    with serving(problem(404, "There is no such pool")) as canned:
        assert polder("pool", "delete", "a", "--server", f"{loser},{canned.url}").code == 0
        assert polder("pool", "delete", "a", "--server", f"{dead},{canned.url}").code == 3


def test_a_controller_that_is_cut_off_hands_over(polder: Polder) -> None:
    with serving(problem(503, "etcd does not answer")) as cut, serving(POOLS) as well:
        assert polder("pool", "list", "--server", f"{cut.url},{well.url}").code == 0
        assert polder("pool", "list", "--server", f"{cut.url},{cut.url}").code == 5


def test_the_one_that_answered_is_asked_first(dead: str) -> None:
    with serving(POOLS) as canned:
        link = AnyLink([ServerLink(parse_server(each)) for each in (dead, canned.url)])
        call(link, "GET", "/v1/pools")
    assert [way.unreachable(OSError("x")).message.split()[4] for way in link.ways()] == [
        f"{canned.url}:",
        f"{dead}:",
    ]


@pytest.mark.parametrize(("retry_after", "code", "asked"), [("0", 0, 3), ("31", 5, 1), ("soon", 5, 1)])
def test_who_is_told_to_come_back_comes_back(polder: Polder, retry_after: str, code: int, asked: int) -> None:
    many = problem(429, "Too many requests")
    later = Reply(429, many.body, {"Retry-After": retry_after})
    with serving(later, later, Reply(201, {"name": "a"})) as canned:
        ran = polder("pool", "create", "a", "--cidr", "x", "--server", canned.url)
    assert (ran.code, len(canned.asked)) == (code, asked)


def test_an_answer_that_is_cut_short_is_a_lost_one(polder: Polder) -> None:
    half = Reply(200, {"items": [{"name": "a"}], "revision": 1}, cut=True)
    with serving(half) as dies, serving(POOLS) as well:
        assert polder("pool", "list", "--server", f"{dies.url},{well.url}").code == 0
        ran = polder("pool", "list", "--server", dies.url)
    assert ran.code == 5
    assert "the connection ended in the middle of the answer" in ran.err


def test_a_chunked_answer_that_is_cut_short_is_a_lost_one(polder: Polder) -> None:
    chunks = Reply(200, '8\r\n{"items"', {"Transfer-Encoding": "chunked"})
    with serving(chunks) as dies, serving(POOLS) as well:
        assert polder("pool", "list", "--server", f"{dies.url},{well.url}").code == 0
